// The grid cut of one Co-Mixup output, the other outputs fixed (labels, costs and distances:
// csrc/comixup/label_cut.hpp), by expansion in 32-bit integers.
//
// Costs are counted in units of the edge cost beta: a label's cost above the block's cheapest one,
// capped at 8.5 edges - twice what a block's edges can change, so that no move takes it - with
// 2^29 / (32 * blocks) steps to an edge. So nothing can overflow, whatever the values are.
//
// Grids with a side of at most four: every label's best move is found exactly and at once, a thread
// per label (gridcut/strip_move.hpp), and the best of them is made, until none gains. (The CPU
// tries the labels in turn and makes every move that gains: the answers differ, neither is the
// better one in the mean.) Wider grids: the labels that can win somewhere in turn, as the CPU does,
// each move by a flow (gridcut/flow_move.hpp). Moves to or from soft labels, whose distances are no
// metric, may miss their optimum there, yet never raise the energy. Source: Boykov, Veksler &
// Zabih, "Fast approximate energy minimization via graph cuts", PAMI 2001;
//   Kim et al., "Co-Mixup", ICLR 2021, algorithm 1.
#pragma once

#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/comixup/workspace.hpp"

namespace comix::cuda::comixup {

constexpr int kMostBlocks = 4096;  // beyond, too few steps are left to an edge

// One partition, and the edge cost.
struct CutProblem {
    SolverSizes sizes;
    const double* cost;  // [n, gh, gw]
    double beta;         // divided by the number of blocks
};

namespace detail {

constexpr double kSoftBonus = 5e-4;  // what a soft label is cheaper than the mean of its two

// Edge costs in steps.
struct EdgeCost {
    std::int32_t whole, quarter;

    COMIX_HD static EdgeCost of(const CutProblem& problem) {
        const std::int32_t quarter = (1 << 29) / (128 * problem.sizes.blocks());
        return problem.beta < 0 ? EdgeCost{-4 * quarter, -quarter} : EdgeCost{4 * quarter, quarter};
    }
    // 1/4 between a pair and either of its two inputs, else 1.
    COMIX_HD std::int32_t operator()(Pair a, Pair b) const {
        if (a == b) return 0;
        const int ai = first_of(a), aj = second_of(a), bi = first_of(b), bj = second_of(b);
        const bool meet =
            (ai == aj) != (bi == bj) && (ai == bi || ai == bj || aj == bi || aj == bj);
        return meet ? quarter : whole;
    }
};

COMIX_HD inline double label_cost(const CutProblem& problem, const CutSpace& space, int a, int p) {
    const Pair inputs = space.label[a];
    const int i = first_of(inputs), j = second_of(inputs);
    const std::int64_t blocks = problem.sizes.blocks();
    if (i == j) return problem.cost[i * blocks + p] + space.rho[i];
    return 0.5 * (problem.cost[i * blocks + p] + problem.cost[j * blocks + p]) +
           (0.5 * (space.rho[i] + space.rho[j]) - kSoftBonus);
}

// Each block's cheapest label; where the moves begin.
template <class Team>
COMIX_HD void start_cheapest(Team& team, const CutProblem& problem, const CutSpace& space,
                             int labels) {
    const int blocks = problem.sizes.blocks();
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            double least = label_cost(problem, space, 0, p);
            int cheapest = 0;
            for (int a = 1; a < labels; ++a) {
                const double cost = label_cost(problem, space, a, p);
                if (!(cost < least)) continue;
                least = cost;
                cheapest = a;
            }
            space.least[p] = least;
            space.now[p] = space.label[cheapest];
            space.current[p] = 0;
        }
        for (int a = thread; a < labels; a += team.size()) space.alive[a] = problem.beta < 0;
    });
}

