// Descent on the thresholded Co-Mixup objective: one block of one output at a time takes another
// input (csrc/comixup/descent.hpp).
//
// The CPU's order is kept. Blocks that show an overused input are looked at together, a crew of 32
// threads (a warp) each; the first of them that has an improving change gets it, and the walk goes
// on behind it. A crew adds up what the other outputs pay with 32 threads for the bound, then with
// 32 / C threads for each of the C inputs that pass it.
// Guarantee: the objective never rises; with hard_official that of hard, so the caller has to look.
#pragma once

#include <cstdint>

#include "cuda/base/bits.hpp"
#include "cuda/comixup/descent_space.hpp"
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

// Change of what the other outputs pay: of every `step`-th term, from `first` on. One list and no
// branches, so that what the next terms need is on its way: a term that does not count adds 0.
COMIX_HD inline double others_change(const SolverProblem& problem, const DescentSpace& space,
                                     const Change& change, int first, int step) {
    const int listed = space.start[problem.sizes.outputs];
    double sum = 0;
#if defined(__CUDACC__)
#pragma unroll 4
#endif
    for (int k = first; k < listed; k += step) {
        const Shown shown = space.shown[k];
        const double moved = shown.reach + reach_change(problem, space.state, shown.input, change);
        const double share = 0.5 * shown.halves;
        const double term = share * (problem.penalty_at(moved) - problem.penalty_at(shown.reach));
        sum += shown.output != change.output ? term : 0.0;
    }
    return problem.gamma * sum;
}

