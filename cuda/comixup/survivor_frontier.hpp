// The best labelling of the labels left to each block, by dynamic programming over the frontier
// (csrc/gridcut/frontier.hpp).
//
// Blocks are visited line by line, across the side that takes fewer steps; a state holds the labels
// of the last line's worth of blocks, each one of those left to it. A block's states are shared out
// among the threads.
// Guarantee: the optimum over the survivors.
// Cost: sum over blocks of (product of the candidates of the frontier's blocks) * (candidates of
//   the one that leaves it) steps; two bytes per block and state. Whether that fits the memory at
//   hand, and kMostSteps, is for the data to decide.
// Source: Bellman's principle on a path decomposition of the grid.
#pragma once

#include <cstdint>

#include "cuda/base/collectives.hpp"
#include "cuda/comixup/survivors.hpp"

namespace comix::cuda::comixup {

// How the block numbers `line * columns + column` are visited.
struct Walk {
    int lines, columns, down, right;  // steps between blocks

    COMIX_HD static Walk of(const LabelEnergy& energy, bool transposed) {
        return transposed ? Walk{energy.width, energy.height, 1, energy.width}
                          : Walk{energy.height, energy.width, energy.width, 1};
    }
    COMIX_HD int site(int r, int c) const { return r * down + c * right; }
};

// A visited block: its states are the labels of the blocks left of it (slowest), its own, those of
// the blocks right of it on the line before (fastest).
struct FrontierStep {
    std::int64_t first;          // of its choices
    std::int32_t states, after;  // after: of the blocks right of it
};

struct FrontierMemory {
    static constexpr double kMostSteps = 4e9;  // some 0.3 s

