// Binary moves on grids at most 4 wide: one dense table per site (binary_move.hpp).
#include <algorithm>
#include <type_traits>

#include "gridcut/binary_move.hpp"

namespace comix::gridcut {

namespace {

constexpr int kTableWidth = 4;
constexpr int kTableSites = 255;  // the tie-break counts sites in 8 bits

}  // namespace

bool BinaryMove::fits_table() const {
    return std::min(height_, width_) <= kTableWidth && sites() <= kTableSites;
}

Cost BinaryMove::solve_table(bool any_minimum) {
    // Sums of costs stay below 2^52 (problem.cpp), so doubles hold them exactly, and every
    // processor has vector minima of doubles. With ties counted in 8 more bits, integers are
    // needed.
    const auto run = [&](auto width) {
        constexpr int w = decltype(width)::value;
        return any_minimum ? run_table<w, double>() : run_table<w, Cost>();
    };
    switch (std::min(height_, width_)) {
        case 1:
            return run(std::integral_constant<int, 1>{});
        case 2:
            return run(std::integral_constant<int, 2>{});
        case 3:
            return run(std::integral_constant<int, 3>{});
        default:
            return run(std::integral_constant<int, 4>{});
    }
}

// A state holds the last `Width` choices as bits, the newest lowest: a step shifts the new choice
// in and the choice of the site above it out of the top. The tables are kept: the way back
// recomputes which choice was better.
template <int Width, class Number>
Cost BinaryMove::run_table() {
    constexpr int states = 1 << Width, half = states / 2;
    // Integers carry the number of ones in their low 8 bits: fewest ones among equal costs.
    constexpr bool count_ones = std::is_same_v<Number, Cost>;
    constexpr Cost unit = count_ones ? 1 << 8 : 1;
    const auto scaled = [](Cost cost) { return static_cast<Number>(cost * unit); };

    const bool transposed = height_ < width_;
    const int rows = transposed ? width_ : height_;
    // Site (r, c) of the narrow orientation.
    const auto site = [&](int r, int c) {
        return static_cast<std::size_t>(transposed ? c * width_ + r : r * width_ + c);
    };
    const auto& along = transposed ? right_ : down_;   // edges between rows
    const auto& across = transposed ? down_ : right_;  // edges between columns
    constexpr Edge no_edge{};
    const auto edge_above = [&](int r, int c) -> const Edge& {
        return r ? along[site(r - 1, c)] : no_edge;
    };

    Number tables[(kTableSites + 1) * states];  // [site + 1, state]: the best cost before the site
    std::fill(tables, tables + states, Number{0});
    Number* best = tables;
    const int row_stride = transposed ? 1 : width_, column_stride = transposed ? width_ : 1;
    for (int r = 0; r < rows; ++r) {
        auto p = static_cast<std::size_t>(r * row_stride);
        for (int c = 0; c < Width;
             ++c, best += states, p += static_cast<std::size_t>(column_stride)) {
            const Edge& up = r ? along[p - static_cast<std::size_t>(row_stride)] : no_edge;
            const Edge& left = c ? across[p - static_cast<std::size_t>(column_stride)] : no_edge;
            // What the new choice adds, by the choice above it and, with all else, by the one to
            // its left.
            const Number keep_above = scaled(up[2] - up[0]), take_below = scaled(up[1] - up[0]),
                         take_above = scaled(up[3] - up[0]);
            const Cost taken = take_[p];
            const Number keep_left[2] = {Number{0}, scaled(left[2] - left[0])};
            const Number take_left[2] = {scaled(taken + left[1] - left[0]) + count_ones,
                                         scaled(taken + left[3] - left[0]) + count_ones};
            Number kept[half], shifted[half];
            // s: the choices that stay; its lowest bit is the left one.
            for (int s = 0; s < half; ++s) {
                const Number from_0 = best[s], from_1 = best[s + half] + keep_above;
                kept[s] = from_1 < from_0 ? from_1 : from_0;
            }
            for (int s = 0; s < half; ++s) {
                const Number from_0 = best[s] + take_below, from_1 = best[s + half] + take_above;
                shifted[s] = from_1 < from_0 ? from_1 : from_0;
            }
            Number* next = best + states;
            if constexpr (half == 1) {
                next[0] = kept[0];
                next[1] = shifted[0] + take_left[0];
            } else {
                for (int s = 0; s < half; s += 2) {
                    next[2 * s] = kept[s];
                    next[2 * s + 1] = shifted[s] + take_left[0];
                    next[2 * s + 2] = kept[s + 1] + keep_left[1];
                    next[2 * s + 3] = shifted[s + 1] + take_left[1];
                }
            }
        }
    }

    auto state = static_cast<int>(std::min_element(best, best + states) - best);
    const auto change = static_cast<Cost>(best[state]);
    for (int r = rows; r-- > 0;) {
        for (int c = Width; c-- > 0;) {
            best -= states;
            const int x = state & 1, s = state >> 1;
            choice_[site(r, c)] = x ? take : keep;
            const Edge& up = edge_above(r, c);
            const Number from_0 = best[s] + scaled(up[static_cast<std::size_t>(x)] - up[0]);
            const Number from_1 =
                best[s + half] + scaled(up[static_cast<std::size_t>(2 + x)] - up[0]);
            state = from_1 < from_0 ? s | half : s;
        }
    }
    return count_ones ? change >> 8 : change;  // the count of ones is below
}

}  // namespace comix::gridcut
