// A minimum cut of the level graph of ordered labels (level_graph.hpp), by a maximum flow that a
// whole team pushes.
//
// Nodes are levels of sites. Nodes with a negative own cost supply that much flow, nodes with a
// positive one drain it. Flow runs down the levels of a site without a limit, and between the
// levels of neighbouring sites as far as coupled pairs of levels allow. What cannot reach a drain
// when no supply can reach one either is the largest best set to take; without a limit downwards,
// with a level it takes all below.
//
// Push-relabel in pulses, as flow_move.hpp: every supplied node pushes downhill at once, then takes
// in what arrived and is lifted where nothing is downhill. In between, exact distances to the
// drains are found anew, breadth first, and these are the proof at the end: no supply reaches a
// drain. All numbers are integers, so the answer depends neither on the order of threads nor on
// their number. Guarantee: the minimum; solve_levels() says so.
// Cost: two barriers per pulse, some hundreds of pulses; an arc is looked at once per search, and
//   in a pulse for nodes with supply only.
// Source: Goldberg & Tarjan, "A new approach to the maximum-flow problem", JACM 1988 (the parallel
//   version: at most O(nodes^2) pulses); Cherkassky & Goldberg, "On implementing push-relabel
//   method for the maximum flow problem", 1997 (global relabelling).
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/gridcut/cutter_space.hpp"

namespace comix::cuda::gridcut {

// Pairs of levels (k, m) of an edge's first and second site with an arc between them: by k, and
// again by m. levels: L - 1.
struct LevelPairs {
    int levels, count;
    double* strength;  // [count] capacity of weight 1, at most 1
    int* begin;        // [levels + 1] of first level k: pairs begin[k]..begin[k + 1] - 1
    int* second;       // [count] m
    int* begin_back;   // [levels + 1] of second level m: places begin_back[m]..
    int* first;        // [count] k, by place
    int* pair;         // [count] by place
};

struct LevelFlow {
    static constexpr int kFar = 1 << 30;  // no drain within reach

    LevelPairs pairs;
    int height, width;
    double* weight;  // [2, sites] right, down; by first site, scaled, 0 where there is no edge
    Cost* flow;      // [2, count, sites] from first to second
    Cost* own;       // [levels, sites] drains positive, supplies negative
    Cost* arriving;  // [levels, sites]
    Cost* sinking;   // [levels, sites] flow to the level below
    int* depth;      // [2, levels, sites] lower bounds of the distance to a drain
    int* changed;    // [3]

    COMIX_HD int sites() const { return height * width; }
    COMIX_HD int nodes() const { return pairs.levels * sites(); }
};

namespace detail {

// An arc as one of its ends sees it. Between first and second, `most` is the capacity of both
// directions together: all of it from the higher to the lower level, half of it each way between
// equal ones. (That leaves the least to be done by flow where distances grow with the difference.)
struct LevelArc {
    int node;       // at the other end
    bool onward;    // from first to second
    int levels_up;  // from first to second
    double weight, strength;
    Cost* flow;

