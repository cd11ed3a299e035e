// What the emulated device tells whoever watches its kernels: races.cpp, which finds races, or
// steps.cpp, which counts. One of the two is linked.
//
// Kernels that are watched are compiled with -fsanitize=thread, which calls a function before every
// access, and these functions are the watcher's: no sanitizer's library takes part.
#pragma once

#include <cstddef>
#include <string>

#include "cuda_runtime.h"

namespace comix_emulated {

constexpr std::size_t kStack = 256 * 1024;                      // of a fiber
constexpr std::size_t kMostShared = 64 * 1024, kBeyond = 4096;  // Turing's, and what nobody may
constexpr std::size_t kArena = kMostShared + kBeyond;           // write behind it

// A launch is made of blocks; a block of phases, which end at __syncthreads(); a phase of warps,
// one after the other; a warp of stretches, which end at any barrier; a stretch of threads.
void watch_begin_launch(Kernel kernel, unsigned blocks, unsigned threads, std::size_t shared);
void watch_begin_block();
void watch_begin_phase();
void watch_begin_warp(unsigned first_thread);
void watch_begin_stretch();
void watch_enter(unsigned thread, const char* stack);
void watch_barrier(const void* place);  // the thread waits there next
void watch_leave();

// What is wrong with the launch; "" for nothing.
std::string watch_end_launch();

// Before an access of a kernel, or of the host's code around it, called at `caller`.
enum class Kind { reads, reads_atomically, updates_atomically, writes };
constexpr int kKinds = 4;
void watch_access(Kind kind, const void* target, std::size_t bytes, const void* caller);

}  // namespace comix_emulated
