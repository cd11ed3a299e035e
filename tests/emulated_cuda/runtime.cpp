// An emulated CUDA device for tests: it runs the real kernels, launched by the real code through
// the real bindings, one block after the other, each of its threads a fiber on the CPU.
//
// It shows: wrong arguments anywhere between Python and a kernel; shared memory or threads that a
// launch may not have, and a stream of another device; threads of a block or warp that wait at
// different barriers, or leave while others wait; missing barriers, since a fiber runs up to its
// next barrier and a warp up to its next block barrier before others do, in changing orders;
// shared memory that is read before it is written (it begins as noise) or written beyond what the
// launch asked for; blocks that leave something behind for the next problem of theirs
// (COMIX_EMULATED_BLOCKS).
//
// Kernels that are compiled with -fsanitize=thread (COMIX_EMULATED_WATCH=RACES) also show races,
// between threads of a warp, of a block, and of different blocks: races.cpp.
//
// It cannot show: what only another order of threads makes the code do; the device's memory model
// beyond races.cpp; time; registers and __launch_bounds__; what nvcc makes of the code; anything
// that waits for the device or a stream, since launches return when they are done.
#include "cuda_runtime.h"
#include "watch.hpp"

#include <ucontext.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

comix_emulated::Index threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr unsigned kDevices = 8, kMostThreads = 1024, kWarp = 32;
constexpr std::size_t kPlainShared = 48 * 1024;

}  // namespace

namespace comix::cuda {

// What launch.cuh declares: the dynamic shared memory of the one block that runs.
alignas(16) unsigned char comix_arena[comix_emulated::kArena];

}  // namespace comix::cuda

