// The counts of kernels that are counted by hand.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_NO_MULTITHREADING  // no atomics of its own: the compiler watches this file
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "cuda/base/launch.cuh"
#include "doctest.h"

namespace comix::cuda {

__device__ inline int* arena() {
    extern __shared__ __align__(16) unsigned char comix_arena[];
    return reinterpret_cast<int*>(comix_arena);
}

}  // namespace comix::cuda

using namespace comix::cuda;

namespace {

constexpr int kThreads = 64;
constexpr const char* kFile = "step_checks.json";

template <class Kernel, class... Arguments>
std::string counts_of(Kernel* kernel, int blocks, const Arguments&... arguments) {
    const Stream stream{3, reinterpret_cast<void*>(std::uintptr_t{4} << 12)};
    std::remove(kFile);
    REQUIRE(setenv("COMIX_EMULATED_STEPS_FILE", kFile, 1) == 0);
    launch(stream, "test", kernel, blocks, kThreads, 4 * kThreads, arguments...);
    std::ifstream file(kFile);
    std::string line;
    std::getline(file, line);
    std::remove(kFile);
    return line;
}

// The number behind "name": in the part of the line that begins with "part":, -1 if there is none.
long long number(const std::string& line, const std::string& part, const std::string& name) {
    const std::size_t begin = line.find("\"" + part + "\":");
    const std::size_t found = line.find("\"" + name + "\":", begin == line.npos ? 0 : begin);
    return begin == line.npos || found == line.npos
               ? -1
               : std::atoll(line.c_str() + found + name.size() + 3);
}

// Thread t of block b writes `most[b]` times if it is thread 40, else once; the warps wait
// once for their own threads, the block twice; then each thread stores what it read.
__global__ void write_and_wait(const int* most, int* out) {
    int* const shared = arena();
    const unsigned t = threadIdx.x;
    const int times = t == 40 ? most[blockIdx.x] : 1;
    for (int i = 0; i < times; ++i) const_cast<volatile int*>(shared)[t] = i;
    __syncwarp();
    __syncthreads();
    const int seen = shared[(t + 1) % kThreads];
    __syncthreads();
    out[blockIdx.x * kThreads + t] = seen;
}

}  // namespace

TEST_CASE("a launch takes as long as the longest thread between any two barriers") {
    alignas(32) const std::vector<int> most = {3, 9, 5};
    std::vector<int> out(3 * kThreads + 8);
    int* const aligned = out.data() + (32 - reinterpret_cast<std::uintptr_t>(out.data()) % 32) / 4;
    const std::string line = counts_of(write_and_wait, 3, most.data(), aligned);
    INFO(line);
    CHECK(number(line, "longest", "barriers") == 3);  // the end is one
    CHECK(number(line, "longest", "waits") == 1);
    CHECK(number(line, "longest", "shared") == 9 + 1);
    CHECK(number(line, "longest", "global") == 1 + 1);
    CHECK(number(line, "longest", "fetches") == 2);
    CHECK(number(line, "longest", "code") > 9);
    // Of each of six warps: 3, 9 and 5 writes of one thread, 1 of every other warp, and a read.
    CHECK(number(line, "warps", "shared") == (3 + 9 + 5) + 3 + 6);
    CHECK(line.find("\"threads\": 64") != line.npos);
    CHECK(line.find("\"bytes_written\": " + std::to_string(3 * kThreads * 4)) != line.npos);
    CHECK(number(line, "before", "barriers") >= 0);
}

TEST_CASE("counts begin anew with every launch, and are not written unless asked for") {
    const std::vector<int> most = {2};
    std::vector<int> out(kThreads);
    const auto count = [&] {
        return number(counts_of(write_and_wait, 1, most.data(), out.data()), "longest", "shared");
    };
    CHECK(count() == 3);
    CHECK(count() == 3);
    REQUIRE(unsetenv("COMIX_EMULATED_STEPS_FILE") == 0);
    const Stream stream{3, reinterpret_cast<void*>(std::uintptr_t{4} << 12)};
    launch(stream, "test", write_and_wait, 1, kThreads, 4 * kThreads, most.data(), out.data());
    CHECK(!std::ifstream(kFile).good());
}
