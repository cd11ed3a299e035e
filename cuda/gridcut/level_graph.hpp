// Ordered labels as a minimum cut over levels: when that applies, and what it takes.
//
// A site with label l has boolean levels x_j = [l > j], j = 0..L-2. Where no weight * D(k, m) is
// positive, D(k, m) = V(k, m) - V(k-1, m) - V(k, m-1) + V(k-1, m-1), the energy is a cut of a graph
// with L-1 nodes per site and an arc per edge and pair of levels with D != 0; an infinite arc
// forbids a level without the one below. So for every convex function of i - j with weights of at
// least zero, whatever the unary costs. As csrc/gridcut/ordered.hpp.
// How many pairs are coupled, only the device sees; memory is shared out there.
// Source: Ishikawa, "Exact optimization for Markov random fields with convex priors", PAMI 2003;
//   Schlesinger & Flach, "Transforming an arbitrary MinSum problem into a binary one", 2006.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/gridcut/cutter_space.hpp"

namespace comix::cuda::gridcut {

// What grid_cut() says of its labels; the last one for level_cut.hpp alone to see.
enum Proof : std::uint8_t { kUnproven, kProven, kLeftToLevels };

// Sums over all levels have to stay finite.
constexpr double kMostForLevels = 1e300;

namespace detail {

COMIX_HD inline double mixed_difference(const Problem& grid, int k, int m) {
    const std::int64_t labels = grid.labels;
    const double* v = grid.pairwise + k * labels + m;
    return v[0] - v[-labels] - v[-1] + v[-labels - 1];
}

// Mixed differences below this are rounding of the caller's numbers (thirds and their squares).
template <class Team>
COMIX_HD double level_slack(Team& team, const Problem& grid, double* partials) {
    const int entries = grid.labels * grid.labels;
    return 1e-12 * reduce_max(team, partials, [&](int thread) {
               double largest = 0;
               for (int k = thread; k < entries; k += team.size())
                   if (fabs(grid.pairwise[k]) > largest) largest = fabs(grid.pairwise[k]);
               return largest;
           });
}

// Adds to *signs which signs D has, and to *count how many pairs of levels are coupled, both zero
// before.
enum Sign { kRises = 1, kFalls = 2, kPositiveWeight = 4, kNegativeWeight = 8 };

template <class Team>
COMIX_HD void note_level_pairs(Team& team, const Problem& grid, double slack, int* signs,
                               int* count) {
    const int levels = grid.labels - 1;
    team.phase([&](int thread) {
        int seen = 0, own = 0;
        for (int k = thread; k < levels * levels; k += team.size()) {
            const double difference = mixed_difference(grid, 1 + k / levels, 1 + k % levels);
            if (!(difference <= slack)) seen |= kRises;
            if (!(difference >= -slack)) seen |= kFalls;
            own += !(fabs(difference) <= slack);
        }
        if (seen != 0) atomic_or(signs, seen);
        if (own > 0) atomic_add(count, own);
    });
}

}  // namespace detail

// Sizes of one problem's graph.
struct LevelSizes {
    std::int64_t sites, levels;

    static constexpr std::int64_t kMostShared = std::int64_t{1} << 26;  // by problems at once
    static constexpr std::int64_t kMostAlone = std::int64_t{1} << 28;   // one problem

    COMIX_HD static LevelSizes of(int height, int width, int labels) {
        return {std::int64_t{height} * width, labels - 1};
    }
    // A multiple of 16, as level_cut.hpp lays it out.
    COMIX_HD std::int64_t bytes(std::int64_t pairs) const {
        const std::int64_t numbers = 2 * sites + pairs + 2 * pairs * sites + 3 * levels * sites;
        const std::int64_t ints = 3 * pairs + 3 * (levels + 1) + 2 * levels * sites + 4;
        return (8 * numbers + 4 * ints + 15) / 16 * 16;
    }
    std::int64_t most_pairs() const { return levels * levels; }

    // Memory for a number of problems, and how many problems may share it; 0 where it holds none,
    // even with a single pair per level.
    std::int64_t scratch_bytes(std::int64_t problems) const {
        if (problems < 1 || levels < 2 || bytes(levels) > kMostAlone) return 0;
        const std::int64_t all = bytes(most_pairs());
        if (all <= kMostShared && problems <= kMostShared / all) return problems * all;
        return all < kMostShared ? kMostShared : all < kMostAlone ? all : kMostAlone;
    }
    std::int64_t slots(std::int64_t problems) const {
        const std::int64_t most = scratch_bytes(problems) / bytes(0);
        return problems < most ? problems : most;
    }
};

namespace detail {

// Whether the cut applies to every edge of the problem, and fits. As OrderedCut::applies of the
// CPU, and also without any weight.
template <class Team>
COMIX_HD bool levels_apply(Team& team, const Problem& grid, const CutterSpace& space,
                           std::int64_t scratch_bytes) {
    const int sites = grid.sites(), width = grid.width;
    int *signs = space.flags + kSigns, *count = space.flags + kPairs;
    team.phase([&](int thread) {
        if (thread == 0) *signs = *count = 0;
    });
    const double slack = level_slack(team, grid, space.partials);
    if (!(slack <= 1e-12 * kMostForLevels)) return false;
    note_level_pairs(team, grid, slack, signs, count);
    team.phase([&](int thread) {
        int seen = 0;
        const auto see = [&](double weight) {
            if (!(weight <= 0)) seen |= kPositiveWeight;
            if (!(weight >= 0)) seen |= kNegativeWeight;
        };
        for (int p = thread; p < sites; p += team.size()) {
            if (p + width < sites) see(grid.weight_v[p]);
            if ((p + 1) % width != 0) see(grid.weight_h[p - p / width]);
        }
        if (seen != 0) atomic_or(signs, seen);
    });
    const int seen = team.uniform(*signs), pairs = team.uniform(*count);
    if ((seen & kRises) != 0 && (seen & kPositiveWeight) != 0) return false;
    if ((seen & kFalls) != 0 && (seen & kNegativeWeight) != 0) return false;
    return LevelSizes::of(grid.height, grid.width, grid.labels).bytes(pairs) <= scratch_bytes;
}

}  // namespace detail

}  // namespace comix::cuda::gridcut
