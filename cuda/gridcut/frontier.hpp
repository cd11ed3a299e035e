// Exact labelling of narrow grids by dynamic programming over the frontier.
//
// Sites are visited line by line across the narrow side; a state holds the labels of the last W
// visited sites. A site's states are shared out among the threads.
// Guarantee: the optimum, whatever the energy.
// Cost: sites * L^(W+1) steps; 16 + 2 * sites bytes a state. What that may come to is decided by
//   the sizes alone, before the launch (csrc/gridcut/frontier.hpp counts surviving labels only, and
//   so reaches further).
// Source: Bellman's principle on a path decomposition of the grid.
#pragma once

#include "cuda/base/atomics.hpp"
#include "cuda/gridcut/cutter_space.hpp"

namespace comix::cuda::gridcut {

// What a frontier programme takes. Doubles: these counts overflow integers long before memory ends.
struct FrontierPlan {
    double states, steps;
    std::int64_t bytes;  // of one problem; 0: too many

    static constexpr double kMostBytes = 256.0 * 1024 * 1024;
    static constexpr double kExactSteps = 4e9, kAutoSteps = 4e6;

    // As far as `method` goes: 0 bytes where that is not far enough.
    static FrontierPlan of(int height, int width, int labels, Method method, int threads) {
        const int narrow = height < width ? height : width;
        const double sites = static_cast<double>(height) * width;
        FrontierPlan plan{1, 0, 0};
        for (int c = 0; c < narrow && plan.states < kMostBytes; ++c) plan.states *= labels;
        plan.steps = plan.states * labels * sites;
        const double most = method == Method::exact       ? kExactSteps
                            : method == Method::automatic ? kAutoSteps
                                                          : 0;
        if (plan.steps <= most && plan.states * (16 + 2 * sites) <= kMostBytes)
            plan.bytes = static_cast<std::int64_t>(
                bytes_for(height, width, static_cast<std::int64_t>(plan.states), threads).total());
        return plan;
    }
    static SharedBytes bytes_for(int height, int width, std::int64_t states, int threads) {
        const auto count = static_cast<std::size_t>(states);
        const auto sites = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
        SharedBytes bytes = CutterSpace::bytes(height, width, threads, 0);
        return bytes.add<Located<Cost>>(static_cast<std::size_t>(threads))
            .template add<Cost>(2 * count)
            .template add<std::uint16_t>(sites * count);
    }
};

struct FrontierSpace {
    CutterSpace cutter;
    Located<Cost>* best;     // [size] of the team
    Cost* table;             // [2, states]
    std::uint16_t* choices;  // [sites, states] the label that left
    std::int64_t states;

