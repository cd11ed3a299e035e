// Exact labelling for ordered labels on grids of any size: one minimum cut over levels.
//
// Takes the problems that grid_cut() left to it (level_graph.hpp: convex label distances, any unary
// costs). A slot solves one problem after the other in memory of its own. Which pairs of levels are
// coupled is the same for all problems; every slot counts them, and so knows for how many slots the
// memory is enough: the others do nothing.
// Guarantee: the optimum, for costs rounded to 2^-58 of the sum of their changes from label to
//   label.
// Source: as level_graph.hpp and level_flow.hpp.
#pragma once

#include "cuda/gridcut/frontier.hpp"
#include "cuda/gridcut/level_flow.hpp"
#include "cuda/gridcut/level_graph.hpp"

namespace comix::cuda::gridcut {

// What the cuts over levels of a batch take; decided by the sizes alone, before the launch.
struct LevelPlan {
    std::int64_t bytes, slots;  // 0: none
    bool alone;                 // every problem has a slot of its own, whichever pairs are coupled

    // Not where the frontier programme is quick.
    static LevelPlan of(std::int64_t problems, int height, int width, int labels, Method method) {
        const bool wanted = method == Method::exact || method == Method::automatic;
        if (!wanted || FrontierPlan::of(height, width, labels, Method::automatic, 1).bytes > 0)
            return {0, 0, false};
        const LevelSizes sizes = LevelSizes::of(height, width, labels);
        const std::int64_t bytes = sizes.scratch_bytes(problems);
        return {bytes, sizes.slots(problems), problems <= bytes / sizes.bytes(sizes.most_pairs())};
    }
};

namespace detail {

// What a team remembers beside the graph, in shared memory.
struct LevelNotes {
    double* partials;  // [size] of the team
    int* sums;         // [2, size]
    int* counts;       // [2] signs, pairs: note_level_pairs