// In four chains, so that additions need not wait for each other.
COMIX_HD inline double sum_of(const double* values, int count) {
    double sums[4] = {0, 0, 0, 0};
    for (int i = 0; i < count; i += 4) {
#if defined(__CUDACC__)
#pragma unroll
#endif
        for (int k = 0; k < 4; ++k)
            if (i + k < count) sums[k] += values[i + k];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
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

// Notes which blocks of the window, a thread each, show an overused input.
COMIX_HD inline void mark_relevant(const DescentSpace& space, std::int64_t cell, std::int64_t cells,
                                   int thread, std::int32_t* relevant) {
    if (cell >= cells) return;
    const Pair label = space.state.labels[cell];
    if (space.overused[first_of(label)] || space.overused[second_of(label)])
        add_to_set(relevant, thread);
}

// A window of blocks, a thread each, of which every crew looks at one.
struct Window {
    std::int64_t begin;      // in all blocks of all outputs
    std::int32_t* relevant;  // its blocks that show an overused input
    std::int32_t* spent;     // of the window before: cleared for the next one
    Crews crews;
};

// body(crew, lane, look, change) for every thread whose crew has a block; a warp_phase.
template <class Team, class Body>
COMIX_HD void crew_phase(Team& team, const SolverProblem& problem, const DescentSpace& space,
                         const Window& window, const Body& body) {
    team.warp_phase([&](int thread) {
        const int crew = thread / window.crews.lanes;
        if (crew >= window.crews.count || space.looks[crew].cell < 0) return;
        Look& look = space.looks[crew];
        const auto output = static_cast<int>((window.begin + look.cell) / problem.sizes.blocks());
        body(crew, thread % window.crews.lanes, look,
             Change{output, first_of(look.label), second_of(look.label), -1});
    });
}

// Gives the first relevant blocks of the window to the crews.
template <class Team>
COMIX_HD void choose_blocks(Team& team, const SolverProblem& problem, const DescentSpace& space,
                            const Window& window) {
    const std::int64_t cells = problem.sizes.cells();
    const int words = word_count(team.size());
    const Crews crews = window.crews;
    team.phase([&](int thread) {
        mark_relevant(space, window.begin + thread, cells, thread, window.relevant);
        if (thread < words) window.spent[thread] = 0;
        if (thread == 0) space.outcome->crew = INT32_MAX;
    });
    team.warp_phase([&](int thread) {
        const int crew = thread / crews.lanes, lane = thread % crews.lanes;
        if (crew >= crews.count || lane > 0) return;
        const int cell = member(window.relevant, words, crew);
        const Pair label = cell < 0 ? 0 : space.state.labels[window.begin + cell];
        space.looks[crew] = {cell, label, 0, -1};
        if (crew + 1 == crews.count) space.outcome->next = cell < 0 ? team.size() : cell + 1;
    });
}

// Lists the inputs that may be better in each crew's block, with what they cost inside the output.
template <class Team>
COMIX_HD void list_offers(Team& team, const SolverProblem& problem, const DescentSpace& space,
                          const Window& window) {
    const int n = problem.sizes.inputs, lanes = window.crews.lanes;
    crew_phase(
        team, problem, space, window, [&](int crew, int lane, const Look&, const Change& change) {
            space.part[crew * lanes + lane] = others_change(problem, space, change, lane, lanes);
        });
    crew_phase(team, problem, space, window, [&](int crew, int lane, Look& look, Change change) {
        // Showing another input relieves the others by no more than showing nothing.
        const double relief = sum_of(space.part + crew * lanes, lanes);
        const auto block = static_cast<int>((window.begin + look.cell) % problem.sizes.blocks());
        for (int j = lane; j < n; j += lanes) {
            if (j == change.a && j == change.b) continue;
            change.to = j;
            const double local = local_change(problem, space, block, change);
            if (!(local + relief < -kGain)) continue;
            space.offers[std::int64_t{crew} * n + atomic_add(&look.offers, 1)] = {0, local, j};
        }
    });
}

// Adds up the whole change of every offer: 32 / C threads for each of C, or as many offers as
// threads and more one after the other. Then each thread's best offer is in its place.
template <class Team>
COMIX_HD void add_up_offers(Team& team, const SolverProblem& problem, const DescentSpace& space,
                            const Window& window) {
    const int n = problem.sizes.inputs, lanes = window.crews.lanes;
    const auto sharers_of = [=](int count) {
        return 0 < count && count < lanes ? lanes / count : 1;
    };
    crew_phase(
        team, problem, space, window, [&](int crew, int lane, const Look& look, Change change) {
            Offer* const offers = space.offers + std::int64_t{crew} * n;
            const int sharers = sharers_of(look.offers);
            for (int k = lane / sharers; k < look.offers; k += lanes) {
                change.to = offers[k].input;
                const double sum = others_change(problem, space, change, lane % sharers, sharers);
                if (sharers > 1) {
                    space.part[crew * lanes + lane] = sum;
                } else {
                    offers[k].sum = offers[k].local + sum;
                }
            }
        });
    crew_phase(team, problem, space, window,
               [&](int crew, int lane, const Look& look, const Change&) {
                   Offer* const offers = space.offers + std::int64_t{crew} * n;
                   const int sharers = sharers_of(look.offers);
                   if (lane >= look.offers) return;
                   const double* const part = space.part + crew * lanes + lane * sharers;
                   if (sharers > 1) offers[lane].sum = offers[lane].local + sum_of(part, sharers);
                   for (int k = lane + lanes; k < look.offers; k += lanes)
                       if (before(offers[k], offers[lane])) offers[lane] = offers[k];
               });
}

// Looks at the window: fills space.looks and space.outcome.
template <class Team>
COMIX_HD void look_at(Team& team, const SolverProblem& problem, const DescentSpace& space,
                      const Window& window) {
    choose_blocks(team, problem, space, window);
    list_offers(team, problem, space, window);
    add_up_offers(team, problem, space, window);
    const Crews crews = window.crews;
    team.phase([&](int thread) {
        const int crew = thread / crews.lanes;
        if (crew >= crews.count || thread % crews.lanes > 0 || space.looks[crew].cell < 0) return;
        const Offer* const offers = space.offers + std::int64_t{crew} * problem.sizes.inputs;
        const int count = space.looks[crew].offers;
        Offer best{-kGain, 0, -1};
        for (int k = 0; k < count && k < crews.lanes; ++k)
            if (best.input < 0 ? offers[k].sum < best.sum : before(offers[k], best))
                best = offers[k];
        space.looks[crew].input = best.input;
        if (best.input >= 0) atomic_min(&space.outcome->crew, crew);
    });
}

// Lists the inputs in each output, output by output, and finds the overused ones.
template <class Team>
COMIX_HD void list_present(Team& team, const SolverProblem& problem, const DescentSpace& space) {
    const int n = problem.sizes.inputs, m = problem.sizes.outputs, words = word_count(n);
    const std::int64_t pairs = std::int64_t{m} * n;
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < std::int64_t{m} * words; k += team.size())
            space.present[k] = 0;
        for (int i = thread; i < n; i += team.size()) space.overused[i] = 0;
        for (int o = thread; o < m; o += team.size()) space.count[o] = 0;
    });
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size()) {
            if (space.state.halves[k] <= 0) continue;
            const auto o = static_cast<int>(k / n), i = static_cast<int>(k % n);
            add_to_set(space.present + std::int64_t{o} * words, i);
            atomic_add(space.count + o, 1);
            if (space.reach[k] > problem.tau) atomic_or(space.overused + i, 1);
        }
    });
    team.phase([&](int thread) {
        for (int o = thread; o <= m; o += team.size()) {
            std::int32_t start = 0;
            for (int before = 0; before < o; ++before) start += space.count[before];
            space.start[o] = start;
        }
    });
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size()) {
            if (space.state.halves[k] <= 0) continue;
            const auto o = static_cast<int>(k / n), i = static_cast<int>(k % n);
            const std::int32_t next =
                space.start[o] + members_below(space.present + std::int64_t{o} * words, i);
            space.shown[next] = {space.reach[k], static_cast<std::uint16_t>(i),
                                 static_cast<std::uint16_t>(space.state.halves[k]), o};
        }
    });
}