    FrontierStep* step;     // [blocks]
    Located<Cost>* best;    // [size] of the team
    std::int64_t* widest;   // [1] states of a table
    int* chosen;            // [1] see Chosen
    unsigned char* tables;  // [bytes]
    std::int64_t bytes;
};

enum Chosen { kLines, kColumns, kNeither };

namespace detail {

// Steps of one way to walk, below 0 when they are too many or their tables do not fit. Fills
// memory.step.
COMIX_HD inline double plan_walk(const LabelEnergy& energy, const Survivors& survivors,
                                 bool transposed, const FrontierMemory& memory) {
    const Walk walk = Walk::of(energy, transposed);
    double steps = 0;
    std::int64_t frontier = 1, choices = 0, widest = 1;
    for (int r = 0; r < walk.lines; ++r) {
        std::int64_t before = 1;  // states of the blocks left of this one
        for (int c = 0; c < walk.columns; ++c) {
            const int leaving = r > 0 ? survivors.count[walk.site(r - 1, c)] : 1;
            const int entering = survivors.count[walk.site(r, c)];
            const std::int64_t rest = frontier / leaving;
            const std::int64_t states = rest * entering;
            memory.step[r * walk.columns + c] = {choices, static_cast<std::int32_t>(states),
                                                 static_cast<std::int32_t>(rest / before)};
            frontier = states;
            before *= entering;
            choices += states;
            widest = states > widest ? states : widest;
            steps += static_cast<double>(states) * leaving;
            const auto entry = static_cast<std::int64_t>(sizeof(std::uint16_t));
            const auto cost = static_cast<std::int64_t>(sizeof(Cost));
            if (2 * cost * widest + entry * choices > memory.bytes) return -1;
            if (steps > FrontierMemory::kMostSteps) return -1;
        }
    }
    *memory.widest = widest;
    return steps;
}

// Goes over all states of one block after the other, choices into `choices`.
template <class Team>
COMIX_HD const Cost* fill_tables(Team& team, const LabelEnergy& energy, const Survivors& survivors,
                                 const Walk& walk, const FrontierMemory& memory, Cost* before,
                                 Cost* after, std::uint16_t* choices) {
    team.phase([&](int thread) {
        if (thread == 0) before[0] = 0;
    });
    for (int k = 0; k < energy.blocks(); ++k) {
        const int r = k / walk.columns, c = k - r * walk.columns, p = walk.site(r, c);
        team.phase([&](int thread) {
            const FrontierStep step = memory.step[k];
            const int own_count = survivors.count[p], above = r > 0 ? p - walk.down : p;
            const int leaving = r > 0 ? survivors.count[above] : 1;
            const int left = c > 0 ? p - walk.right : p, left_count = survivors.count[left];
            for (int s = thread; s < step.states; s += team.size()) {
                const int head = s / step.after, rest = s - head * step.after;
                const int high = head / own_count, own = survivors.at(p)[head - high * own_count];
                const Cost* const old = before + std::int64_t{high} * leaving * step.after + rest;
                int chosen = 0;
                Cost least = 0;
                for (int top = 0; top < leaving; ++top) {
                    Cost cost = old[std::int64_t{top} * step.after];
                    if (r > 0) cost += energy.edge(survivors.at(above)[top], own);
                    if (top > 0 && cost >= least) continue;
                    least = cost;
                    chosen = top;
                }
                least += energy.alone(p, own);
                if (c > 0) least += energy.edge(survivors.at(left)[high % left_count], own);
                after[s] = least;
                choices[step.first + s] = static_cast<std::uint16_t>(chosen);
            }
        });
        Cost* const swapped = before;
        before = after;
        after = swapped;
    }
    return before;
}

// The way that led to the last block's state, by one thread. take(block, label).
template <class Take>
COMIX_HD void walk_back(const LabelEnergy& energy, const Survivors& survivors, const Walk& walk,
                        const FrontierMemory& memory, const std::uint16_t* choices,
                        std::int64_t state, const Take& take) {
    for (int k = energy.blocks() - 1; k >= 0; --k) {
        const int r = k / walk.columns, c = k - r * walk.columns, p = walk.site(r, c);
        const FrontierStep step = memory.step[k];
        const int leaving = r > 0 ? survivors.count[p - walk.down] : 1;
        const std::int64_t head = state / step.after, rest = state - head * step.after;
        const std::int64_t high = head / survivors.count[p];
        take(p, survivors.at(p)[head - high * survivors.count[p]]);
        state = (high * leaving + choices[step.first + state]) * step.after + rest;
    }
}

// Calls take(block, label) for the best labelling; false, and nothing, when that does not fit.
template <class Team, class Take>
COMIX_HD bool solve_survivors(Team& team, const LabelEnergy& energy, const Survivors& survivors,
                              const FrontierMemory& memory, const Take& take) {
    team.phase([&](int thread) {
        if (thread > 0) return;
        const double lines = plan_walk(energy, survivors, false, memory);
        const double columns = plan_walk(energy, survivors, true, memory);
        const bool shorter = columns >= 0 && !(lines >= 0 && lines <= columns);
        *memory.chosen = shorter ? kColumns : lines >= 0 ? kLines : kNeither;
        // What the last plan wrote is what counts.
        if (*memory.chosen == kLines) plan_walk(energy, survivors, false, memory);
    });
    const int chosen = team.uniform(*memory.chosen);
    if (chosen == kNeither) return false;
    const Walk walk = Walk::of(energy, chosen == kColumns);
    const std::int64_t widest = team.uniform(*memory.widest);
    auto* const table = reinterpret_cast<Cost*>(memory.tables);
    auto* const choices = reinterpret_cast<std::uint16_t*>(table + 2 * widest);
    const Cost* const last =
        fill_tables(team, energy, survivors, walk, memory, table, table + widest, choices);
    const int states = team.uniform(memory.step[energy.blocks() - 1].states);
    const Located<Cost> best = reduce_first_min(team, memory.best, [&](int thread) {
        Located<Cost> own{last[0], 0};
        for (int s = thread; s < states; s += team.size())
            if (last[s] < own.value) own = {last[s], s};
        return own;
    });
    team.phase([&](int thread) {
        if (thread == 0) walk_back(energy, survivors, walk, memory, choices, best.place, take);
    });
    return true;
}

}  // namespace detail

}  // namespace comix::cuda::comixup
