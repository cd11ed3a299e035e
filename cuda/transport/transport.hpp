// Launchers of the transport kernels. All pointers are device memory.
#pragma once

#include <cstdint>

#include "cuda/base/launch.hpp"

namespace comix::cuda::transport {

enum class Method { exact, greedy };  // transport/transport.hpp

// Problems of one grid: saliency and mask [count, gh, gw] of T, float or double.
template <class T>
struct Batch {
    std::int64_t count = 0, height = 0, width = 0;
    const T* saliency = nullptr;
    const T* mask = nullptr;  // shown where > 0
    double eps = 0.8;

    std::int64_t blocks() const { return height * width; }
};

// plan [count, gh, gw]: the block that lands at each position. scratch: plan_scratch_bytes(...)
// bytes. InvalidArgument: more than 16384 blocks; eps negative, not finite or so large that costs
// overflow.
template <class T>
void transport_plan(const Stream& stream, const Batch<T>& batch, Method method, void* scratch,
                    std::int64_t* plan);
// 0 where a plan's arrays fit the shared memory of every device: exact up to 36 x 36 blocks and
// greedy up to 20 x 20.
std::int64_t plan_scratch_bytes(std::int64_t count, std::int64_t height, std::int64_t width,
                                Method method);

// cost [count] of plan [count, gh, gw].
template <class T>
void transport_cost(const Stream& stream, const Batch<T>& batch, const std::int64_t* plan,
                    double* cost);

}  // namespace comix::cuda::transport