template <class Team>
COMIX_HD void make_change(Team& team, const SolverProblem& problem, const DescentSpace& space,
                          std::int64_t cell, Pair label, int to) {
    const int n = problem.sizes.inputs;
    const std::int64_t pairs = std::int64_t{problem.sizes.outputs} * n;
    const Change change{static_cast<int>(cell / problem.sizes.blocks()), first_of(label),
                        second_of(label), to};
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size()) {
            const auto o = static_cast<int>(k / n), i = static_cast<int>(k % n);
            if (o == change.output) {
                space.state.halves[k] += 2 * (i == to) - (i == change.a) - (i == change.b);
            } else {
                space.reach[k] += reach_change(problem, space.state, i, change);
            }
        }
        if (thread == 0) space.state.labels[cell] = pair_of(to, to);
    });
    list_present(team, problem, space);
}

}  // namespace detail

// Improves space.state.labels; the shares follow only in part.
template <class Team>
COMIX_HD void descend(Team& team, const SolverProblem& problem, const DescentSpace& space) {
    const int n = problem.sizes.inputs, words = word_count(team.size());
    const std::int64_t pairs = std::int64_t{problem.sizes.outputs} * n;
    const std::int64_t cells = problem.sizes.cells();
    detail::count_all(team, problem, space.state);
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size())
            space.reach[k] = detail::reach_of(problem, space.state, static_cast<int>(k / n),
                                              static_cast<int>(k % n));
        for (int k = thread; k < 2 * words; k += team.size()) space.relevant[k] = 0;
    });
    detail::list_present(team, problem, space);
    detail::Window window{0, space.relevant, space.relevant + words, Crews::of(team.size())};
    bool improved = true;
    for (int pass = 0; pass < detail::kMostPasses && improved; ++pass) {
        improved = false;
        for (window.begin = 0; window.begin < cells;) {
            detail::look_at(team, problem, space, window);
            std::int32_t* const swapped = window.relevant;
            window.relevant = window.spent;
            window.spent = swapped;
            const Outcome outcome = team.uniform(*space.outcome);
            if (outcome.crew == INT32_MAX) {
                window.begin += outcome.next;
                continue;
            }
            const Look look = team.uniform(space.looks[outcome.crew]);
            const std::int64_t cell = window.begin + look.cell;
            detail::make_change(team, problem, space, cell, look.label, look.input);
            improved = true;
            window.begin = cell + 1;
        }
    }
}

}  // namespace comix::cuda::comixup
