// Swap moves: the sites labelled a or b choose anew between the two, all pairs in turn.
//
// For a = 0.., for b = L-1 down to a+1; ties take a. Rounds go on while the last one lowered the
// energy. Where the moves' minima are unique this order makes the result so too: the CPU's
// (csrc/gridcut/moves.hpp), label by label, as long as no joint cost of a move is positive.
// Elsewhere moves are exact on grids with a side of at most four, and never raise the energy.
// Source: Boykov, Veksler & Zabih, "Fast approximate energy minimization via graph cuts", PAMI
//   2001, section 4.
// Cost: L (L - 1) / 2 moves a round, of which those between labels that no site has cost a look.
#pragma once

#include "cuda/gridcut/binary_move.hpp"

namespace comix::cuda::gridcut {

namespace detail {

// One move; keeps the sites' number of labels a and b up to date.
template <bool kNarrow, class Team>
COMIX_HD void swap_pair(Team& team, const FixedProblem& problem, const CutterSpace& space, int a,
                        int b, bool& proven) {
    // Ties: strips take as few sites as possible, flows as many.
    if constexpr (kNarrow) {
        strip_move(team, problem, space, Move::swap(a, b));
    } else {
        flow_move(team, problem, space, Move::swap(b, a), proven);
    }
    team.phase([&](int thread) {
        if (thread == 0) space.count[a] = space.count[b] = 0;
    });
    team.phase([&](int thread) {
        int own[2] = {0, 0};
        for (int p = thread; p < problem.grid.sites(); p += team.size()) {
            own[0] += space.label[p] == a;
            own[1] += space.label[p] == b;
        }
        if (own[0] > 0) atomic_add(space.count + a, own[0]);
        if (own[1] > 0) atomic_add(space.count + b, own[1]);
    });
}

// Improves space.label. Returns whether no move missed its optimum. space.count is needed.
template <bool kNarrow, class Team>
COMIX_HD bool swap(Team& team, const FixedProblem& problem, const CutterSpace& space,
                   int max_sweeps) {
    const int labels = problem.grid.labels, sites = problem.grid.sites();
    team.phase([&](int thread) {
        for (int l = thread; l < labels; l += team.size()) space.count[l] = 0;
    });
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size())
            atomic_add(space.count + space.label[p], 1);
    });
    bool proven = true;
    Cost energy = energy_of(team, problem, space);
    for (int sweep = 0; sweep < max_sweeps; ++sweep) {
        for (int a = 0; a < labels; ++a)
            for (int b = labels - 1; b > a; --b)
                if (team.uniform(space.count[a] + space.count[b]) > 0)
                    swap_pair<kNarrow>(team, problem, space, a, b, proven);
        const Cost after = energy_of(team, problem, space);
        if (after >= energy) break;
        energy = after;
    }
    return proven;
}

// Whether all costs, distances and weights are whole numbers.
template <class Team>
COMIX_HD bool all_integers(Team& team, const Problem& grid, const CutterSpace& space) {
    const int labels = grid.labels, sites = grid.sites(), width = grid.width;
    const auto fraction = [](double value) { return value != floor(value); };
    team.phase([&](int thread) {
        if (thread == 0) space.flags[kFraction] = 0;
    });
    team.phase([&](int thread) {
        bool found = false;
        for (int k = thread; k < labels * labels; k += team.size())
            found = found || fraction(grid.pairwise[k]);
        for (int p = thread; p < sites; p += team.size()) {
            for (int l = 0; l < labels; ++l)
                found = found || fraction(grid.unary[std::int64_t{p} * labels + l]);
            if (p + width < sites) found = found || fraction(grid.weight_v[p]);
            if ((p + 1) % width != 0) found = found || fraction(grid.weight_h[p - p / width]);
        }
        if (found) atomic_or(space.flags + kFraction, 1);
    });
    return team.uniform(space.flags[kFraction]) == 0;
}

// From init; or from all-zero labels and, unless all costs are whole numbers (so that labels
// compare with other implementations'), also from the unary minimum: the better one. Returns
// whether the answer is proven.
template <bool kNarrow, class Team>
COMIX_HD bool swap_from_starts(Team& team, const FixedProblem& problem, const CutterSpace& space,
                               const std::int64_t* init, int max_sweeps) {
    const Problem& grid = problem.grid;
    if (grid.labels == 1) return true;
    begin(team, grid, init, init ? Start::init : Start::zero, space.label);
    Cost first = 0;
    for (int attempt = 0;; ++attempt) {
        const bool exact = swap<kNarrow>(team, problem, space, max_sweeps);
        if (attempt == 1) break;
        const bool proven = exact && grid.labels == 2;  // one move was all there is to decide
        if (init || proven || all_integers(team, grid, space)) return proven;
        first = energy_of(team, problem, space);
        copy_labels(team, grid, space.label, space.second);
        begin(team, grid, init, Start::cheapest, space.label);
    }
    if (energy_of(team, problem, space) >= first)
        copy_labels(team, grid, space.second, space.label);
    return false;
}

}  // namespace detail

// init [H, W] or nullptr, may be the labels; labels [H, W]; optimal: 1 when proven. max_sweeps: 0:
// until no move helps (or 1000). memory: CutterSpace::bytes(..., labels). kNarrow:
// CutterSpace::narrow(...). Costs that are not finite leave the start as it is.
template <bool kNarrow, class Team>
COMIX_HD void grid_swap(Team& team, const Problem& grid, int max_sweeps, const std::int64_t* init,
                        void* memory, std::int64_t* labels, std::uint8_t* optimal) {
    const CutterSpace space = CutterSpace::at(memory, grid.height, grid.width, team.size());
    detail::begin(team, grid, init, init ? detail::Start::init : detail::Start::zero, space.label);
    const double magnitude = detail::measure(team, grid, space);
    bool proven = false;
    if (magnitude <= 1.7e308) {
        const FixedProblem problem{grid, Scale::below(magnitude), space.lowest};
        proven = detail::swap_from_starts<kNarrow>(team, problem, space, init,
                                                   max_sweeps > 0 ? max_sweeps : 1000);
    }
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) labels[p] = space.label[p];
        if (thread == 0) *optimal = proven;
    });
}

}  // namespace comix::cuda::gridcut
