// The race detector: planted races are found, with the two places in the code, and what a barrier
// or an atomic orders is not reported.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_NO_MULTITHREADING  // no atomics of its own: the compiler watches this file
#include <random>
#include <string>
#include <vector>

#include "cuda/base/atomics.hpp"
#include "cuda/base/collectives.hpp"
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

constexpr int kThreads = 96;

template <class Kernel, class... Arguments>
std::string error_of(Kernel* kernel, int blocks, const Arguments&... arguments) {
    const Stream stream{3, reinterpret_cast<void*>(std::uintptr_t{4} << 12)};
    try {
        launch(stream, "test", kernel, blocks, kThreads, 4 * kThreads, arguments...);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

enum class Wait { not_at_all, warp, block };

__device__ void wait_for(Wait others) {
    if (others == Wait::block) __syncthreads();
    if (others == Wait::warp) __syncwarp();
}

// A thread writes, another one reads; in shared memory, or in out [blocks, kThreads].
__global__ void exchange(int* out, bool global, int steps, Wait others) {
    int* const shared = arena();
    const int thread = static_cast<int>(threadIdx.x);
    int* const memory = global ? out + blockIdx.x * kThreads : shared;
    memory[thread] = thread;
    wait_for(others);
    const int seen = memory[(thread + steps) % kThreads];
    wait_for(others);
    memory[thread] = seen;
}

// Every thread reads, then one writes.
__global__ void read_then_write(int writer, Wait others) {
    int* const shared = arena();
    if (threadIdx.x == 0) shared[0] = 1;
    __syncthreads();
    const int seen = shared[0];
    wait_for(others);
    if (static_cast<int>(threadIdx.x) == writer) shared[0] = seen + 1;
}

// Within a warp. out [blocks, kThreads]
__global__ void swap_neighbours(int* out, Wait others) {
    int* const own = out + blockIdx.x * kThreads;
    const int thread = static_cast<int>(threadIdx.x);
    own[thread] = thread;
    wait_for(others);
    const int seen = own[thread ^ 1];
    wait_for(others);
    own[thread] = seen;
}

// What one block writes, another one reads.
__global__ void across_blocks(int* out, bool atomically) {
    if (threadIdx.x != 0) return;
    if (atomically)
        atomic_add(out, 1);
    else
        out[0] += 1;
}

enum class Plain { nothing, reads, writes };

__global__ void mixed(int* out, Plain plain, bool wait) {
    atomic_add(out, 1);
    if (wait) __syncthreads();
    if (threadIdx.x != 40) return;
    if (plain == Plain::nothing) out[1] = atomic_read(out);
    if (plain == Plain::reads) out[1] = out[0];
    if (plain == Plain::writes) out[0] = 7;
}

// An atomic flag does not order what it announces.
__global__ void announce(int* out) {
    if (threadIdx.x == 0) {
        out[1] = 5;
        atomic_add(out, 1);
    }
    if (threadIdx.x == 32 && atomic_read(out) == 1) out[2] = out[1];
}

__global__ void bytes(unsigned char* out, int apart) {
    out[threadIdx.x * apart / 2] = 1;
}

__global__ void same_value(int* out) {
    out[0] = 1;
}

__global__ void beyond(int place) {
    volatile int seen = arena()[place];
    (void)seen;
}

__global__ void sums(int* out) {
    for_each_problem<BlockTeam<kThreads>>(4, 0, [&](BlockTeam<kThreads>& team, std::int64_t k) {
        int* const partial = team.shared<int>(kThreads);
        const int sum = reduce_sum(team, partial, [](int thread) { return thread; });
        team.phase([&](int thread) {
            if (thread == 0) out[k] = sum;
        });
    });
}

enum class Act { nothing, read, write, update, read_atomically };

struct Step {
    Act act = Act::nothing;
    int place = 0, bytes = 1;  // 4: aligned
};

// steps [count, blocks, kThreads], with a barrier (or none) after each; memory [16] bytes.
__global__ void follow(const Step* steps, const Wait* waits, int count, unsigned char* memory,
                       int* out) {
    const int thread = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
    int seen = 0;
    for (int s = 0; s < count; ++s) {
        const Step& step = steps[s * static_cast<int>(gridDim.x) * kThreads + thread];
        auto* const word = reinterpret_cast<int*>(memory + step.place / 4 * 4);
        if (step.act == Act::update) seen += atomic_add(word, 1);
        if (step.act == Act::read_atomically) seen += atomic_read(word);
        if (step.act == Act::read) seen += step.bytes == 4 ? *word : memory[step.place];
        if (step.act == Act::write && step.bytes == 4) *word = s;
        if (step.act == Act::write && step.bytes == 1)
            memory[step.place] = static_cast<unsigned char>(s);
        wait_for(waits[s]);
    }
    out[thread] = seen;
}

// The definition of a race, for all pairs of accesses.
bool races_by_definition(const std::vector<Step>& steps, const std::vector<Wait>& waits,
                         std::size_t blocks) {
    const std::size_t threads = blocks * kThreads;
    for (std::size_t i = 0; i < steps.size(); ++i)
        for (std::size_t k = i + 1; steps[i].act != Act::nothing && k < steps.size(); ++k) {
            const Step &a = steps[i], &b = steps[k];
            const bool writes = a.act == Act::write || b.act == Act::write;
            const bool mixes = (a.act == Act::read && b.act == Act::update) ||
                               (a.act == Act::update && b.act == Act::read);
            const bool meet = a.place < b.place + b.bytes && b.place < a.place + a.bytes;
            if (b.act == Act::nothing || !(writes || mixes) || !meet) continue;
            const std::size_t one = i % threads, other = k % threads;
            const bool same_block = one / kThreads == other / kThreads;
            bool ordered = one == other;
            for (std::size_t s = i / threads; s < k / threads; ++s)
                ordered = ordered || (same_block && waits[s] == Wait::block) ||
                          (one / 32 == other / 32 && waits[s] == Wait::warp);
            if (!ordered) return true;
        }
    return false;
}

std::vector<int> some() {
    return std::vector<int>(4 * kThreads);
}

}  // namespace

TEST_CASE("a race is where no barrier is, in shared and in global memory") {
    for (bool global : {false, true})
        for (int blocks : {1, 3}) {
            CAPTURE(global);
            for (int steps : {1, 31, 32, 50}) {
                auto out = some();
                CHECK(error_of(exchange, blocks, out.data(), global, steps, Wait::block) == "");
                const std::string none =
                    error_of(exchange, blocks, out.data(), global, steps, Wait::not_at_all);
                CHECK(has(none, global ? "bytes of global memory" : "bytes of shared memory"));
                CHECK(has(none, " writes at "));
                CHECK(has(none, " reads at "));
                // A warp's barrier does not order what other warps do.
                CHECK(
                    has(error_of(exchange, blocks, out.data(), global, steps, Wait::warp), "race"));
            }
            auto out = some();
            CHECK(error_of(exchange, blocks, out.data(), global, 0, Wait::not_at_all) == "");
        }
}

TEST_CASE("a warp does not run in lockstep, and its own barrier orders it") {
    auto out = some();
    CHECK(has(error_of(swap_neighbours, 2, out.data(), Wait::not_at_all), "race"));
    CHECK(error_of(swap_neighbours, 2, out.data(), Wait::warp) == "");
    CHECK(error_of(swap_neighbours, 2, out.data(), Wait::block) == "");
}

TEST_CASE("reads before a write are remembered") {
    for (int writer : {0, 1, 31, 32, 95}) {
        CHECK(has(error_of(read_then_write, 2, writer, Wait::not_at_all), " writes at "));
        CHECK(has(error_of(read_then_write, 2, writer, Wait::warp), " writes at "));
        CHECK(error_of(read_then_write, 2, writer, Wait::block) == "");
    }
}

TEST_CASE("blocks are not ordered, launches are") {
    auto out = some();
    CHECK(error_of(across_blocks, 1, out.data(), false) == "");
    CHECK(error_of(across_blocks, 1, out.data(), false) == "");
    CHECK(error_of(across_blocks, 3, out.data(), true) == "");
    const std::string race = error_of(across_blocks, 3, out.data(), false);
    CHECK(has(race, "block 0 thread 0 writes at "));
    CHECK(has(race, "block 1 thread 0 reads at "));
    CHECK(has(race, "emulated_cuda/race_checks.cpp:"));
    CHECK(error_of(across_blocks, 3, out.data(), true) == "");
}

TEST_CASE("atomics meet atomics, and order nothing else") {
    auto out = some();
    CHECK(error_of(mixed, 1, out.data(), Plain::nothing, false) == "");
    CHECK(has(error_of(mixed, 1, out.data(), Plain::reads, false), "updates atomically"));
    CHECK(has(error_of(mixed, 1, out.data(), Plain::writes, false), "updates atomically"));
    CHECK(error_of(mixed, 1, out.data(), Plain::reads, true) == "");
    CHECK(has(error_of(mixed, 2, out.data(), Plain::reads, true), "race"));
    out = some();
    CHECK(has(error_of(announce, 1, out.data()), "race"));
}

TEST_CASE("a launch has races exactly if two accesses meet the definition") {
    std::mt19937 random(5);
    const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random()) % end; };
    const std::size_t threads[] = {0, 1, 31, 32, 40, 95};
    constexpr std::size_t kSteps = 8;
    int with = 0;
    for (int course = 0; course < 300; ++course) {
        const std::size_t blocks = course % 5 == 0 ? 2 : 1;
        std::vector<Wait> waits(kSteps);
        for (Wait& wait : waits) wait = static_cast<Wait>(below(3));
        std::vector<Step> steps(kSteps * blocks * kThreads);
        for (std::size_t i = 3 + below(6); i > 0; --i) {
            const std::size_t place = below(kSteps) * blocks + below(blocks);
            Step& step = steps[place * kThreads + threads[below(6)]];
            step.act = static_cast<Act>(1 + below(4));
            step.bytes = step.act == Act::read || step.act == Act::write ? below(2) ? 1 : 4 : 4;
            step.place = static_cast<int>(below(8)) / step.bytes * step.bytes;
        }
        alignas(16) unsigned char memory[16] = {};
        std::vector<int> out(blocks * kThreads);
        const bool expected = races_by_definition(steps, waits, blocks);
        const std::string found =
            error_of(follow, static_cast<int>(blocks), steps.data(), waits.data(),
                     static_cast<int>(kSteps), &memory[0], out.data());
        CAPTURE(course);
        CHECK(has(found, "race: ") == expected);
        with += expected;
    }
    CHECK(with > 75);
    CHECK(with < 225);
}

TEST_CASE("memory counts by bytes, and equal values are no excuse") {
    std::vector<unsigned char> memory(kThreads);
    CHECK(error_of(bytes, 1, memory.data(), 2) == "");
    CHECK(has(error_of(bytes, 1, memory.data(), 1), "1 bytes of global memory"));
    auto out = some();
    CHECK(has(error_of(same_value, 1, out.data()), "race: 4 bytes"));
}

TEST_CASE("reads beyond shared memory are found") {
    CHECK(error_of(beyond, 1, kThreads - 1) == "");
    CHECK(has(error_of(beyond, 1, kThreads),
              "beyond shared memory: 4 bytes of shared memory at 384 of 384"));
}

TEST_CASE("teams and their operations keep to the rules") {
    auto out = some();
    CHECK(error_of(sums, 2, out.data()) == "");
    CHECK(out[3] == kThreads * (kThreads - 1) / 2);
}