// Fills unary and alive.
template <bool kNarrow, class Team>
COMIX_HD void price(Team& team, const CutProblem& problem, const CutSpace& space, int labels) {
    const SolverSizes& sizes = problem.sizes;
    const int blocks = sizes.blocks(), stride = sizes.labels() | 1;
    const std::int32_t edge = 4 * EdgeCost::of(problem).quarter;
    const std::int32_t steps = edge < 0 ? -edge : edge, cap = 8 * steps + steps / 2;
    const double scale = steps / (problem.beta < 0 ? -problem.beta : problem.beta);
    const auto fixed = [&](int a, int p) {
        const double above = (label_cost(problem, space, a, p) - space.least[p]) * scale;
        // What is no number counts as the cheapest.
        return above > 0 ? (above < cap ? static_cast<std::int32_t>(above + 0.5) : cap) : 0;
    };
    if constexpr (kNarrow) {
        team.phase([&](int thread) {
            for (int a = thread; a < labels; a += team.size())
                for (int p = 0; p < blocks; ++p) space.unary[p * stride + a] = fixed(a, p);
        });
        return;
    }
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            const int r = p / sizes.width, c = p - r * sizes.width;
            const int edges = (r > 0) + (r + 1 < sizes.height) + (c > 0) + (c + 1 < sizes.width);
            // A label dearer everywhere by all that the edges can cost loses everywhere.
            for (int a = 0; a < labels; ++a) {
                const std::int32_t cost = fixed(a, p);
                space.unary[p * stride + a] = cost;
                if (cost <= edges * steps + 1) atomic_or(space.alive + a, 1);
            }
        }
    });
    team.phase([&](int thread) {
        if (thread > 0) return;
        int tried = 0;
        for (int a = 0; a < labels; ++a)
            if (space.alive[a]) space.tried[tried++] = a;
        space.counts[kTriedLabels] = tried;
        space.counts[kFound] = 0;
    });
}

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

template <class Team>
COMIX_HD void narrow_moves(Team& team, const CutProblem& problem, const CutSpace& space,
                           int labels) {
    const gridcut::Strip strip = gridcut::Strip::of(problem.sizes.height, problem.sizes.width);
    const int cells = gridcut::kStripWidth * strip.rows, most = problem.sizes.labels();
    const EdgeCost edge = EdgeCost::of(problem);
    const int rounds = 4 * labels + 64;  // some labels + 2 in practice
    for (int round = 0; round < rounds; ++round) {
        team.phase([&](int thread) {
            for (int k = thread; k < cells; k += team.size()) {
                const int r = k / gridcut::kStripWidth, c = k % gridcut::kStripWidth;
                if (c >= strip.columns) continue;
                const int p = strip.site(r, c);
                const auto beside = [&](int other_r, int other_c) {
                    const bool inside = other_r >= 0 && other_r < strip.rows && other_c >= 0 &&
                                        other_c < strip.columns;
                    return inside ? edge(space.now[p], space.now[strip.site(other_r, other_c)]) : 0;
                };
                space.along[k] = beside(r - 1, c);
                space.across[k] = beside(r, c - 1);
                space.base[k] = -space.current[p] - space.along[k] - space.across[k] -
                                beside(r + 1, c) - beside(r, c + 1);
            }
        });
        team.phase([&](int thread) {
            for (int a = thread; a < labels; a += team.size()) {
                MoveRows rows(problem, space, a);
                const auto minimum =
                    gridcut::solve_strip<std::int32_t>(strip.rows, rows, space.decisions + a, most);
                space.energy[a] = minimum.energy;
                space.state[a] = minimum.state;
            }
        });
        team.phase([&](int thread) {
            if (thread > 0) return;
            int best = 0;
            for (int a = 1; a < labels; ++a)
                if (space.energy[a] < space.energy[best]) best = a;
            space.counts[kFound] = space.energy[best] < 0;
            if (space.energy[best] >= 0) return;
            const int stride = problem.sizes.labels() | 1;
            const auto take = [&](int r, int c) {
                if (c >= strip.columns) return;
                const int p = strip.site(r, c);
                space.now[p] = space.label[best];
                space.current[p] = space.unary[p * stride + best];
            };
            gridcut::walk_strip_back(strip.rows, space.state[best], space.decisions + best, most,
                                     take);
        });
        if (!team.uniform(space.counts[kFound])) return;
    }
}

