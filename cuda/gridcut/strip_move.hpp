// One binary decision per site of a strip at most four wide, solved exactly by one thread.
//
//   E(x) = sum_p alone_p x_p + sum_{edges pq} joint_pq x_p x_q,   x_p in {0, 1}
//
// Dynamic programming over all sixteen choices of the last four sites, visited line by line, as
// csrc/gridcut/strip_table.hpp does it: the table stays in registers, and what is remembered is one
// bit per site and state, for the way back. Threads that try other moves work beside each other
// without ever waiting.
// Guarantee: the minimum, whatever the signs, as long as no sum or difference of two leaves the
//   number type (32 or 64-bit integers).
// Cost: rows * 4 steps of some 100 instructions; 2 bytes per site.
// Source: Bellman's principle on a path decomposition of the grid.
#pragma once

#include <cstdint>

#include "base/host_device.hpp"

namespace comix::cuda::gridcut {

constexpr int kStripWidth = 4;

// What a row of the strip costs; joint costs with the sites above and to the left, zero where there
// are none. A narrower strip leaves its last columns at zero.
template <class Number>
struct StripRow {
    Number alone[kStripWidth], above[kStripWidth], left[kStripWidth];
};

// The minimum, and the choices of the last four sites that it ends with.
template <class Number>
struct StripMinimum {
    Number energy;
    int state;
};

namespace detail {

// Notes whether a < b as bit 15 - `state` of the word, states in ascending order. In 32 bits by
// shifts, where a comparison would cost the device more.
COMIX_HD inline unsigned note_less(unsigned word, std::int32_t a, std::int32_t b, int) {
    return word << 1 | static_cast<std::uint32_t>(a - b) >> 31;
}
COMIX_HD inline unsigned note_less(unsigned word, std::int64_t a, std::int64_t b, int state) {
    return a < b ? word | 1U << (15 - state) : word;
}

}  // namespace detail

// row(r, costs) writes the costs of row r, called in ascending order. decisions[k * stride], k
// below 4 * rows, remembers the way.
template <class Number, class Row>
COMIX_HD StripMinimum<Number> solve_strip(int rows, Row& row, std::uint16_t* decisions,
                                          int stride) {
    // A state holds the last four choices as bits, the newest lowest: a step shifts the new choice
    // in and the choice of the site above it out of the top.
    constexpr int kStates = 1 << kStripWidth, kHalf = kStates / 2;
    Number best[kStates];
    for (int s = 0; s < kStates; ++s) best[s] = 0;
    for (int r = 0; r < rows; ++r) {
        StripRow<Number> costs;
        row(r, costs);
#if defined(__CUDACC__)
#pragma unroll
#endif
        for (int c = 0; c < kStripWidth; ++c) {
            const Number alone = costs.alone[c], joint = costs.above[c], left = costs.left[c];
            Number next[kStates];
            unsigned word = 0;  // first state highest
#if defined(__CUDACC__)
#pragma unroll
#endif
            for (int s = 0; s < kHalf; ++s) {
                const Number below = best[s], above = best[s + kHalf], taken = above + joint;
                const Number own = s & 1 ? alone + left : alone;
                next[2 * s] = above < below ? above : below;
                next[2 * s + 1] = (taken < below ? taken : below) + own;
                word = detail::note_less(word, above, below, 2 * s);
                word = detail::note_less(word, taken, below, 2 * s + 1);
            }
#if defined(__CUDACC__)
#pragma unroll
#endif
            for (int s = 0; s < kStates; ++s) best[s] = next[s];
            decisions[static_cast<std::int64_t>(r * kStripWidth + c) * stride] =
                static_cast<std::uint16_t>(word);
        }
    }
    StripMinimum<Number> minimum{best[0], 0};
#if defined(__CUDACC__)
#pragma unroll
#endif
    for (int s = 1; s < kStates; ++s)
        if (best[s] < minimum.energy) minimum = {best[s], s};
    return minimum;
}

// Calls take(row, column) for the sites that the minimum takes.
template <class Take>
COMIX_HD void walk_strip_back(int rows, int state, const std::uint16_t* decisions, int stride,
                              const Take& take) {
    for (int k = kStripWidth * rows - 1; k >= 0; --k) {
        if (state & 1) take(k / kStripWidth, k % kStripWidth);
        const int above = decisions[static_cast<std::int64_t>(k) * stride] >> (15 - state) & 1;
        state = state >> 1 | above << (kStripWidth - 1);
    }
}

// How a grid with a side of at most four lies as a strip: along its longer side.
struct Strip {
    int rows, columns, down, right;  // steps between sites

    COMIX_HD static bool fits(int height, int width) {
        return height <= kStripWidth || width <= kStripWidth;
    }
    COMIX_HD static Strip of(int height, int width) {
        return height < width ? Strip{width, height, 1, width} : Strip{height, width, width, 1};
    }
    COMIX_HD int site(int r, int c) const { return r * down + c * right; }
};

}  // namespace comix::cuda::gridcut
