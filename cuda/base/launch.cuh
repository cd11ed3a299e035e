// Launching kernels: device guard, grid size, errors.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/base/launch.hpp"
#include "cuda/base/team.hpp"

namespace comix::cuda {

inline void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // or the next launch would be blamed for it
    throw Error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(status) + " (" +
                cudaGetErrorName(status) + ")");
}

// Makes a device current, and puts the previous one back.
class DeviceGuard {
  public:
    explicit DeviceGuard(int device) : device_(device) {
        check(cudaGetDevice(&previous_), "asking for the current device");
        if (previous_ != device_) check(cudaSetDevice(device_), "choosing the device");
    }
    ~DeviceGuard() {
        if (previous_ != device_) cudaSetDevice(previous_);
    }
    DeviceGuard(const DeviceGuard&) = delete;
    DeviceGuard& operator=(const DeviceGuard&) = delete;

  private:
    int device_, previous_ = 0;
};

// The first item of this thread, and the step to its next one.
__device__ inline std::int64_t first_item() {
    return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t item_step() {
    return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

// One team per problem: calls solve(team, problem) for every problem of 0..problems-1. A block
// holds blockDim.x / Team::size() teams, each with `bytes` of the dynamic shared memory
// (team_bytes()).
template <class Team, class Solve>
__device__ void for_each_problem(std::int64_t problems, std::size_t bytes, const Solve& solve) {
    extern __shared__ __align__(16) unsigned char comix_arena[];
    const int teams = static_cast<int>(blockDim.x) / Team::size();
    const int own = static_cast<int>(threadIdx.x) / Team::size();
    for (std::int64_t problem = static_cast<std::int64_t>(blockIdx.x) * teams + own;
         problem < problems; problem += static_cast<std::int64_t>(gridDim.x) * teams) {
        Team team(comix_arena + own * bytes);
        solve(team, problem);
        team.phase([](int) {});  // the next problem reuses the memory
    }
}

// Shared memory of one team, so that the next one's begins aligned.
inline std::size_t team_bytes(const SharedBytes& shared) {
    return (shared.total() + 15) / 16 * 16;
}

// Launches kernel<<<blocks, threads, shared>>>(arguments...) on the stream; nothing waits for it.
// No blocks: nothing happens.
template <class... Parameters, class... Arguments>
void launch(const Stream& stream, const char* name, void (*kernel)(Parameters...), unsigned blocks,
            int threads, std::size_t shared, const Arguments&... arguments) {
    if (blocks == 0) return;
    const DeviceGuard guard(stream.device);
    // What a kernel may take is remembered with the kernel, for all threads: asking for just as
    // much as this launch takes could lower it under another thread's launch.
    if (shared > kPlainShared)
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(kAskedShared)),
              name);
    kernel<<<blocks, static_cast<unsigned>(threads), shared,
             static_cast<cudaStream_t>(stream.handle)>>>(arguments...);
    check(cudaGetLastError(), name);
}

}  // namespace comix::cuda
