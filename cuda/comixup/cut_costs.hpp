// What the labels of one Co-Mixup output cost (csrc/comixup/label_cut.hpp), in 32-bit integers.
//
// Costs are counted in units of the edge cost beta: a label's cost above the block's cheapest one,
// capped at 8.5 edges - twice what a block's edges can change, so that no move takes it - with
// 2^29 / (32 * blocks) steps to an edge. So nothing can overflow, whatever the values are.
#pragma once

#include <cstdint>

#include "cuda/base/bits.hpp"
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

// The first index of the least of value(0), ..., value(count - 1); of what is no number, 0 alone
// can be it. In four chains, so that comparisons need not wait for each other.
template <class Value>
COMIX_HD int first_least(int count, const Value& value) {
    auto least = value(0);
    decltype(least) lowest[4] = {least, least, least, least};
    int at[4] = {0, 0, 0, 0};
    for (int i = 0; i < count; i += 4) {
#if defined(__CUDACC__)
#pragma unroll
#endif
        for (int k = 0; k < 4; ++k) {
            const int place = i + k < count ? i + k : count - 1;  // no branch, so that values load
            const auto here = value(place);                       // at once
            const bool less = here < lowest[k];
            lowest[k] = less ? here : lowest[k];
            at[k] = less ? place : at[k];
        }
    }
    int first = at[0];
    least = lowest[0];
#if defined(__CUDACC__)
#pragma unroll
#endif
    for (int k = 1; k < 4; ++k) {
        const bool sooner = lowest[k] < least || (lowest[k] == least && at[k] < first);
        least = sooner ? lowest[k] : least;
        first = sooner ? at[k] : first;
    }
    return first;
}

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

// On small grids costs are worked out once, by all threads together (start_cheapest).
template <Shape kShape>
COMIX_HD double known_cost(const CutProblem& problem, const CutSpace& space, int a, int p) {
    if constexpr (kShape == Shape::small) return space.whole[a * problem.sizes.blocks() + p];
    return label_cost(problem, space, a, p);
}

// Each block's cheapest label; where the moves begin.
template <Shape kShape, class Team>
COMIX_HD void start_cheapest(Team& team, const CutProblem& problem, const CutSpace& space,
                             int labels) {
    const int blocks = problem.sizes.blocks();
    if constexpr (kShape == Shape::small) {
        team.phase([&](int thread) {
            for (int unit = thread; unit < labels * blocks; unit += team.size())
                space.whole[unit] = label_cost(problem, space, unit / blocks, unit % blocks);
        });
    }
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            const int cheapest = first_least(
                labels, [&](int a) { return known_cost<kShape>(problem, space, a, p); });
            space.least[p] = known_cost<kShape>(problem, space, cheapest, p);
            space.now[p] = space.label[cheapest];
            space.current[p] = 0;
        }
        for (int k = thread; k < word_count(labels); k += team.size())
            space.alive[k] = problem.beta < 0 ? -1 : 0;
    });
}

// Fills unary, and lists the labels to try. Returns how many.
template <Shape kShape, class Team>
COMIX_HD int price(Team& team, const CutProblem& problem, const CutSpace& space, int labels) {
    const SolverSizes& sizes = problem.sizes;
    const int blocks = sizes.blocks(), stride = sizes.labels() | 1;
    const std::int32_t edge = 4 * EdgeCost::of(problem).quarter;
    const std::int32_t steps = edge < 0 ? -edge : edge, cap = 8 * steps + steps / 2;
    const double scale = steps / (problem.beta < 0 ? -problem.beta : problem.beta);
    team.phase([&](int thread) {
        for (int unit = thread; unit < labels * blocks; unit += team.size()) {
            const int a = unit / blocks, p = unit - a * blocks;
            const double above =
                (known_cost<kShape>(problem, space, a, p) - space.least[p]) * scale;
            // What is no number counts as the cheapest.
            const std::int32_t cost =
                above > 0 ? (above < cap ? static_cast<std::int32_t>(above + 0.5) : cap) : 0;
            space.unary[p * stride + a] = cost;
            // A label dearer everywhere by all that the edges can cost loses everywhere.
            const int r = p / sizes.width, c = p - r * sizes.width;
            const int edges = (r > 0) + (r + 1 < sizes.height) + (c > 0) + (c + 1 < sizes.width);
            if (cost <= edges * steps + 1) add_to_set(space.alive, a);
        }
    });
    team.phase([&](int thread) {
        for (int a = thread; a < labels; a += team.size()) {
            const int before = members_below(space.alive, a);
            const bool alive = is_in_set(space.alive, a);
            if (alive) space.tried[before] = a;
            if (a + 1 == labels) space.counts[kTriedLabels] = before + alive;
        }
        if (thread == 0) space.counts[kFound] = 0;
    });
    return team.uniform(space.counts[kTriedLabels]);
}

}  // namespace detail

}  // namespace comix::cuda::comixup
