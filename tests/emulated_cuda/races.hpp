// Finds races of kernels on the emulated device: two accesses to the same bytes of shared or global
// memory by two threads of a launch, at least one of them a write and not both atomic, that no
// barrier orders - whatever order the fibers really ran in.
//
// What orders accesses is what orders them on a device with independent thread scheduling: one
// thread's own order; __syncthreads() among the threads of a block; __syncwarp() among those of a
// warp; a launch against all before it. Not the lockstep of a warp, not the order of blocks, and
// not atomics, which are relaxed: an atomic operation on one number says nothing about others.
//
// Kernels are compiled with -fsanitize=thread, which calls a function before every access, and
// these functions are ours (races.cpp): no sanitizer's library takes part. Since fibers run block
// by block and warp by warp, and wait at barriers only, a few numbers tell exactly which of earlier
// accesses a barrier orders, and two accesses of a kind stand for all; so every
// race among the accesses that a run makes is found. It cannot find those of a way that the run
// does not take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace comix_emulated {

constexpr std::size_t kStack = 256 * 1024;                      // of a fiber
constexpr std::size_t kMostShared = 64 * 1024, kBeyond = 4096;  // Turing's, and what nobody may
constexpr std::size_t kArena = kMostShared + kBeyond;           // write behind it

// What the device says.
void races_begin_launch(std::size_t shared);
void races_begin_block();
void races_begin_phase();
void races_begin_warp(unsigned first_thread);
void races_begin_stretch();
void races_enter(unsigned thread, const char* stack);
void races_leave();

// The races of the launch, one per pair of places in the code, and accesses beyond its shared
// memory; "" for none.
std::string races_found();

// Before an atomic operation that may write.
void races_update(const void* target, std::size_t bytes, const void* caller);

}  // namespace comix_emulated