// Costs of the move to label a, for the flow (joint costs: the header of gridcut/flow_move.hpp).
// Sets counts[kFound] where a block may gain.
template <class Team>
COMIX_HD void price_flow(Team& team, const CutProblem& problem, const CutSpace& space,
                         const gridcut::FlowMove<std::int32_t>& flow, int a) {
    const int blocks = problem.sizes.blocks(), width = problem.sizes.width;
    const int height = problem.sizes.height, stride = problem.sizes.labels() | 1;
    const EdgeCost edge = EdgeCost::of(problem);
    const Pair label = space.label[a];
    team.phase([&](int thread) {
        bool gains = false;
        for (int p = thread; p < blocks; p += team.size()) {
            const int r = p / width, c = p - r * width;
            const bool inside[4] = {c + 1 < width, c > 0, r + 1 < height, r > 0};
            const std::int32_t to_own = edge(label, space.now[p]);
            std::int32_t own = 2 * (space.unary[p * stride + a] - space.current[p]);
            std::int32_t joint[4] = {};
            for (int d = 0; d < 4; ++d) {
                if (!inside[d]) continue;
                const Pair there = space.now[p + flow.step(d)];
                const std::int32_t now = edge(space.now[p], there), to_there = edge(label, there);
                joint[d] = now - to_own - to_there;
                own += to_there - to_own - now;
            }
            flow.set(p, own, joint);
            gains = gains || own < 0;
        }
        if (gains) atomic_or(space.counts + kFound, 1);
        if (thread == 0) space.counts[kEnergy] = 0;
    });
}

// Makes the flow's move to label a if the energy falls.
template <class Team>
COMIX_HD bool make_move(Team& team, const CutProblem& problem, const CutSpace& space,
                        const gridcut::FlowMove<std::int32_t>& flow, int a) {
    const int blocks = problem.sizes.blocks(), width = problem.sizes.width;
    const int stride = problem.sizes.labels() | 1;
    const EdgeCost edge = EdgeCost::of(problem);
    const Pair label = space.label[a];
    const auto after = [&](int p) { return flow.takes(p) ? label : space.now[p]; };
    team.phase([&](int thread) {
        std::int32_t sum = 0;
        for (int p = thread; p < blocks; p += team.size()) {
            if (flow.takes(p)) sum += space.unary[p * stride + a] - space.current[p];
            const auto change = [&](int q) {
                return edge(after(p), after(q)) - edge(space.now[p], space.now[q]);
            };
            if (p + width < blocks) sum += change(p + width);
            if ((p + 1) % width != 0) sum += change(p + 1);
        }
        if (sum != 0) atomic_add(space.counts + kEnergy, sum);
        if (thread == 0) space.counts[kFound] = 0;
    });
    if (team.uniform(space.counts[kEnergy]) >= 0) return false;
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            if (!flow.takes(p)) continue;
            space.now[p] = label;
            space.current[p] = space.unary[p * stride + a];
        }
    });
    return true;
}

template <class Team>
COMIX_HD void wide_moves(Team& team, const CutProblem& problem, const CutSpace& space) {
    const auto flow =
        gridcut::FlowMove<std::int32_t>::at(space.flow, problem.sizes.height, problem.sizes.width);
    const int tried = team.uniform(space.counts[kTriedLabels]);
    // A label is tried again only after another one's success changed the labelling.
    const std::int64_t most = std::int64_t{tried} * (tried + 16);  // some 3 * tried in practice
    std::int64_t moves = 0;
    for (int k = 0, failures = 0; failures < tried && moves < most; ++moves) {
        const int a = team.uniform(space.tried[k]);
        price_flow(team, problem, space, flow, a);
        const bool success = team.uniform(space.counts[kFound]) && solve_flow(team, flow) &&
                             make_move(team, problem, space, flow, a);
        failures = success ? 1 : failures + 1;
        k = k + 1 == tried ? 0 : k + 1;
    }
}

}  // namespace detail

// kNarrow: sizes.narrow(). Cuts with space.rho and the soft labels space.label[n..n + soft); the
// answer is space.now.
template <bool kNarrow, class Team>
COMIX_HD void cut_labels(Team& team, const CutProblem& problem, const CutSpace& space, int soft) {
    const int labels = problem.sizes.inputs + soft;
    detail::start_cheapest(team, problem, space, labels);
    if (!(problem.beta < 0) && !(problem.beta > 0)) return;  // the cheapest labels are the best
    detail::price<kNarrow>(team, problem, space, labels);
    if constexpr (kNarrow) {
        detail::narrow_moves(team, problem, space, labels);
    } else {
        detail::wide_moves(team, problem, space);
    }
}

}  // namespace comix::cuda::comixup
