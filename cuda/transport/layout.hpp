// How a call is spread over the device: threads per plan, and which arrays fit shared memory.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/errors.hpp"
#include "cuda/base/launch.hpp"
#include "cuda/transport/exact.hpp"
#include "cuda/transport/greedy.hpp"

namespace comix::cuda::transport {

constexpr int kWarpBlocks = 256;  // up to here a step is too short to be worth a block's barriers
constexpr std::size_t kMostShared = kAskedShared;
constexpr int kExactThreads = 128, kGreedyThreads = 128, kLargeThreads = 512;
// Plans with arrays in global memory take turns in so many slots.
constexpr std::int64_t kSlotBytes = std::int64_t{1} << 27, kLeastSlots = 16, kMostSlots = 1024;

struct Layout {
    int threads;
    std::size_t shared;   // bytes per team
    std::int64_t global;  // bytes per team, 0: none
    bool arrays_shared;

    // How many plans are worked on at a time.
    std::int64_t slots(std::int64_t count) const {
        if (global == 0) return count;
        std::int64_t most = kSlotBytes / global;
        most = most < kLeastSlots ? kLeastSlots : most > kMostSlots ? kMostSlots : most;
        return count < most ? count : most;
    }
};

namespace detail {

inline std::size_t rounded(const SharedBytes& bytes) {  // so that the next team's begins aligned
    return (bytes.total() + 15) / 16 * 16;
}

}  // namespace detail

inline Layout exact_layout(int blocks) {
    const int threads = blocks <= kWarpBlocks ? 32 : kExactThreads;
    const std::size_t all = detail::rounded(exact_arrays(exact_shared(threads), blocks));
    if (all <= kMostShared) return {threads, all, 0, true};
    return {kLargeThreads, detail::rounded(exact_shared(kLargeThreads)),
            static_cast<std::int64_t>(detail::rounded(exact_arrays({}, blocks))), false};
}

inline Layout greedy_layout(int blocks, int side) {
    const SharedBytes arrays = greedy_arrays(greedy_shared(kGreedyThreads), blocks);
    const std::size_t all = detail::rounded(greedy_penalties(arrays, blocks, side));
    if (all <= kMostShared) return {kGreedyThreads, all, 0, true};
    const auto penalties =
        static_cast<std::int64_t>(detail::rounded(greedy_penalties({}, blocks, side)));
    if (arrays.total() <= kMostShared)
        return {kGreedyThreads, detail::rounded(arrays), penalties, true};
    const SharedBytes both = greedy_penalties(greedy_arrays({}, blocks), blocks, side);
    return {kLargeThreads, detail::rounded(greedy_shared(kLargeThreads)),
            static_cast<std::int64_t>(detail::rounded(both)), false};
}

// The grid of a call, checked.
inline Grid checked_grid(std::int64_t height, std::int64_t width, double eps) {
    require(height >= 1 && width >= 1, "saliency: expected at least one block");
    require(height <= kMostBlocks && width <= kMostBlocks && height * width <= kMostBlocks,
            "saliency: expected at most 16384 blocks (128 x 128) to move");
    require(eps >= 0 && std::isfinite(eps), "eps: expected a finite number >= 0");
    const Grid grid(static_cast<int>(height), static_cast<int>(width), eps);
    require(std::isfinite(grid.unit() * grid.furthest()),
            "eps, saliency: expected costs that float64 can hold, got some that overflow");
    return grid;
}

}  // namespace comix::cuda::transport
