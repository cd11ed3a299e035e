// Grid cuts, a team per problem.
//
//   exact      the proven optimum (of costs rounded to 2^-51 of their sum of magnitudes, or to the
//              last digits of a double) when all costs are convex (one label up at a time:
//              csrc/gridcut/ordered_descent.hpp), or when there are two labels and no joint cost is
//              positive or one side is at most four. What level_cut.hpp can solve is left to it,
//              which follows. Else as expansion, and not proven: then frontier.hpp follows where
//              the sizes allow. (Nothing waits for the host, so nothing can refuse.)
//   expansion  from init; or from the unary minimum, labels in ascending and in descending order,
//              the better one. Two labels: as exact
// Every step is a binary move that never raises the energy (binary_move.hpp).
// Costs that are not finite leave the start as it is.
// Source: Murota, "Discrete Convex Analysis", SIAM 2003; Boykov, Veksler & Zabih, "Fast approximate
//   energy minimization via graph cuts", PAMI 2001.
#pragma once

#include <cstdint>

#include "cuda/gridcut/binary_move.hpp"
#include "cuda/gridcut/level_graph.hpp"

namespace comix::cuda::gridcut {

namespace detail {

// The label distance as a function of i - j, which convex() checks it to be.
COMIX_HD inline double distance(const Problem& grid, int difference) {
    return difference >= 0 ? grid.pairwise[std::int64_t{difference} * grid.labels]
                           : grid.pairwise[-difference];
}

// OrderedDescent::prepare, and unary costs that are convex but for the rounding of their numbers: a
// linear cost shall pass, as this is quicker than a cut over levels.
template <class Team>
COMIX_HD bool convex(Team& team, const Problem& grid, const CutterSpace& space) {
    const int labels = grid.labels, sites = grid.sites(), width = grid.width;
    if (labels < 2) return false;
    team.phase([&](int thread) {
        if (thread == 0) space.flags[kConcave] = 0;
    });
    const double largest = reduce_max(team, space.partials, [&](int thread) {
        double size = 0;
        for (int k = thread; k < labels * labels; k += team.size())
            if (fabs(grid.pairwise[k]) > size) size = fabs(grid.pairwise[k]);
        return size;
    });
    const double slack = 1e-12 * largest;  // rounding of thirds and their squares
    team.phase([&](int thread) {
        bool fits = true;
        for (int k = thread; k < labels * labels; k += team.size()) {
            const int i = k / labels, j = k - i * labels;
            fits = fits && fabs(grid.pairwise[k] - distance(grid, i - j)) <= slack;
        }
        for (int k = thread; k < 2 * labels - 3; k += team.size()) {
            const int d = k + 2 - labels;
            const double bend = distance(grid, d - 1) + distance(grid, d + 1);
            fits = fits && bend >= 2 * distance(grid, d) - slack;
        }
        for (int p = thread; p < sites; p += team.size()) {
            const double* unary = grid.unary + std::int64_t{p} * labels;
            for (int l = 1; l + 1 < labels; ++l) {
                const double a = unary[l - 1], b = unary[l], c = unary[l + 1];
                fits = fits && a + c >= 2 * b - 1e-15 * (fabs(a) + 2 * fabs(b) + fabs(c));
            }
            if (p + width < sites) fits = fits && grid.weight_v[p] >= 0;
            if ((p + 1) % width != 0) fits = fits && grid.weight_h[p - p / width] >= 0;
        }
        if (!fits) atomic_or(space.flags + kConcave, 1);
    });
    return team.uniform(space.flags[kConcave]) == 0;
}

enum class Course { rise, ascending, descending };

// Tries one move after the other: one label up as long as that gains, or expansion, where a label
// is tried again only after another one's success changed the labelling. After k rises from zero no
// label is above k, so the last one needs no proof that nothing rises further.
// Returns whether no move missed its optimum.
template <bool kNarrow, class Team>
COMIX_HD bool run(Team& team, const FixedProblem& problem, const CutterSpace& space, Course course,
                  int max_sweeps) {
    const int labels = problem.grid.labels;
    const bool rise = course == Course::rise, descending = course == Course::descending;
    const std::int64_t most = rise ? labels - 1 : std::int64_t{labels} * max_sweeps;
    const int enough = rise ? 1 : labels;
    bool proven = true;
    int failures = 0, a = rise ? -1 : descending ? labels - 1 : 0;
    for (std::int64_t tried = 0; failures < enough && tried < most; ++tried) {
        bool success = false;
        const Move move = rise ? Move::rise() : Move::expansion(a);
        if constexpr (kNarrow) {
            success = strip_move(team, problem, space, move);
        } else {
            success = flow_move(team, problem, space, move, proven);
        }
        failures = !success ? failures + 1 : rise ? 0 : 1;
        if (rise) continue;
        if (descending) {
            a = a == 0 ? labels - 1 : a - 1;
        } else {
            a = a + 1 == labels ? 0 : a + 1;
        }
    }
    return proven;
}

// `ordered`: a rise finds the optimum. Returns whether the answer in space.label is proven.
template <bool kNarrow, class Team>
COMIX_HD bool expand(Team& team, const FixedProblem& problem, const CutterSpace& space,
                     bool ordered, const std::int64_t* init, int max_sweeps) {
    const Problem& grid = problem.grid;
    const bool from_init = init != nullptr;
    // Attempts, of which the best one counts.
    struct Attempt {
        Start start;
        Course course;
    };
    const int attempts = ordered && from_init ? 3 : !ordered && from_init ? 1 : 2;
    Cost best = 0;
    for (int k = 0; k < attempts; ++k) {
        Attempt attempt{from_init ? Start::init : Start::cheapest, Course::ascending};
        if (ordered && k == 0) attempt = {Start::zero, Course::rise};
        if (ordered && k == 1) attempt.start = Start::as_it_is;
        if (!ordered && k == 1) attempt.course = Course::descending;
        begin(team, grid, init, attempt.start, space.label);
        const bool proven = run<kNarrow>(team, problem, space, attempt.course, max_sweeps);
        if (proven && attempt.course == Course::rise) return true;
        const Cost energy = energy_of(team, problem, space);
        if (k > 0 && energy >= best) continue;
        best = energy;
        copy_labels(team, grid, space.label, space.second);
    }
    copy_labels(team, grid, space.second, space.label);
    return false;
}

}  // namespace detail

// init [H, W] or nullptr; labels [H, W]; optimal: see Proof. exact: else expansion. level_bytes: of
// level_cut()'s memory, 0 where it does not follow. max_sweeps: of expansion; 0: until no move
// helps (or 1000). memory: CutterSpace::bytes(..., 0). kNarrow: CutterSpace::narrow(...).
template <bool kNarrow, class Team>
COMIX_HD void grid_cut(Team& team, const Problem& grid, bool exact, std::int64_t level_bytes,
                       int max_sweeps, const std::int64_t* init, void* memory, std::int64_t* labels,
                       std::uint8_t* optimal) {
    const CutterSpace space = CutterSpace::at(memory, grid.height, grid.width, team.size());
    detail::begin(team, grid, init, init ? detail::Start::init : detail::Start::zero, space.label);
    const double magnitude = detail::measure(team, grid, space);
    Proof proof = kUnproven;
    if (magnitude <= 1.7e308) {
        const bool ordered = grid.labels == 2 || (exact && detail::convex(team, grid, space));
        if (grid.labels == 1) {
            proof = kProven;
        } else if (!ordered && level_bytes > 0 && magnitude <= kMostForLevels &&
                   detail::levels_apply(team, grid, space, level_bytes)) {
            proof = kLeftToLevels;
        } else {
            const FixedProblem problem{grid, Scale::below(magnitude), space.lowest};
            const int sweeps = max_sweeps > 0 ? max_sweeps : 1000;
            if (detail::expand<kNarrow>(team, problem, space, ordered, exact ? nullptr : init,
                                        sweeps))
                proof = kProven;
        }
    }
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) labels[p] = space.label[p];
        if (thread == 0) *optimal = proof;
    });
}

}  // namespace comix::cuda::gridcut
