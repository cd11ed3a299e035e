// Descent on the thresholded Co-Mixup objective: one block of one output at a time takes another
// input (csrc/comixup/descent.hpp).
//
// The CPU's order is kept: as many blocks as the team has threads are looked at together, the first
// of them that has an improving change gets it, and the walk goes on behind it.
// Guarantee: the objective never rises; with hard_official that of hard, so the caller has to look.
// Cost: per step, a thread adds up what the other outputs pay and looks at every input.
#pragma once

#include <cstdint>

#include "cuda/comixup/state.hpp"

namespace comix::cuda::comixup {

namespace detail {

constexpr double kGain = 1e-9;   // smaller improvements are rounding
constexpr int kMostPasses = 64;  // never reached in practice; each pass makes at least one change

// A block's change from inputs (a, b) at half weight each to input `to`; to < 0 only takes away.
struct Change {
    int output, a, b, to;
};

// Change of (A pi)_i in every other output.
COMIX_HD inline double reach_change(const SolverProblem& problem, const StateSpace& state, int i,
                                    const Change& change) {
    const double gained = change.to < 0 ? 0.0 : compatibility(problem, state, i, change.to);
    return gained - 0.5 * (compatibility(problem, state, i, change.a) +
                           compatibility(problem, state, i, change.b));
}

// Change of what the other outputs pay. One list and no branches, so that what the next terms need
// is on its way: a term that does not count adds 0.
COMIX_HD inline double others_change(const SolverProblem& problem, const StateSpace& state,
                                     const Change& change) {
    const int n = problem.sizes.inputs, own = change.output * n, listed = state.change[1];
    double sum = 0;
#if defined(__CUDACC__)
#pragma unroll 4
#endif
    for (int k = 0; k < listed; ++k) {
        const int place = state.place[k];
        const double reach = state.reach[place];
        const double moved = reach + reach_change(problem, state, state.present[k], change);
        const double share = 0.5 * state.halves[place];
        const double term = share * (problem.penalty_at(moved) - problem.penalty_at(reach));
        const bool other = place < own || place >= own + n;
        sum += other && (reach > problem.tau || moved > problem.tau) ? term : 0.0;
    }
    return problem.gamma * sum;
}

// Change of the block's unary cost, of its edges, and of what its own output pays.
COMIX_HD inline double local_change(const SolverProblem& problem, const StateSpace& state,
                                    int block, const Change& change) {
    const int n = problem.sizes.inputs, blocks = problem.sizes.blocks(), w = problem.sizes.width;
    const auto cost = [&](int i) { return problem.cost[std::int64_t{i} * blocks + block]; };
    const auto pays = [&](int i) {
        return problem.penalty_at(state.reach[std::int64_t{change.output} * n + i]);
    };
    double sum = cost(change.to) - 0.5 * (cost(change.a) + cost(change.b)) +
                 problem.gamma * (pays(change.to) - 0.5 * (pays(change.a) + pays(change.b)));
    const Pair* labels = state.labels + std::int64_t{change.output} * blocks;
    const Pair before = pair_of(change.a, change.b), after = pair_of(change.to, change.to);
    const auto edge = [&](int other) {
        sum +=
            0.5 * problem.beta * 0.25 *
            (squared_distance_4(after, labels[other]) - squared_distance_4(before, labels[other]));
    };
    if (block >= w) edge(block - w);
    if (block + w < blocks) edge(block + w);
    if (block % w != 0) edge(block - 1);
    if ((block + 1) % w != 0) edge(block + 1);
    return sum;
}

// The best input for the block at `cell`, -1 when none improves on what is there.
COMIX_HD inline int best_change(const SolverProblem& problem, const StateSpace& state,
                                std::int64_t cell) {
    const int blocks = problem.sizes.blocks();
    const Pair label = state.labels[cell];
    const int a = first_of(label), b = second_of(label);
    if (!state.overused[a] && !state.overused[b]) return -1;
    const auto o = static_cast<int>(cell / blocks), p = static_cast<int>(cell % blocks);
    Change change{o, a, b, -1};
    // Showing another input relieves the others by no more than showing nothing.
    const double relief = others_change(problem, state, change);
    double best = -kGain, best_local = 0;
    int best_input = -1;
    for (int j = 0; j < problem.sizes.inputs; ++j) {
        if (j == a && j == b) continue;
        change.to = j;
        const double local = local_change(problem, state, p, change);
        if (!(local + relief < best)) continue;
        const double sum = local + others_change(problem, state, change);
        if (!(sum < best || (best_input >= 0 && sum == best && local < best_local))) continue;
        best = sum;
        best_local = local;
        best_input = j;
    }
    return best_input;
}

template <class Team>
COMIX_HD void find_overused(Team& team, const SolverProblem& problem, const StateSpace& state) {
    const int n = problem.sizes.inputs;
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            std::int32_t overused = 0;
            for (int o = 0; o < problem.sizes.outputs; ++o) {
                const std::int64_t k = std::int64_t{o} * n + i;
                overused |= state.halves[k] > 0 && state.reach[k] > problem.tau;
            }
            state.overused[i] = overused;
        }
        if (thread == 0) state.change[0] = INT32_MAX;
    });
}

template <class Team>
COMIX_HD void make_change(Team& team, const SolverProblem& problem, const StateSpace& state,
                          std::int64_t cell, int to) {
    const int n = problem.sizes.inputs;
    const Pair label = team.uniform(state.labels[cell]);
    const Change change{static_cast<int>(cell / problem.sizes.blocks()), first_of(label),
                        second_of(label), to};
    const std::int64_t own = std::int64_t{change.output} * n;
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            state.halves[own + i] += 2 * (i == to) - (i == change.a) - (i == change.b);
            const double moved = reach_change(problem, state, i, change);
            if (moved == 0.0) continue;
            for (int o = 0; o < problem.sizes.outputs; ++o)
                if (o != change.output) state.reach[std::int64_t{o} * n + i] += moved;
        }
        if (thread == 0) state.labels[cell] = pair_of(to, to);
    });
    list_present(team, problem, state);
    find_overused(team, problem, state);
}

}  // namespace detail

// Improves state.labels; state.halves, total and present follow only in part.
template <class Team>
COMIX_HD void descend(Team& team, const SolverProblem& problem, const StateSpace& state) {
    const int n = problem.sizes.inputs;
    const std::int64_t pairs = std::int64_t{problem.sizes.outputs} * n;
    const std::int64_t cells = std::int64_t{problem.sizes.outputs} * problem.sizes.blocks();
    detail::count_all(team, problem, state);
    detail::list_present(team, problem, state);
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size())
            state.reach[k] =
                detail::reach_of(problem, state, static_cast<int>(k / n), static_cast<int>(k % n));
    });
    detail::find_overused(team, problem, state);
    bool improved = true;
    for (int pass = 0; pass < detail::kMostPasses && improved; ++pass) {
        improved = false;
        for (std::int64_t begin = 0; begin < cells;) {
            team.phase([&](int thread) {
                const std::int64_t cell = begin + thread;
                if (cell >= cells) return;
                const int to = detail::best_change(problem, state, cell);
                state.choice[thread] = to;
                if (to >= 0) atomic_min(state.change, thread);
            });
            const int first = team.uniform(state.change[0]);
            if (first == INT32_MAX) {
                begin += team.size();
                continue;
            }
            detail::make_change(team, problem, state, begin + first,
                                team.uniform(state.choice[first]));
            improved = true;
            begin += first + 1;
        }
    }
}

}  // namespace comix::cuda::comixup
