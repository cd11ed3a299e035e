// Descent on the thresholded Co-Mixup objective: one block of one output at a time takes another
// input (csrc/comixup/descent.hpp).
//
// The CPU's order is kept: blocks are looked at together, four threads each, the first of them that
// has an improving change gets it, and the walk goes on behind it.
// Guarantee: the objective never rises; with hard_official that of hard, so the caller has to look.
// Cost: per step, a thread adds up what the other outputs pay for some of the inputs.
#pragma once

#include <cstdint>

#include "cuda/comixup/state.hpp"

namespace comix::cuda::comixup {

// Threads that share the inputs offered to a block, and blocks that a team looks at together.
constexpr int kSharers = 4;
COMIX_HD constexpr int cells_at_once(int threads) {
    return threads < kSharers ? 1 : threads / kSharers;
}

// What becomes of the objective with another input in a block; input -1: no improvement.
struct Offer {
    double sum, local;  // the whole change, and that inside the block's output
    std::int32_t input, unused = 0;
};

// Memory of a descent, beside the state that it improves.
struct DescentSpace {
    StateSpace state;
    double* reach;           // [m, n] A times the shares of the other outputs
    std::int32_t* present;   // the inputs in output 0, ascending, then those in output 1, ...
    std::int32_t* place;     // [m, n] of each of these, o * n + i
    std::int32_t* count;     // [m] how many of each output
    std::int32_t* overused;  // [n] some output pays for showing the input
    Offer* offer;            // [kSharers * cells_at_once(threads)]
    std::int32_t* change;    // [4] where the change to make is; how many `present` there are

    COMIX_HD static DescentSpace at(void* memory, const SolverSizes& sizes, int threads,
                                    std::int64_t* bytes) {
        DescentSpace space{};
        std::int64_t state_bytes = 0;
        space.state = StateSpace::at(memory, sizes, &state_bytes);
        detail::Pieces pieces(memory);
        pieces.take<unsigned char>(state_bytes);
        const std::int64_t n = sizes.inputs, m = sizes.outputs;
        space.reach = pieces.take<double>(m * n);
        space.offer = pieces.take<Offer>(kSharers * cells_at_once(threads));
        space.present = pieces.take<std::int32_t>(m * n);
        space.place = pieces.take<std::int32_t>(m * n);
        space.count = pieces.take<std::int32_t>(m);
        space.overused = pieces.take<std::int32_t>(n);
        space.change = pieces.take<std::int32_t>(4);
        if (bytes) *bytes = pieces.bytes();
        return space;
    }
};

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
COMIX_HD inline double others_change(const SolverProblem& problem, const DescentSpace& space,
                                     const Change& change) {
    const int n = problem.sizes.inputs, own = change.output * n, listed = space.change[1];
    const StateSpace& state = space.state;
    double sum = 0;
#if defined(__CUDACC__)
#pragma unroll 4
#endif
    for (int k = 0; k < listed; ++k) {
        const int place = space.place[k];
        const double reach = space.reach[place];
        const double moved = reach + reach_change(problem, state, space.present[k], change);
        const double share = 0.5 * state.halves[place];
        const double term = share * (problem.penalty_at(moved) - problem.penalty_at(reach));
        const bool other = place < own || place >= own + n;
        sum += other && (reach > problem.tau || moved > problem.tau) ? term : 0.0;
    }
    return problem.gamma * sum;
}

// Change of the block's unary cost, of its edges, and of what its own output pays.
COMIX_HD inline double local_change(const SolverProblem& problem, const DescentSpace& space,
                                    int block, const Change& change) {
    const int n = problem.sizes.inputs, blocks = problem.sizes.blocks(), w = problem.sizes.width;
    const auto cost = [&](int i) { return problem.cost[std::int64_t{i} * blocks + block]; };
    const auto pays = [&](int i) {
        return problem.penalty_at(space.reach[std::int64_t{change.output} * n + i]);
    };
    double sum = cost(change.to) - 0.5 * (cost(change.a) + cost(change.b)) +
                 problem.gamma * (pays(change.to) - 0.5 * (pays(change.a) + pays(change.b)));
    const Pair* labels = space.state.labels + std::int64_t{change.output} * blocks;
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

// Of equals, the one that changes least inside the output comes first, then the first input.
COMIX_HD inline bool before(const Offer& a, const Offer& b) {
    if (a.sum != b.sum) return a.sum < b.sum;
    return a.local < b.local || (a.local == b.local && a.input < b.input);
}

// The best of every kSharers-th input, from `first` on, for the block at `cell`.
COMIX_HD inline Offer best_offer(const SolverProblem& problem, const DescentSpace& space,
                                 std::int64_t cell, int first) {
    const int blocks = problem.sizes.blocks();
    const Pair label = space.state.labels[cell];
    const int a = first_of(label), b = second_of(label);
    Offer best{-kGain, 0, -1};
    if (!space.overused[a] && !space.overused[b]) return best;
    const auto o = static_cast<int>(cell / blocks), p = static_cast<int>(cell % blocks);
    Change change{o, a, b, -1};
    // Showing another input relieves the others by no more than showing nothing.
    const double relief = others_change(problem, space, change);
    for (int j = first; j < problem.sizes.inputs; j += kSharers) {
        if (j == a && j == b) continue;
        change.to = j;
        const double local = local_change(problem, space, p, change);
        if (!(local + relief < best.sum)) continue;
        const Offer offer{local + others_change(problem, space, change), local, j};
        if (best.input < 0 ? offer.sum < best.sum : before(offer, best)) best = offer;
    }
    return best;
}

template <class Team>
COMIX_HD void find_overused(Team& team, const SolverProblem& problem, const DescentSpace& space) {
    const int n = problem.sizes.inputs;
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            std::int32_t overused = 0;
            for (int o = 0; o < problem.sizes.outputs; ++o) {
                const std::int64_t k = std::int64_t{o} * n + i;
                overused |= space.state.halves[k] > 0 && space.reach[k] > problem.tau;
            }
            space.overused[i] = overused;
        }
        if (thread == 0) space.change[0] = INT32_MAX;
    });
}