    static SharedBytes bytes(int threads) {
        const auto team = static_cast<std::size_t>(threads);
        return SharedBytes().add<double>(team).add<int>(2 * team).add<int>(2);
    }
    template <class Team>
    COMIX_HD static LevelNotes of(Team& team) {
        const auto size = static_cast<std::size_t>(team.size());
        LevelNotes notes{};
        notes.partials = team.template shared<double>(size);
        notes.sums = team.template shared<int>(2 * size);
        notes.counts = team.template shared<int>(2);
        return notes;
    }
};

// What all problems have in common: the label distances.
struct LevelDistances {
    double slack;
    int exponent;      // strengths were divided by its power of two
    double variation;  // what an edge of weight 1 adds to costs and capacities, at most
};

// memory: LevelSizes::bytes(pairs).
COMIX_HD inline LevelFlow lay_out_levels(unsigned char* memory, const Problem& grid, int pairs) {
    const std::int64_t sites = grid.sites();
    const int levels = grid.labels - 1;
    const std::int64_t nodes = levels * sites;
    LevelFlow graph{};
    graph.height = grid.height;
    graph.width = grid.width;
    graph.pairs.levels = levels;
    graph.pairs.count = pairs;
    graph.weight = reinterpret_cast<double*>(memory);
    graph.pairs.strength = graph.weight + 2 * sites;
    graph.flow = reinterpret_cast<Cost*>(graph.pairs.strength + pairs);
    graph.own = graph.flow + 2 * pairs * sites;
    graph.arriving = graph.own + nodes;
    graph.sinking = graph.arriving + nodes;
    graph.depth = reinterpret_cast<int*>(graph.sinking + nodes);
    graph.changed = graph.depth + 2 * nodes;
    graph.pairs.begin = graph.changed + 4;
    graph.pairs.begin_back = graph.pairs.begin + levels + 1;
    graph.pairs.second = graph.pairs.begin_back + levels + 1;
    graph.pairs.first = graph.pairs.second + pairs;
    graph.pairs.pair = graph.pairs.first + pairs;
    return graph;
}

// Lists the coupled pairs.
template <class Team>
COMIX_HD LevelDistances list_level_pairs(Team& team, const Problem& grid, double slack,
                                         const LevelNotes& notes, const LevelPairs& pairs) {
    const int levels = pairs.levels;
    const std::int64_t labels = grid.labels;
    const double* const v = grid.pairwise;
    const auto difference = [&](int k, int m) { return mixed_difference(grid, k + 1, m + 1); };
    const auto coupled = [&](int k, int m) { return !(fabs(difference(k, m)) <= slack); };
    team.phase([&](int thread) {
        for (int k = thread; k <= levels; k += team.size()) {
            int forth = 0, back = 0;
            for (int m = 0; m < levels && k < levels; ++m) {
                forth += coupled(k, m);
                back += coupled(m, k);
            }
            pairs.begin[k] = forth;
            pairs.begin_back[k] = back;
        }
    });
    exclusive_scan(team, pairs.begin, levels + 1, notes.sums);
    exclusive_scan(team, pairs.begin_back, levels + 1, notes.sums);
    const double strongest = reduce_max(team, notes.partials, [&](int thread) {
        double most = 0;
        for (int k = thread; k < levels; k += team.size()) {
            for (int m = 0; m < levels; ++m) {
                const double size = fabs(difference(k, m));
                if (size > most) most = size;
            }
        }
        return most;
    });
    const double variation = reduce_sum(team, notes.partials, [&](int thread) {
        double sum = 0;
        for (int k = thread; k < levels; k += team.size()) {
            sum += fabs(v[(k + 1) * labels] - v[k * labels]) + fabs(v[k + 1] - v[k]);
            for (int m = 0; m < levels; ++m) sum += fabs(difference(k, m));
        }
        return sum;
    });
    const int exponent = Scale::exponent_above(strongest);
    const Scale to_one = Scale::by(-exponent);
    team.phase([&](int thread) {
        for (int k = thread; k < levels; k += team.size()) {
            int next = pairs.begin[k], next_back = pairs.begin_back[k];
            for (int m = 0; m < levels; ++m) {
                if (coupled(k, m)) {
                    pairs.strength[next] = to_one.scaled(fabs(difference(k, m)));
                    pairs.second[next++] = m;
                }
                if (coupled(m, k)) pairs.first[next_back++] = m;
            }
        }
    });
    team.phase([&](int thread) {
        for (int m = thread; m < levels; m += team.size()) {
            for (int i = pairs.begin_back[m]; i < pairs.begin_back[m + 1]; ++i) {
                const int k = pairs.first[i];
                int low = pairs.begin[k], high = pairs.begin[k + 1];  // the pair is among these
                while (high - low > 1) {
                    const int middle = low + (high - low) / 2;
                    (pairs.second[middle] <= m ? low : high) = middle;
                }
                pairs.pair[i] = low;
            }
        }
    });
    return {slack, exponent, variation + slack * 1e12};
}

// What the numbers of the graph add up to, at most.
template <class Team>
COMIX_HD double measure_levels(Team& team, const Problem& grid, const LevelNotes& notes,
                               double variation) {
    const int sites = grid.sites(), width = grid.width, labels = grid.labels;
    return reduce_sum(team, notes.partials, [&](int thread) {
        double sum = 0;
        for (int p = thread; p < sites; p += team.size()) {
            const double* unary = grid.unary + std::int64_t{p} * labels;
            for (int l = 1; l < labels; ++l) sum += fabs(unary[l] - unary[l - 1]);
            if (p + width < sites) sum += fabs(grid.weight_v[p]) * variation;
            if ((p + 1) % width != 0) sum += fabs(grid.weight_h[p - p / width]) * variation;
        }
        return sum;
    });
}

// V(i, j) = V(0, 0) + what the levels of one site pay + sum D(k, m) over the levels taken, and
// D x y = D x + |D| x (1 - y), or with x and y exchanged: an arc from x to y, or from y to x.
template <class Team>
COMIX_HD void set_level_costs(Team& team, const Problem& grid, const Scale& scale,
                              const LevelFlow& graph) {
    const int sites = grid.sites(), width = grid.width, labels = grid.labels;
    const int nodes = graph.nodes();
    const double* const v = grid.pairwise;
    team.phase([&](int thread) {
        for (int n = thread; n < nodes; n += team.size()) {
            const int j = n / sites, p = n - j * sites;
            const double* const unary = grid.unary + std::int64_t{p} * labels;
            Cost own = scale(unary[j + 1] - unary[0]) - scale(unary[j] - unary[0]);
            const auto first = [&](double weight) {
                own += scale(weight * v[std::int64_t{j + 1} * labels]) -
                       scale(weight * v[std::int64_t{j} * labels]);
            };
            const auto second = [&](double weight) {
                own += scale(weight * v[j + 1]) - scale(weight * v[j]);
            };
            if (p + width < sites) first(grid.weight_v[p]);
            if (p >= width) second(grid.weight_v[p - width]);
            if ((p + 1) % width != 0) first(grid.weight_h[p - p / width]);
            if (p % width != 0) second(grid.weight_h[p - 1 - p / width]);
            visit_arcs(graph, p, j, [&](const LevelArc& arc) {
                own -= arc.room();  // without any flow yet
                return false;
            });
            graph.own[n] = own;
            graph.arriving[n] = 0;
        }
    });
}

// Flow down the levels of a site, as much as those below can take.
template <class Team>
COMIX_HD void sink_at_once(Team& team, const LevelFlow& graph) {
    const int sites = graph.sites(), nodes = graph.nodes();
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size()) {
            Cost room = 0;  // of the levels below
            for (int n = p; n < nodes; n += sites) {
                graph.sinking[n] = room;
                if (graph.own[n] > 0) room += graph.own[n];
            }
            Cost carried = 0;
            for (int n = nodes - sites + p; n >= 0; n -= sites) {
                const Cost supply = carried - graph.own[n];
                carried = supply < graph.sinking[n] ? supply : graph.sinking[n];
                if (carried < 0) carried = 0;
                graph.sinking[n] = carried;
                graph.own[n] = carried - supply;
            }
        }
    });
}