    // memory: 8-byte aligned, FrontierPlan::bytes. cutter_bytes: CutterSpace::bytes(..., 0).
    COMIX_HD static FrontierSpace at(void* memory, std::int64_t cutter_bytes, int height, int width,
                                     std::int64_t states, int threads) {
        FrontierSpace space{};
        space.cutter = CutterSpace::at(memory, height, width, threads);
        space.best = reinterpret_cast<Located<Cost>*>(static_cast<unsigned char*>(memory) +
                                                      (cutter_bytes + 7) / 8 * 8);
        space.table = reinterpret_cast<Cost*>(space.best + threads);
        space.choices = reinterpret_cast<std::uint16_t*>(space.table + 2 * states);
        space.states = states;
        return space;
    }
};

namespace detail {

// The optimum into space.cutter.label.
template <class Team>
COMIX_HD void solve_frontier(Team& team, const FixedProblem& problem, const FrontierSpace& space) {
    const Problem& grid = problem.grid;
    const int labels = grid.labels, width = grid.width, sites = grid.sites();
    const Strip strip = Strip::of(grid.height, width);
    const bool along_rows = strip.down == width && strip.right == 1;
    const std::int64_t states = space.states, rest_states = states / labels;
    Cost *before = space.table, *after = before + states;
    team.phase([&](int thread) {
        for (std::int64_t s = thread; s < states; s += team.size()) before[s] = 0;
    });
    for (int k = 0; k < sites; ++k) {
        const int r = k / strip.columns, c = k - r * strip.columns, p = strip.site(r, c);
        // The neighbour visited last, and the one that leaves the frontier: both are first sites.
        const auto edge = [&](bool vertical) {
            return vertical ? problem.below(p - width) : problem.right(p - 1);
        };
        const double beside = c > 0 ? edge(!along_rows) : 0;
        const double above = r > 0 ? edge(along_rows) : 0;
        team.phase([&](int thread) {
            std::uint16_t* const choices = space.choices + k * states;
            for (std::int64_t s = thread; s < states; s += team.size()) {
                const std::int64_t rest = s / labels;
                const int own = static_cast<int>(s - rest * labels);
                const int last = static_cast<int>(rest % labels);
                int chosen = 0;
                Cost least = 0;
                for (int top = 0; top < labels; ++top) {
                    Cost cost = before[top * rest_states + rest];
                    if (r > 0) cost += problem.pair(above, top, own);
                    if (top > 0 && cost >= least) continue;
                    least = cost;
                    chosen = top;
                }
                least += problem.unary(p, own);
                if (c > 0) least += problem.pair(beside, last, own);
                after[s] = least;
                choices[s] = static_cast<std::uint16_t>(chosen);
            }
        });
        Cost* const swapped = before;
        before = after;
        after = swapped;
    }
    const Located<Cost> best = reduce_first_min(team, space.best, [&](int thread) {
        Located<Cost> own{before[0], 0};
        for (std::int64_t s = thread; s < states; s += team.size())
            if (before[s] < own.value) own = {before[s], s};
        return own;
    });
    team.phase([&](int thread) {
        if (thread > 0) return;
        std::int64_t state = best.place;
        for (int k = sites - 1; k >= 0; --k) {
            const std::int64_t rest = state / labels;
            const int p = strip.site(k / strip.columns, k % strip.columns);
            space.cutter.label[p] = static_cast<int>(state - rest * labels);
            state = space.choices[k * states + state] * rest_states + rest;
        }
    });
}

}  // namespace detail

// The proven optimum into labels [H, W], where `optimal` does not say that they are it already;
// then it does. Costs that are not finite leave both as they are.
template <class Team>
COMIX_HD void grid_frontier(Team& team, const Problem& grid, const FrontierSpace& space,
                            std::int64_t* labels, std::uint8_t* optimal) {
    if (team.uniform(*optimal) != 0) return;
    const double magnitude = detail::measure(team, grid, space.cutter);
    if (!(magnitude <= 1.7e308)) return;
    const FixedProblem problem{grid, Scale::below(magnitude), space.cutter.lowest};
    detail::solve_frontier(team, problem, space);
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) labels[p] = space.cutter.label[p];
        if (thread == 0) *optimal = 1;
    });
}

inline SharedBytes frontier_shared() {
    return SharedBytes().add<std::int32_t>(1);
}

// One slot's share of the problems: every slots-th. Mostly all are proven: the team looks at all at
// once first, since one look after the other would wait for memory as often.
template <class Team>
COMIX_HD void grid_frontiers(Team& team, const Batch& grids, std::int64_t slot, std::int64_t slots,
                             const FrontierSpace& space, std::int64_t* labels,
                             std::uint8_t* optimal) {
    auto* left = team.template shared<std::int32_t>(1);
    team.phase([&](int thread) {
        if (thread == 0) *left = 0;
    });
    team.phase([&](int thread) {
        for (std::int64_t i = slot + thread * slots; i < grids.problems; i += team.size() * slots)
            if (optimal[i] == 0) atomic_or(left, 1);
    });
    if (team.uniform(*left) == 0) return;
    for (std::int64_t i = slot; i < grids.problems; i += slots)
        grid_frontier(team, grids[i], space, labels + i * grids.sites(), optimal + i);
}

}  // namespace comix::cuda::gridcut
