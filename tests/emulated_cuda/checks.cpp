// The emulated device itself: what it finds in kernels with mistakes, and that it runs right ones.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cstdlib>
#include <string>
#include <vector>

#include "cuda/base/launch.cuh"
#include "doctest.h"

namespace comix::cuda {

__global__ void write_at(std::size_t place) {
    extern __shared__ __align__(16) unsigned char comix_arena[];
    if (threadIdx.x == 5) comix_arena[place] = 1;
}

}  // namespace comix::cuda

using namespace comix::cuda;

namespace {

using Team = BlockTeam<96>;

Stream stream_of(int device) {
    return {device, reinterpret_cast<void*>(static_cast<std::uintptr_t>(device + 1) << 12)};
}

// What the launch of a kernel throws; "" for nothing.
template <class Kernel, class... Arguments>
std::string error_of(Kernel* kernel, std::size_t shared, const Arguments&... arguments) {
    try {
        launch(stream_of(3), "test", kernel, 2, Team::size(), shared, arguments...);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

// Every thread writes, waits for its block or only its warp, and reads what another one wrote.
__global__ void exchange(int* out, int steps, bool wait) {
    for_each_problem<Team>(4, 0, [&](Team& team, std::int64_t problem) {
        int* const own = team.shared<int>(Team::size());
        const int thread = static_cast<int>(threadIdx.x);
        own[thread] = 1000 * static_cast<int>(problem) + thread;
        if (wait)
            __syncthreads();
        else
            __syncwarp();
        out[problem * Team::size() + thread] = own[(thread + steps) % Team::size()];
    });
}

__global__ void diverge(int threads, bool leave) {
    if (static_cast<int>(threadIdx.x) < threads)
        __syncthreads();
    else if (!leave)
        __syncwarp();
}

__global__ void two_places() {
    if (threadIdx.x % 32 == 0)
        __syncthreads();
    else
        __syncthreads();
}

std::vector<int> exchanged(int steps, bool wait) {
    std::vector<int> out(4 * Team::size());
    CHECK(error_of(exchange, 4 * Team::size(), out.data(), steps, wait) == "");
    return out;
}

std::vector<int> expected(int steps) {
    std::vector<int> out;
    for (int problem = 0; problem < 4; ++problem)
        for (int t = 0; t < Team::size(); ++t)
            out.push_back(1000 * problem + (t + steps) % Team::size());
    return out;
}

}  // namespace

TEST_CASE("threads see each other's writes after barriers, and only then") {
    for (int steps : {1, 31, 32, 40, 95}) CHECK(exchanged(steps, true) == expected(steps));
    CHECK(exchanged(0, false) == expected(0));
    for (int steps : {1, 32, 95}) CHECK(exchanged(steps, false) != expected(steps));
}

TEST_CASE("any number of blocks will do") {
    REQUIRE(setenv("COMIX_EMULATED_BLOCKS", "1", 1) == 0);
    CHECK(exchanged(40, true) == expected(40));
    REQUIRE(unsetenv("COMIX_EMULATED_BLOCKS") == 0);
}

TEST_CASE("threads that wait at different barriers are found, and the next launch is fine") {
    const std::string text = " wait at different barriers, or have ended";
    for (bool leave : {false, true}) {
        CHECK(error_of(diverge, 0, 16, leave).find("threads of a warp" + text) !=
              std::string::npos);
        CHECK(error_of(diverge, 0, 64, leave).find("threads of a block" + text) !=
              std::string::npos);
        CHECK(error_of(diverge, 0, 96, leave) == "");
    }
    CHECK(error_of(two_places, 0).find("threads of a warp" + text) != std::string::npos);
    CHECK(exchanged(40, true) == expected(40));
}

TEST_CASE("shared memory is what the launch asked for") {
    CHECK(error_of(write_at, 160, std::size_t{159}) == "");
    for (std::size_t place : {160, 1000})
        CHECK(error_of(write_at, 160, place).find("writes beyond its 160 bytes") !=
              std::string::npos);
    CHECK(error_of(write_at, 60 * 1024, std::size_t{60 * 1024 - 1}) == "");  // launch() asks
    CHECK(error_of(write_at, 65 * 1024, std::size_t{0}).find("more shared memory") !=
          std::string::npos);
    CHECK(cudaFuncSetAttribute(write_at, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20) ==
          cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("streams belong to devices, launches leave the current one alone") {
    Stream mixed = stream_of(3);
    mixed.device = 2;
    CHECK_THROWS_WITH_AS(launch(mixed, "test", two_places, 1, 32, 0),
                         doctest::Contains("the stream is not the current device's"), Error);
    CHECK_THROWS_WITH_AS(launch(stream_of(8), "test", two_places, 1, 32, 0),
                         doctest::Contains("invalid device ordinal"), Error);
    CHECK_THROWS_WITH_AS(launch(stream_of(0), "test", two_places, 1, 1025, 0),
                         doctest::Contains("cudaErrorInvalidConfiguration"), Error);
    int device = -1;
    CHECK(cudaGetDevice(&device) == cudaSuccess);
    CHECK(device == 0);
}
