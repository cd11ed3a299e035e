// Co-Mixup's moves on grids with a side of at most four: every label's best move, found exactly and
// at once, and of them the best, until none gains. (The CPU tries the labels in turn and makes
// every move that gains: the answers differ, neither is the better one in the mean.)
//
//   narrow_moves  a thread per label (gridcut/strip_move.hpp)
//   small_moves   grids of at most 4 x 4 blocks: sixteen threads per label, several moves at once
// Both end where no label's move gains. Source: as label_cut.hpp.
#pragma once

#include "cuda/comixup/cut_costs.hpp"

namespace comix::cuda::comixup {

namespace detail {

// What one label's move costs, row by row of the strip.
class MoveRows {
  public:
    COMIX_HD MoveRows(const CutProblem& problem, const CutSpace& space, int a)
        : space_(space),
          strip_(gridcut::Strip::of(problem.sizes.height, problem.sizes.width)),
          edge_(EdgeCost::of(problem)),
          label_(space.label[a]),
          unary_(space.unary + a),
          stride_(problem.sizes.labels() | 1) {
        read(0, here_);
        for (int c = 0; c < gridcut::kStripWidth; ++c) above_[c] = 0;
    }

    // Called for rows in ascending order.
    COMIX_HD void operator()(int r, gridcut::StripRow<std::int32_t>& costs) {
        std::int32_t below[gridcut::kStripWidth];
        read(r + 1, below);
#if defined(__CUDACC__)
#pragma unroll
#endif
        for (int c = 0; c < gridcut::kStripWidth; ++c) {
            const int k = gridcut::kStripWidth * r + c;
            const bool inside = c < strip_.columns;
            const std::int32_t left = c > 0 ? here_[c > 0 ? c - 1 : 0] : 0;
            const std::int32_t right = c < 3 ? here_[c < 3 ? c + 1 : 3] : 0;
            costs.alone[c] = costs.above[c] = costs.left[c] = 0;
            if (inside) {
                costs.alone[c] = unary_[strip_.site(r, c) * stride_] + space_.base[k] + above_[c] +
                                 below[c] + left + right;
                if (r > 0) costs.above[c] = space_.along[k] - here_[c] - above_[c];
                if (c > 0) costs.left[c] = space_.across[k] - here_[c] - left;
            }
        }
        for (int c = 0; c < gridcut::kStripWidth; ++c) {
            above_[c] = here_[c];
            here_[c] = below[c];
        }
    }

  private:
    // What edges to the labels of a row cost from this one; 0 outside.
    COMIX_HD void read(int r, std::int32_t (&costs)[gridcut::kStripWidth]) const {
#if defined(__CUDACC__)
#pragma unroll
#endif
        for (int c = 0; c < gridcut::kStripWidth; ++c)
            costs[c] = r < strip_.rows && c < strip_.columns
                           ? edge_(label_, space_.now[strip_.site(r, c)])
                           : 0;
    }

