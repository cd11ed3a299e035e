// Where an image's saliency is: the window with the largest sum (csrc/comixup/spot.hpp), in two
// steps: the best window of each row, then the best row.
//
// Sums are those of the CPU bit for bit: down each column of the window first, then across; of
// equal windows the first in row-major order counts. A window that holds a NaN never wins.
#pragma once

#include <cstdint>

#include "cuda/base/collectives.hpp"

namespace comix::cuda::comixup {

using Spot = Located<double>;  // sum and column, or sum and row * width + column

template <class T>
struct SpotMap {
    const T* values;  // [height, width]
    int height, width, window_height, window_width;

    COMIX_HD int rows() const { return height - window_height + 1; }
    COMIX_HD int places() const { return width - window_width + 1; }
};

// Windows of a row are compared in tiles, since the sums down their columns lie in shared memory.
constexpr int kSpotColumns = 1024;

inline int spot_columns(int window_width) {
    return window_width <= kSpotColumns / 2 ? kSpotColumns : 2 * window_width;
}

inline SharedBytes spot_row_shared(int threads, int columns) {
    return SharedBytes()
        .add<Spot>(static_cast<std::size_t>(threads))
        .add<double>(static_cast<std::size_t>(columns));
}

namespace detail {

COMIX_HD inline void keep_better(Spot& best, double value, long long place) {
    if (value > best.value) best = {value, place};
}

}  // namespace detail

// The best window whose first row is `row`; columns: spot_columns(window_width).
template <class T, class Team>
COMIX_HD void best_in_row(Team& team, const SpotMap<T>& map, int row, int columns, Spot* best) {
    auto* partial = team.template shared<Spot>(static_cast<std::size_t>(team.size()));
    auto* down = team.template shared<double>(static_cast<std::size_t>(columns));
    Spot found{-1.0, 0};
    for (int begin = 0; begin < map.places(); begin += columns - map.window_width + 1) {
        const int used = map.width - begin < columns ? map.width - begin : columns;
        team.phase([&](int thread) {
            for (int c = thread; c < used; c += team.size()) {
                const T* value = map.values + std::int64_t{row} * map.width + begin + c;
                double sum = 0;
                for (int dy = 0; dy < map.window_height; ++dy, value += map.width)
                    sum += static_cast<double>(*value);
                down[c] = sum;
            }
        });
        const Spot of_tile = reduce_first_max(team, partial, [&](int thread) {
            Spot own{-1.0, 0};
            for (int c = thread; c + map.window_width <= used; c += team.size()) {
                double sum = 0;
                for (int dx = 0; dx < map.window_width; ++dx) sum += down[c + dx];
                detail::keep_better(own, sum, begin + c);
            }
            return own;
        });
        detail::keep_better(found, of_tile.value, of_tile.place);
    }
    team.phase([&](int thread) {
        if (thread == 0) *best = found;
    });
}

inline SharedBytes spot_shared(int threads) {
    return SharedBytes().add<Spot>(static_cast<std::size_t>(threads));
}

// rows [count]: the best window of each; spot [2]: row and column.
template <class Team>
COMIX_HD void best_row(Team& team, const Spot* rows, int count, int width, std::int64_t* spot) {
    auto* partial = team.template shared<Spot>(static_cast<std::size_t>(team.size()));
    const Spot best = reduce_first_max(team, partial, [&](int thread) {
        Spot own{-1.0, 0};
        for (int r = thread; r < count; r += team.size())
            detail::keep_better(own, rows[r].value,
                                static_cast<long long>(r) * width + rows[r].place);
        return own;
    });
    team.phase([&](int thread) {
        if (thread > 0) return;
        spot[0] = best.place / width;
        spot[1] = best.place % width;
    });
}

}  // namespace comix::cuda::comixup
