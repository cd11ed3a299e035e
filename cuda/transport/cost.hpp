// What a plan costs (csrc/transport/transport.hpp): squared distances add up exactly, saliency in
// another order than on the CPU.
#pragma once

#include <cstdint>

#include "cuda/base/collectives.hpp"
#include "cuda/transport/problem.hpp"

namespace comix::cuda::transport {

inline SharedBytes cost_shared(int threads) {
    const auto size = static_cast<std::size_t>(threads);
    return SharedBytes().add<std::int64_t>(size).add<double>(size);
}

// plan [gh, gw]; blocks out of range count as the nearest.
template <class T, class Team>
COMIX_HD void plan_cost(Team& team, const Grid& grid, const Maps<T>& maps, const std::int64_t* plan,
                        double* cost) {
    const auto size = static_cast<std::size_t>(team.size());
    auto* const distances = team.template shared<std::int64_t>(size);
    auto* const gains = team.template shared<double>(size);
    const int n = grid.blocks();
    const auto block_at = [&](int j) {
        const std::int64_t i = plan[j];
        return i < 0 ? 0 : i < n ? static_cast<int>(i) : n - 1;
    };
    const std::int64_t distance = reduce_sum(team, distances, [&](int thread) {
        std::int64_t sum = 0;
        for (int j = thread; j < n; j += team.size()) {
            const Place from = place_of(grid, block_at(j)), to = place_of(grid, j);
            const std::int64_t rows = from.row - to.row, columns = from.column - to.column;
            sum += rows * rows + columns * columns;
        }
        return sum;
    });
    const double gain = reduce_sum(team, gains, [&](int thread) {
        double sum = 0;
        for (int j = thread; j < n; j += team.size())
            if (maps.shown(j)) sum += static_cast<double>(maps.saliency[block_at(j)]);
        return sum;
    });
    team.phase([&](int thread) {
        if (thread == 0)
            *cost = grid.eps * static_cast<double>(distance) / grid.normaliser() - gain;
    });
}

}  // namespace comix::cuda::transport