    COMIX_HD Cost most() const { return llrint(weight * strength); }
    COMIX_HD static Cost forward(Cost most, int levels_up) {
        return levels_up < 0 ? most : levels_up > 0 ? 0 : most / 2;
    }
    // Away from this end; what comes in is the rest of most().
    COMIX_HD Cost room() const {
        const Cost forth = forward(most(), levels_up);
        return onward ? forth - *flow : most() - forth + *flow;
    }
    COMIX_HD Cost room_back() const { return most() - room(); }
};

// Calls visit(arc) for all arcs between level j of site p and other sites, until it says true.
template <class Visit>
COMIX_HD void visit_arcs(const LevelFlow& graph, int p, int j, const Visit& visit) {
    const LevelPairs& pairs = graph.pairs;
    const int sites = graph.sites();
    for (int d = 0; d < 4; ++d) {
        const bool onward = d == kRight || d == kDown;
        const int step = d < kDown ? 1 : graph.width, edge = onward ? p : p - step;
        if (edge < 0) continue;
        const double weight = graph.weight[(d < kDown ? 0 : sites) + edge];
        if (weight == 0) continue;
        const int beside = onward ? p + step : edge;
        Cost* const flow = graph.flow + std::int64_t{d < kDown ? 0 : pairs.count} * sites + edge;
        const int* const begin = onward ? pairs.begin : pairs.begin_back;
        for (int i = begin[j]; i < begin[j + 1]; ++i) {
            const int pair = onward ? i : pairs.pair[i];
            const int level = onward ? pairs.second[i] : pairs.first[i];
            const LevelArc arc{level * sites + beside,         onward,
                               onward ? level - j : j - level, weight,
                               pairs.strength[pair],           flow + std::int64_t{pair} * sites};
            if (visit(arc)) return;
        }
    }
}

// Distances to the drains, along arcs with room, into graph.depth. Says whether supply reaches one.
template <class Team>
COMIX_HD bool find_level_depths(Team& team, const LevelFlow& graph) {
    const int nodes = graph.nodes(), sites = graph.sites();
    int* const depth = graph.depth;
    team.phase([&](int thread) {
        for (int n = thread; n < nodes; n += team.size())
            depth[n] = graph.own[n] > 0 ? 0 : LevelFlow::kFar;
        if (thread == 0) graph.changed[1] = 0;
    });
    bool going = true;
    for (int found = 1; going; ++found) {
        int* const changed = graph.changed + found % 3;
        team.phase([&](int thread) {
            if (thread == 0) graph.changed[(found + 1) % 3] = 0;
            bool any = false;
            const auto reach = [&](int node) {
                atomic_min(depth + node, found);
                any = true;
            };
            const auto open = [&](int node) {
                return atomic_read(depth + node) == LevelFlow::kFar;
            };
            for (int n = thread; n < nodes; n += team.size()) {
                if (atomic_read(depth + n) != found - 1) continue;
                const int j = n / sites;
                if (n + sites < nodes && open(n + sites)) reach(n + sites);
                if (j > 0 && open(n - sites) && graph.sinking[n] > 0) reach(n - sites);
                visit_arcs(graph, n - j * sites, j, [&](const LevelArc& arc) {
                    if (open(arc.node) && arc.room_back() > 0) reach(arc.node);
                    return false;
                });
            }
            if (any) atomic_or(changed, 1);
        });
        going = team.uniform(*changed) != 0;
    }
    team.phase([&](int thread) {
        if (thread == 0) graph.changed[0] = 0;
    });
    team.phase([&](int thread) {
        bool reaches = false;
        for (int n = thread; n < nodes; n += team.size())
            reaches = reaches || (graph.own[n] < 0 && depth[n] < LevelFlow::kFar);
        if (reaches) atomic_or(graph.changed, 1);
    });
    return team.uniform(graph.changed[0]) != 0;
}

// Only one end of an arc can be the deeper one, so only that end's thread touches it in a phase.
template <class Team>
COMIX_HD void pulse_levels(Team& team, const LevelFlow& graph, const int* depth, int* next) {
    const int nodes = graph.nodes(), sites = graph.sites();
    team.phase([&](int thread) {
        for (int n = thread; n < nodes; n += team.size()) {
            Cost supply = -graph.own[n];
            const int downhill = depth[n] - 1;
            if (supply <= 0 || downhill + 1 >= LevelFlow::kFar) continue;
            const auto push = [&](Cost room, int node) {
                const Cost pushed = room < supply ? room : supply;
                supply -= pushed;
                atomic_add(graph.arriving + node, pushed);
                return pushed;
            };
            const int j = n / sites;
            visit_arcs(graph, n - j * sites, j, [&](const LevelArc& arc) {
                if (depth[arc.node] != downhill) return false;
                const Cost room = arc.room();
                if (room <= 0) return false;
                const Cost pushed = push(room, arc.node);
                *arc.flow += arc.onward ? pushed : -pushed;
                return supply == 0;
            });
            if (supply > 0 && j > 0 && depth[n - sites] == downhill)
                graph.sinking[n] += push(supply, n - sites);
            if (supply > 0 && n + sites < nodes && depth[n + sites] == downhill &&
                graph.sinking[n + sites] > 0)
                graph.sinking[n + sites] -= push(graph.sinking[n + sites], n + sites);
            graph.own[n] = -supply;
        }
    });
    team.phase([&](int thread) {
        for (int n = thread; n < nodes; n += team.size()) {
            const Cost own = graph.own[n] - graph.arriving[n];
            graph.own[n] = own;
            graph.arriving[n] = 0;
            const int before = depth[n];
            int lifted = before;
            if (own < 0 && before < LevelFlow::kFar) {
                int least = LevelFlow::kFar;
                const auto look = [&](int node) {
                    if (depth[node] < least) least = depth[node];
                };
                const int j = n / sites;
                if (j > 0) look(n - sites);
                if (n + sites < nodes && graph.sinking[n + sites] > 0) look(n + sites);
                visit_arcs(graph, n - j * sites, j, [&](const LevelArc& arc) {
                    if (depth[arc.node] < least && arc.room() > 0) least = depth[arc.node];
                    return least < before;
                });
                if (least < LevelFlow::kFar) ++least;
                if (least > lifted) lifted = least;
            }
            next[n] = lifted;
        }
    });
}

}  // namespace detail

// Solves the cut; true when the answer is proven, which only fails beyond the number of pulses that
// theory allows. Then a node is taken where its depth is LevelFlow::kFar.
template <class Team>
COMIX_HD bool solve_levels(Team& team, const LevelFlow& graph) {
    // Even, as for the depths.
    const int pulses = (8 + (graph.height + graph.width + graph.pairs.levels) / 4) / 2 * 2;
    const std::int64_t nodes = graph.nodes();
    const std::int64_t rounds = (4 * nodes * nodes + 64) / pulses + 1;
    for (std::int64_t round = 0; round < rounds; ++round) {
        if (!detail::find_level_depths(team, graph)) return true;
        int *depth = graph.depth, *next = depth + nodes;
        for (int k = 0; k < pulses; ++k) {
            detail::pulse_levels(team, graph, depth, next);
            int* const swapped = depth;
            depth = next;
            next = swapped;
        }
    }
    return false;
}

}  // namespace comix::cuda::gridcut