    const CutSpace& space_;
    gridcut::Strip strip_;
    EdgeCost edge_;
    Pair label_;
    const std::int32_t* unary_;
    int stride_;
    std::int32_t above_[gridcut::kStripWidth], here_[gridcut::kStripWidth];
};

COMIX_HD inline int most_rounds(int labels) {
    return 4 * labels + 64;  // some labels + 2 in practice
}

// What cell k of the strip and its edges cost as the labels are.
COMIX_HD inline void price_edges(const CutSpace& space, const gridcut::Strip& strip,
                                 const EdgeCost& edge, int k) {
    const int r = k / gridcut::kStripWidth, c = k % gridcut::kStripWidth;
    if (c >= strip.columns) return;
    const int p = strip.site(r, c);
    const auto beside = [&](int other_r, int other_c) {
        const bool inside =
            other_r >= 0 && other_r < strip.rows && other_c >= 0 && other_c < strip.columns;
        return inside ? edge(space.now[p], space.now[strip.site(other_r, other_c)]) : 0;
    };
    space.along[k] = beside(r - 1, c);
    space.across[k] = beside(r, c - 1);
    space.base[k] =
        -space.current[p] - space.along[k] - space.across[k] - beside(r + 1, c) - beside(r, c + 1);
}

// Makes the best of all labels' moves until none gains, a thread per label.
template <class Team>
COMIX_HD void narrow_moves(Team& team, const CutProblem& problem, const CutSpace& space,
                           int tried) {
    const gridcut::Strip strip = gridcut::Strip::of(problem.sizes.height, problem.sizes.width);
    const int cells = gridcut::kStripWidth * strip.rows, most = problem.sizes.labels();
    const EdgeCost edge = EdgeCost::of(problem);
    for (int round = 0; round < most_rounds(tried); ++round) {
        team.phase([&](int thread) {
            for (int k = thread; k < cells; k += team.size()) price_edges(space, strip, edge, k);
        });
        team.phase([&](int thread) {
            for (int t = thread; t < tried; t += team.size()) {
                MoveRows rows(problem, space, space.tried[t]);
                const auto minimum =
                    gridcut::solve_strip<std::int32_t>(strip.rows, rows, space.decisions + t, most);
                space.energy[t] = minimum.energy;
                space.state[t] = minimum.state;
            }
        });
        team.phase([&](int thread) {
            if (thread > 0) return;
            const int best = first_least(tried, [&](int t) { return space.energy[t]; });
            space.counts[kFound] = space.energy[best] < 0;
            if (space.energy[best] >= 0) return;
            const int stride = problem.sizes.labels() | 1, label = space.tried[best];
            const auto take = [&](int r, int c) {
                if (c >= strip.columns) return;
                const int p = strip.site(r, c);
                space.now[p] = space.label[label];
                space.current[p] = space.unary[p * stride + label];
            };
            gridcut::walk_strip_back(strip.rows, space.state[best], space.decisions + best, most,
                                     take);
        });
        if (!team.uniform(space.counts[kFound])) return;
    }
}

// The better way to a choice of the blocks: the one without the block above, or the one with it.
COMIX_HD inline Way better(Way without, Way with, std::int32_t joint) {
    const std::int32_t energy = with.energy + joint;
    return energy < without.energy ? Way{energy, with.taken} : without;
}

// Blocks of a grid of at most 4 x 4, a bit each, and those beside them.
COMIX_HD inline std::uint32_t with_neighbours(std::uint32_t blocks) {
    return blocks | blocks << 4 | blocks >> 4 | (blocks & 0x7777) << 1 | (blocks & 0xEEEE) >> 1;
}

// The same on grids of at most 4 x 4 blocks, sixteen threads per label: one for each choice of the
// last four blocks; and the best of the other moves are made at once, as far as they do not touch
// what has been moved, so that gains add. A step decides two blocks of a row: four reads, three
// minima and a write, and the way taken travels with its cost, so nothing is walked back. Blocks
// beyond the grid cost nothing, and are not taken, since ties go to the way without.
template <class Team>
COMIX_HD void small_moves(Team& team, const CutProblem& problem, const CutSpace& space, int tried) {
    constexpr unsigned kStates = kSmallStates;  // unsigned numbers are quicker to divide
    constexpr int kWidth = gridcut::kStripWidth;
    const gridcut::Strip strip = gridcut::Strip::of(problem.sizes.height, problem.sizes.width);
    const int units = kSmallStates * tried, stride = problem.sizes.labels() | 1;
    const EdgeCost edge = EdgeCost::of(problem);
    const auto each = [&](int thread, const auto& body) {  // of a label's states, or of its cells
#if defined(__CUDACC__)
#pragma unroll 1
#endif
        for (int unit = thread; unit < units; unit += team.size()) {
            const auto number = static_cast<unsigned>(unit);
            body(unit, static_cast<int>(number / kStates), static_cast<int>(number % kStates));
        }
    };
    for (int round = 0; round < most_rounds(tried); ++round) {
        team.phase([&](int thread) {
            // The last threads, which have the fewest labels.
            for (int k = team.size() - 1 - thread; k < kWidth * strip.rows; k += team.size())
                price_edges(space, strip, edge, k);
            each(thread, [&](int unit, int t, int k) {
                const int r = k / kWidth, c = k % kWidth;
                if (r >= strip.rows || c >= strip.columns) return;
                const Pair label = space.label[space.tried[t]];
                space.towards[unit] = edge(label, space.now[strip.site(r, c)]);
            });
        });
        team.warp_phase([&](int thread) {
            each(thread, [&](int unit, int t, int k) {
                space.ways[unit] = {0, 0};
                space.site_cost[unit] = {0, 0, 0, 0};
                const int r = k / kWidth, c = k % kWidth;
                if (r >= strip.rows || c >= strip.columns) return;
                const std::int32_t* const here = space.towards + unit;
                const std::int32_t above = r > 0 ? here[-kWidth] : 0, left = c > 0 ? here[-1] : 0;
                const std::int32_t below = r + 1 < strip.rows ? here[kWidth] : 0;
                const std::int32_t right = c + 1 < strip.columns ? here[1] : 0;
                const std::int32_t own = space.unary[strip.site(r, c) * stride + space.tried[t]];
                space.site_cost[unit] = {own + space.base[k] + above + below + left + right,
                                         r > 0 ? space.along[k] - *here - above : 0,
                                         c > 0 ? space.across[k] - *here - left : 0, 0};
            });
        });
        Way *before = space.ways, *after = before + units;
        for (int k = 0; k < kWidth * strip.rows; k += 2) {
            const int bit = kSmallStates / 2 >> k % kWidth,
                      next = bit >> 1;  // column 0: the highest
            team.warp_phase([&](int thread) {
                each(thread, [&](int unit, int t, int state) {
                    const SiteCost one = space.site_cost[kSmallStates * t + k];
                    const SiteCost two = space.site_cost[kSmallStates * t + k + 1];
                    const Way* const from = before + (unit & ~(bit | next));
                    const std::int32_t above = state & bit ? one.above : 0;
                    const Way none = from[0], first = from[bit];
                    const Way second = from[next], both = from[bit | next];
                    Way way = better(better(none, first, above), better(second, both, above),
                                     state & next ? two.above : 0);
                    if (state & bit) {
                        way.energy += one.alone + (state & 2 * bit ? one.left : 0);
                        way.taken |= 1U << k;
                    }
                    if (state & next) {
                        way.energy += two.alone + (state & bit ? two.left : 0);
                        way.taken |= 2U << k;
                    }
                    after[unit] = way;
                });
            });
            Way* const swapped = before;
            before = after;
            after = swapped;
        }
        team.phase([&](int thread) {
            each(thread, [&](int, int t,
                             int state) {  // by a thread of the warp that found the ways
                if (state > 0) return;
                const Way* const last = before + kSmallStates * t;
                const int best = first_least(kSmallStates, [&](int s) { return last[s].energy; });
                space.energy[t] = last[best].energy;
                space.state[t] = static_cast<int>(last[best].taken);
            });
        });
        team.phase([&](int thread) {
            if (thread >= kSmallStates) return;
            std::uint32_t closed = 0;  // to further moves
            for (bool found = false;; found = true) {
                const auto gain = [&](int t) {
                    return static_cast<std::uint32_t>(space.state[t]) & closed ? 0
                                                                               : space.energy[t];
                };
                const int best = first_least(tried, gain);
                const bool gains = gain(best) < 0;
                if (!found && thread == 0) space.counts[kFound] = gains;
                if (!gains) return;
                const auto taken = static_cast<std::uint32_t>(space.state[best]);
                const int label = space.tried[best];
                for (int k = thread; k < kSmallStates; k += team.size()) {
                    if (!(taken >> k & 1)) continue;
                    const int p = strip.site(k / kWidth, k % kWidth);
                    space.now[p] = space.label[label];
                    space.current[p] = space.unary[p * stride + label];
                }
                closed |= with_neighbours(taken);
            }
        });
        if (!team.uniform(space.counts[kFound])) return;
    }
}

}  // namespace detail

}  // namespace comix::cuda::comixup