namespace comix_emulated {

namespace {

using comix::cuda::comix_arena;

enum class State { ready, at_warp_barrier, at_block_barrier, done };

struct Fiber {
    State state = State::ready;
    int line = 0;  // of the barrier where it waits
    bool started = false;
    ucontext_t begin;
    std::jmp_buf here;
    std::unique_ptr<char[]> stack;
};

std::mutex device_lock;  // one launch at a time
std::vector<Fiber> fibers(kMostThreads);
unsigned running = 0;
std::jmp_buf scheduler;
const std::function<void()>* body = nullptr;
std::map<Kernel, std::size_t> allowed_shared;
thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_text;

struct Failure {
    cudaError_t status;
    std::string text;
};

// Switching by jumps costs no call of the system, unlike swapcontext, which is for the first time.
void leave(State state, int line) {
    Fiber& fiber = fibers[running];
    fiber.state = state;
    fiber.line = line;
    if (_setjmp(fiber.here) == 0) _longjmp(scheduler, 1);
}

void fiber_main() {
    for (;;) {
        (*body)();
        leave(State::done, 0);
    }
}

void resume(unsigned thread) {
    Fiber& fiber = fibers[thread];
    running = threadIdx.x = thread;
    if (!fiber.stack) fiber.stack.reset(new char[kStack]);  // not touched, so mostly not there
    watch_enter(thread, fiber.stack.get());
    if (_setjmp(scheduler) != 0) return watch_leave();
    if (fiber.started) _longjmp(fiber.here, 1);
    fiber.started = true;
    getcontext(&fiber.begin);
    fiber.begin.uc_stack.ss_sp = fiber.stack.get();
    fiber.begin.uc_stack.ss_size = kStack;
    fiber.begin.uc_link = nullptr;
    makecontext(&fiber.begin, fiber_main, 0);
    setcontext(&fiber.begin);
}

// The i-th of 32 in an order that changes from turn to turn.
unsigned in_order(unsigned turn, unsigned i) {
    return (11 * turn + (2 * turn + 1) * i) % 32;
}

Failure stuck(const std::string& what) {
    return {cudaErrorLaunchFailure, "block " + std::to_string(blockIdx.x) + ": " + what};
}

// The state that threads first..end-1 have in common.
State common_state(unsigned first, unsigned end, const char* who) {
    const Fiber& one = fibers[first];
    for (unsigned t = first + 1; t < end; ++t)
        if (fibers[t].state != one.state || fibers[t].line != one.line)
            throw stuck(std::string(who) +
                        " wait at different barriers, or have ended, as threads " +
                        std::to_string(first) + " and " + std::to_string(t));
    return one.state;
}

void release(unsigned first, unsigned end) {
    for (unsigned t = first; t < end; ++t) fibers[t].state = State::ready;
}

// Up to the next barrier of the block, or to the end.
void run_warp(unsigned first, unsigned end, unsigned& turn) {
    watch_begin_warp(first);
    for (;;) {
        ++turn;
        watch_begin_stretch();
        for (unsigned i = 0; i < kWarp; ++i) {
            const unsigned thread = first + in_order(turn, i);
            if (thread < end) resume(thread);
        }
        if (common_state(first, end, "threads of a warp") != State::at_warp_barrier) return;
        release(first, end);
    }
}

void run_block(unsigned threads, unsigned& turn) {
    do {
        release(0, threads);
        watch_begin_phase();
        for (unsigned i = 0, order = turn; i < kMostThreads / kWarp; ++i) {
            const unsigned first = kWarp * in_order(order, i);
            if (first < threads) run_warp(first, std::min(first + kWarp, threads), turn);
        }
    } while (common_state(0, threads, "threads of a block") == State::at_block_barrier);
}

void run_blocks(unsigned blocks, unsigned threads, std::size_t shared) {
    unsigned turn = 0;
    for (unsigned block = 0; block < blocks; ++block) {
        blockIdx.x = block;
        watch_begin_block();
        for (std::size_t i = 0; i < shared; ++i)
            comix_arena[i] = static_cast<unsigned char>(0xA5 + 167 * i + block);
        unsigned char* const beyond = comix_arena + shared;
        std::fill_n(beyond, kBeyond, static_cast<unsigned char>(0x5A));
        run_block(threads, turn);
        if (std::any_of(beyond, beyond + kBeyond, [](unsigned char byte) { return byte != 0x5A; }))
            throw stuck("writes beyond its " + std::to_string(shared) + " bytes of shared memory");
    }
}

void check_launch(Kernel kernel, unsigned blocks, unsigned threads, std::size_t shared,
                  cudaStream_t stream) {
    if (blocks < 1 || blocks > 0x7fffffffU || threads < 1 || threads > kMostThreads)
        throw Failure{cudaErrorInvalidConfiguration, "invalid configuration argument"};
    const auto found = allowed_shared.find(kernel);
    if (shared > (found == allowed_shared.end() ? kPlainShared : found->second))
        throw Failure{cudaErrorInvalidValue, "more shared memory than was asked for"};
    if (reinterpret_cast<std::uintptr_t>(stream) >> 12 !=
        static_cast<std::uintptr_t>(current_device) + 1)
        throw Failure{cudaErrorInvalidResourceHandle, "the stream is not the current device's"};
}

// Kernels walk over their items, so they have to work with fewer blocks than they asked for.
unsigned blocks_at_once(unsigned blocks) {
    const char* const most = std::getenv("COMIX_EMULATED_BLOCKS");
    return most ? std::min(blocks, static_cast<unsigned>(std::atoi(most))) : blocks;
}

}  // namespace

cudaError_t allow_shared(Kernel kernel, int bytes) {
    if (bytes < 0 || static_cast<std::size_t>(bytes) > kMostShared) {
        last_text = "no device gives so much shared memory";
        return last_error = cudaErrorInvalidValue;
    }
    const std::lock_guard<std::mutex> guard(device_lock);
    allowed_shared[kernel] = static_cast<std::size_t>(bytes);
    return cudaSuccess;
}

void run(Kernel kernel, unsigned blocks, unsigned threads, std::size_t shared, cudaStream_t stream,
         const std::function<void()>& thread) {
    const std::lock_guard<std::mutex> guard(device_lock);
    watch_begin_launch(kernel, blocks, threads, shared);
    std::string wrong;
    try {
        check_launch(kernel, blocks, threads, shared, stream);
        body = &thread;
        gridDim.x = blocks_at_once(blocks);
        blockDim.x = threads;
        run_blocks(gridDim.x, threads, shared);
    } catch (const Failure& failure) {
        last_error = failure.status;
        wrong = failure.text;
        for (Fiber& fiber : fibers) fiber.started = false;  // where they are they stay
    }
    const std::string races = watch_end_launch();
    if (!races.empty()) {
        last_error = cudaErrorLaunchFailure;
        wrong += (wrong.empty() ? "" : "; ") + ("wrong accesses:" + races);
    }
    if (!wrong.empty()) last_text = wrong;
}

}  // namespace comix_emulated

void __syncthreads(int line) {
    comix_emulated::watch_barrier(__builtin_return_address(0));
    comix_emulated::leave(comix_emulated::State::at_block_barrier, line);
}

void __syncwarp(int line) {
    comix_emulated::watch_barrier(__builtin_return_address(0));
    comix_emulated::leave(comix_emulated::State::at_warp_barrier, line);
}

cudaError_t cudaGetLastError() {
    const cudaError_t status = comix_emulated::last_error;
    comix_emulated::last_error = cudaSuccess;
    return status;
}

const char* cudaGetErrorString(cudaError_t status) {
    return status == cudaSuccess ? "no error" : comix_emulated::last_text.c_str();
}

const char* cudaGetErrorName(cudaError_t status) {
    switch (status) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorInvalidConfiguration:
            return "cudaErrorInvalidConfiguration";
        case cudaErrorInvalidDevice:
            return "cudaErrorInvalidDevice";
        case cudaErrorInvalidResourceHandle:
            return "cudaErrorInvalidResourceHandle";
        case cudaErrorLaunchFailure:
            return "cudaErrorLaunchFailure";
    }
    return "unknown error";
}

cudaError_t cudaGetDevice(int* device) {
    *device = comix_emulated::current_device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= static_cast<int>(kDevices)) {
        comix_emulated::last_text = "invalid device ordinal";
        return comix_emulated::last_error = cudaErrorInvalidDevice;
    }
    comix_emulated::current_device = device;
    return cudaSuccess;
}