// Lists the inputs in each output, output by output.
template <class Team>
COMIX_HD void list_present(Team& team, const SolverProblem& problem, const DescentSpace& space) {
    const int n = problem.sizes.inputs, m = problem.sizes.outputs;
    team.phase([&](int thread) {
        for (int o = thread; o < m; o += team.size()) {
            std::int32_t count = 0;
            for (int i = 0; i < n; ++i) count += space.state.halves[std::int64_t{o} * n + i] > 0;
            space.count[o] = count;
        }
    });
    team.phase([&](int thread) {
        for (int o = thread; o < m; o += team.size()) {
            std::int32_t next = 0;
            for (int before = 0; before < o; ++before) next += space.count[before];
            for (int i = 0; i < n; ++i) {
                const std::int32_t place = o * n + i;  // below 2^28
                if (space.state.halves[place] <= 0) continue;
                space.present[next] = i;
                space.place[next++] = place;
            }
            if (o + 1 == m) space.change[1] = next;
        }
    });
}

template <class Team>
COMIX_HD void make_change(Team& team, const SolverProblem& problem, const DescentSpace& space,
                          std::int64_t cell, int to) {
    const int n = problem.sizes.inputs;
    const Pair label = team.uniform(space.state.labels[cell]);
    const Change change{static_cast<int>(cell / problem.sizes.blocks()), first_of(label),
                        second_of(label), to};
    const std::int64_t own = std::int64_t{change.output} * n;
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            space.state.halves[own + i] += 2 * (i == to) - (i == change.a) - (i == change.b);
            const double moved = reach_change(problem, space.state, i, change);
            if (moved == 0.0) continue;
            for (int o = 0; o < problem.sizes.outputs; ++o)
                if (o != change.output) space.reach[std::int64_t{o} * n + i] += moved;
        }
        if (thread == 0) space.state.labels[cell] = pair_of(to, to);
    });
    list_present(team, problem, space);
    find_overused(team, problem, space);
}

}  // namespace detail

// Improves space.state.labels; the shares follow only in part.
template <class Team>
COMIX_HD void descend(Team& team, const SolverProblem& problem, const DescentSpace& space) {
    const int n = problem.sizes.inputs;
    const std::int64_t pairs = std::int64_t{problem.sizes.outputs} * n;
    const std::int64_t cells = problem.sizes.cells();
    const int most = cells_at_once(team.size());
    detail::count_all(team, problem, space.state);
    detail::list_present(team, problem, space);
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size())
            space.reach[k] = detail::reach_of(problem, space.state, static_cast<int>(k / n),
                                              static_cast<int>(k % n));
    });
    detail::find_overused(team, problem, space);
    bool improved = true;
    for (int pass = 0; pass < detail::kMostPasses && improved; ++pass) {
        improved = false;
        for (std::int64_t begin = 0; begin < cells;) {
            const auto looks = static_cast<int>(cells - begin < most ? cells - begin : most);
            team.phase([&](int thread) {
                for (int k = thread; k < looks * kSharers; k += team.size())
                    space.offer[k] =
                        detail::best_offer(problem, space, begin + k / kSharers, k % kSharers);
            });
            team.phase([&](int thread) {
                for (int k = thread; k < looks; k += team.size()) {
                    Offer* offers = space.offer + k * kSharers;
                    Offer best = offers[0];
                    for (int other = 1; other < kSharers; ++other)
                        if (detail::before(offers[other], best)) best = offers[other];
                    offers[0] = best;
                    if (best.input >= 0) atomic_min(space.change, k);
                }
            });
            const int first = team.uniform(space.change[0]);
            if (first == INT32_MAX) {
                begin += looks;
                continue;
            }
            detail::make_change(team, problem, space, begin + first,
                                team.uniform(space.offer[first * kSharers].input));
            improved = true;
            begin += first + 1;
        }
    }
}

}  // namespace comix::cuda::comixup