template <class Team>
COMIX_HD void set_levels(Team& team, const Problem& grid, double magnitude, int exponent,
                         const LevelFlow& graph) {
    const int sites = grid.sites(), width = grid.width;
    const int shift = 58 - Scale::exponent_above(magnitude);
    const Scale by_edge = Scale::by(shift + exponent);
    const std::int64_t flows = std::int64_t{2} * graph.pairs.count * sites;
    team.phase([&](int thread) {
        const auto scaled = [&](double weight) {
            return weight == 0 ? 0.0 : by_edge.scaled(fabs(weight));  // the scale may be infinite
        };
        for (int p = thread; p < sites; p += team.size()) {
            const bool right = (p + 1) % width != 0, down = p + width < sites;
            graph.weight[p] = right ? scaled(grid.weight_h[p - p / width]) : 0.0;
            graph.weight[sites + p] = down ? scaled(grid.weight_v[p]) : 0.0;
        }
        for (std::int64_t i = thread; i < flows; i += team.size()) graph.flow[i] = 0;
    });
    set_level_costs(team, grid, Scale::by(shift), graph);
    sink_at_once(team, graph);
}

}  // namespace detail

// One slot's share of the problems whose `optimal` is kLeftToLevels; kProven then. memory: 8-byte
// aligned, of all slots. Shared memory of the team: detail::LevelNotes::bytes.
template <class Team>
COMIX_HD void level_cut(Team& team, const Batch& grids, const LevelPlan& plan,
                        unsigned char* memory, std::int64_t slot, std::int64_t* labels,
                        std::uint8_t* optimal) {
    // Mostly nothing is left; a slot that knows its only problem sees that at once.
    if (plan.alone && team.uniform(optimal[slot]) != kLeftToLevels) return;
    const detail::LevelNotes notes = detail::LevelNotes::of(team);
    const Problem any = grids[0];
    team.phase([&](int thread) {
        if (thread == 0) notes.counts[0] = notes.counts[1] = 0;
    });
    const double slack = detail::level_slack(team, any, notes.partials);
    detail::note_level_pairs(team, any, slack, notes.counts, notes.counts + 1);
    const int pairs = team.uniform(notes.counts[1]), sites = grids.sites();
    const std::int64_t bytes = LevelSizes::of(any.height, any.width, any.labels).bytes(pairs);
    const std::int64_t fit = plan.bytes / bytes, slots = fit < plan.slots ? fit : plan.slots;
    if (slot >= slots) return;
    const LevelFlow graph = detail::lay_out_levels(memory + slot * bytes, any, pairs);
    const auto distances = detail::list_level_pairs(team, any, slack, notes, graph.pairs);
    for (std::int64_t i = slot; i < grids.problems; i += slots) {
        if (team.uniform(optimal[i]) != kLeftToLevels) continue;
        const Problem grid = grids[i];
        const double magnitude = detail::measure_levels(team, grid, notes, distances.variation);
        detail::set_levels(team, grid, magnitude, distances.exponent, graph);
        const bool proven = solve_levels(team, graph);
        team.phase([&](int thread) {
            for (int p = thread; p < sites && proven; p += team.size()) {
                int label = 0;
                while (label < graph.pairs.levels &&
                       graph.depth[label * sites + p] >= LevelFlow::kFar)
                    ++label;
                labels[i * sites + p] = label;
            }
            if (thread == 0) optimal[i] = proven ? kProven : kUnproven;
        });
    }
}

}  // namespace comix::cuda::gridcut
