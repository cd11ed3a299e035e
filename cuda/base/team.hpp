// A team of threads that solves one problem: the one abstraction that lets the logic of a kernel
// run on the CPU too, where it can be tested.
//
// An algorithm is a function template over its team,
//
//   template <class Team>
//   COMIX_HD void solve(Team& team, const Problem& problem) {
//       int* label = team.template shared<int>(problem.sites);      // [sites], uninitialised
//       team.phase([&](int thread) {
//           for (int p = thread; p < problem.sites; p += team.size()) label[p] = 0;
//       });
//       ...
//   }
//
// and keeps these rules:
//   1. phase(body) calls body(thread) for every thread of 0..size()-1, in any order or at once;
//      then all threads wait for each other. Inside a phase no thread reads or writes what another
//      one writes, except through the atomics of atomics.hpp.
//   2. Outside phases every thread runs the same code: values there, and with them loops and
//      branches around phases, are the same for all. They come from arguments, or from memory
//      through uniform(), which waits until all threads have read. Nothing is written there.
//   3. What a thread remembers from phase to phase lies in shared memory, indexed by the thread.
//      warp_phase(body) is a phase after which a thread waits for those of its own warp only (the
//      32 with the same thread / 32): what it wrote, others may read after the next phase.
//   4. The answer does not depend on size() (sums of floating numbers: only in their last digits).
//
// Teams:
//   BlockTeam<Threads>  one thread block per problem            (device)
//   WarpTeam            one warp per problem, for small ones    (device)
//   HostTeam            one thread after the other, in three orders    (host_team.hpp)
//   SpmdTeam            a thread of the operating system each: the device's own model, for
//                       the thread sanitizer                           (host_team.hpp)
#pragma once

#include <cstddef>

#include "base/host_device.hpp"

namespace comix::cuda {

// Adds up the shared memory of a team: the same calls as shared<T>(count), before the launch.
class SharedBytes {
  public:
    template <class T>
    COMIX_HD constexpr SharedBytes& add(std::size_t count) {
        offset_ = (offset_ + alignof(T) - 1) / alignof(T) * alignof(T) + count * sizeof(T);
        return *this;
    }
    COMIX_HD constexpr std::size_t total() const { return offset_; }

  private:
    std::size_t offset_ = 0;
};

#if defined(__CUDACC__)

namespace detail {

// What the device teams have in common: handing out pieces of their shared memory.
class DeviceArena {
  public:
    // arena: dynamic shared memory, 16-byte aligned, of which this team's part begins there.
    __device__ explicit DeviceArena(void* arena) : arena_(static_cast<unsigned char*>(arena)) {}

    // Uninitialised memory [count] that all threads of the team see; lives as long as the team.
    template <class T>
    COMIX_HD T* shared(std::size_t count) {
        T* const begin = reinterpret_cast<T*>(arena_ + (used_.total() + alignof(T) - 1) /
                                                           alignof(T) * alignof(T));
        used_.add<T>(count);
        return begin;
    }

  private:
    unsigned char* arena_;
    SharedBytes used_;
};

}  // namespace detail

// The members are COMIX_HD as the algorithms are, but run on the device only.
template <int Threads>
class BlockTeam : public detail::DeviceArena {
  public:
    using DeviceArena::DeviceArena;

    COMIX_HD static constexpr int size() { return Threads; }

    template <class Body>
    COMIX_HD void phase(const Body& body) {
#if defined(__CUDA_ARCH__)
        body(static_cast<int>(threadIdx.x));
        __syncthreads();
#endif
    }

    template <class Body>
    COMIX_HD void warp_phase(const Body& body) {
#if defined(__CUDA_ARCH__)
        body(static_cast<int>(threadIdx.x));
        __syncwarp();
#endif
    }

    // What all threads see in `memory`. It may be written again in the next phase.
    template <class T>
    COMIX_HD T uniform(const T& memory) {
        const T value = memory;
#if defined(__CUDA_ARCH__)
        __syncthreads();
#endif
        return value;
    }
};

class WarpTeam : public detail::DeviceArena {
  public:
    using DeviceArena::DeviceArena;

    COMIX_HD static constexpr int size() { return 32; }

    template <class Body>
    COMIX_HD void phase(const Body& body) {
#if defined(__CUDA_ARCH__)
        body(static_cast<int>(threadIdx.x % 32));
        __syncwarp();
#endif
    }

    template <class Body>
    COMIX_HD void warp_phase(const Body& body) {
        phase(body);
    }

    template <class T>
    COMIX_HD T uniform(const T& memory) {
        const T value = memory;
#if defined(__CUDA_ARCH__)
        __syncwarp();
#endif
        return value;
    }
};

#endif  // __CUDACC__

}  // namespace comix::cuda
