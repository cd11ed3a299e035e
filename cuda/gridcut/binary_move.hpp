// One move: every site keeps one label or takes another, decided jointly.
//
//   strip_move  grids with a side of at most four: the minimum, whatever the costs (strip_move.hpp)
//   flow_move   any grid: sites whose choice is clear whatever their neighbours choose are settled
//               first, which may settle others, where some joint cost is positive (for then that
//               matters); the rest is a flow (flow_move.hpp). The minimum when no joint cost
//               between unsettled sites is positive. Else each positive one is replaced by a sum
//               over its two sites that is no smaller anywhere and the same for what the sites
//               choose at present: no minimum for sure, but never a higher energy.
// Ties: of several minima without positive joint costs, strip_move finds the one that takes fewest
//   sites, flow_move the one that takes most; each is unique.
// Source: Rother, Kumar, Kolmogorov & Blake, "Digital tapestry", CVPR 2005, section 4 (replacing
//   costs); as csrc/gridcut/binary_move.hpp.
#pragma once

#include "cuda/gridcut/cutter_space.hpp"

namespace comix::cuda::gridcut {

namespace detail {

// What a move lets each site choose from.
class Move {
  public:
    // The site's own label, or label a.
    COMIX_HD static Move expansion(int a) { return {-1, a}; }
    // The site's own label, or one label up.
    COMIX_HD static Move rise() { return {-1, -1}; }
    // Sites labelled one of the two: those two. Others: their own.
    COMIX_HD static Move swap(int kept, int taken) { return {kept, taken}; }

    COMIX_HD bool swaps() const { return kept_ >= 0; }
    COMIX_HD bool concerns(int label) const {
        return kept_ < 0 || label == kept_ || label == taken_;
    }
    COMIX_HD int kept(int label) const { return swaps() && label == taken_ ? kept_ : label; }
    COMIX_HD int taken(int label, int labels) const {
        if (taken_ < 0) return label + 1 < labels ? label + 1 : label;
        return concerns(label) ? taken_ : label;
    }
    // Whether the site has chosen to take already.
    COMIX_HD bool taking(int label) const { return swaps() && label == taken_; }

  private:
    COMIX_HD Move(int kept, int taken) : kept_(kept), taken_(taken) {}

    int kept_, taken_;
};

struct EdgeMove {
    Cost first, second, joint;  // change when only the one or the other site takes; joint cost
};

COMIX_HD inline EdgeMove edge_move(const FixedProblem& problem, const int* label, const Move& move,
                                   double weight, int p, int q) {
    const int labels = problem.grid.labels, a = move.kept(label[p]), b = move.kept(label[q]);
    const int to_a = move.taken(label[p], labels), to_b = move.taken(label[q], labels);
    const Cost now = problem.pair(weight, a, b);
    const Cost first = problem.pair(weight, to_a, b) - now;
    const Cost second = problem.pair(weight, a, to_b) - now;
    return {first, second, problem.pair(weight, to_a, to_b) - now - first - second};
}

COMIX_HD inline Cost site_move(const FixedProblem& problem, const int* label, const Move& move,
                               int p) {
    return problem.unary(p, move.taken(label[p], problem.grid.labels)) -
           problem.unary(p, move.kept(label[p]));
}

// True when the energy falls. Swaps always put the minimum in place, and their value says nothing.
template <class Team>
COMIX_HD bool strip_move(Team& team, const FixedProblem& problem, const CutterSpace& space,
                         const Move& move) {
    const Problem& grid = problem.grid;
    const Strip strip = Strip::of(grid.height, grid.width);
    const int cells = kStripWidth * strip.rows, width = grid.width;
    team.phase([&](int thread) {
        for (int k = thread; k < cells; k += team.size()) {
            const int r = k / kStripWidth, c = k % kStripWidth;
            Cost alone = 0, above = 0, left = 0;
            if (c < strip.columns) {
                const int p = strip.site(r, c), row = p / width, column = p - row * width;
                alone = site_move(problem, space.label, move, p);
                EdgeMove up{0, 0, 0}, back{0, 0, 0};
                if (row > 0)
                    up = edge_move(problem, space.label, move, problem.below(p - width), p - width,
                                   p);
                if (column > 0)
                    back = edge_move(problem, space.label, move, problem.right(p - 1), p - 1, p);
                alone += up.second + back.second;
                if (row + 1 < grid.height)
                    alone +=
                        edge_move(problem, space.label, move, problem.below(p), p, p + width).first;
                if (column + 1 < width)
                    alone +=
                        edge_move(problem, space.label, move, problem.right(p), p, p + 1).first;
                const bool along_rows = strip.down == width && strip.right == 1;
                above = along_rows ? up.joint : back.joint;
                left = along_rows ? back.joint : up.joint;
            }
            space.strip.alone[k] = alone;
            space.strip.above[k] = above;
            space.strip.left[k] = left;
        }
    });
    if (move.swaps()) {
        team.phase([&](int thread) {
            for (int p = thread; p < grid.sites(); p += team.size())
                space.label[p] = move.kept(space.label[p]);
        });
    }
    team.phase([&](int thread) {
        if (thread > 0) return;
        const auto minimum = solve_strip<Cost>(strip.rows, space.strip, space.strip.decisions, 1);
        space.flags[kGain] = minimum.energy < 0;
        if (minimum.energy >= 0) return;
        const auto take = [&](int r, int c) {
            if (c >= strip.columns) return;
            int& label = space.label[strip.site(r, c)];
            label = move.taken(label, grid.labels);
        };
        walk_strip_back(strip.rows, minimum.state, space.strip.decisions, 1, take);
    });
    return team.uniform(space.flags[kGain]) != 0;
}

// Of the sites' own and joint costs in flow.own and flow.capacity: which sites take, or keep, in
// every minimum, or (ties) in one. Into flow.depth.
enum Settled { kKeeps, kTakes, kOpen };

template <class Team>
COMIX_HD void settle(Team& team, const FlowMove<Cost>& flow) {
    constexpr int kPasses = 4;  // even, so that what is found lies where it began
    const int sites = flow.sites();
    int *state = flow.depth, *next = state + sites;
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size()) state[p] = kOpen;
        if (thread == 0) *flow.changed = 0;
    });
    for (bool going = true; going;) {
        for (int pass = 0; pass < kPasses; ++pass) {
            team.phase([&](int thread) {
                bool changed = false;
                for (int p = thread; p < sites; p += team.size()) {
                    int now = state[p];
                    if (now == kOpen) {
                        Cost least = flow.own[p], most = least;  // what taking costs
                        for (int d = 0; d < 4; ++d) {
                            const Cost joint = flow.capacity_of(d)[p];
                            if (joint == 0) continue;  // also where there is no neighbour
                            const int beside = state[p + flow.step(d)];
                            if (beside == kTakes || (beside == kOpen && joint < 0)) least += joint;
                            if (beside == kTakes || (beside == kOpen && joint > 0)) most += joint;
                        }
                        if (most <= 0) {
                            now = kTakes;
                        } else if (least >= 0) {
                            now = kKeeps;
                        }
                    }
                    changed = changed || now != state[p];
                    next[p] = now;
                }
                if (changed) atomic_or(flow.changed, 1);
            });
            int* const swapped = state;
            state = next;
            next = swapped;
        }
        going = team.uniform(*flow.changed) != 0;
        team.phase([&](int thread) {
            if (thread == 0) *flow.changed = 0;
        });
    }
}

// Own and joint costs into flow.own and flow.capacity; true when some joint cost is positive.
template <class Team>
COMIX_HD bool set_costs(Team& team, const FixedProblem& problem, const CutterSpace& space,
                        const Move& move) {
    const Problem& grid = problem.grid;
    const FlowMove<Cost>& flow = space.flow;
    const int sites = grid.sites(), width = grid.width;
    team.phase([&](int thread) {
        if (thread == 0) space.flags[kPositiveJoint] = space.flags[kGain] = 0;
    });
    team.phase([&](int thread) {
        bool positive = false;
        for (int p = thread; p < sites; p += team.size()) {
            const int r = p / width, c = p - r * width;
            Cost alone = site_move(problem, space.label, move, p);
            Cost joint[4] = {};
            const auto first = [&](int direction, double weight, int q) {
                const EdgeMove edge = edge_move(problem, space.label, move, weight, p, q);
                alone += edge.first;
                joint[direction] = edge.joint;
            };
            const auto second = [&](int direction, double weight, int q) {
                const EdgeMove edge = edge_move(problem, space.label, move, weight, q, p);
                alone += edge.second;
                joint[direction] = edge.joint;
            };
            if (c + 1 < width) first(kRight, problem.right(p), p + 1);
            if (c > 0) second(kLeft, problem.right(p - 1), p - 1);
            if (r + 1 < grid.height) first(kDown, problem.below(p), p + width);
            if (r > 0) second(kUp, problem.below(p - width), p - width);
            for (int d = 0; d < 4; ++d) positive = positive || joint[d] > kRounding;
            flow.own[p] = alone;
            for (int d = 0; d < 4; ++d) flow.capacity_of(d)[p] = joint[d];
        }
        if (positive) atomic_or(space.flags + kPositiveJoint, 1);
    });
    return team.uniform(space.flags[kPositiveJoint]) != 0;
}

// From own and joint costs to what solve_flow() expects. `settled`: flow.depth says what is. Flags:
// whether positive joint costs had to be replaced, and whether some site alone gains.
template <class Team>
COMIX_HD void set_flow(Team& team, const CutterSpace& space, const Move& move, bool settled) {
    const FlowMove<Cost>& flow = space.flow;
    const int sites = flow.sites();
    team.phase([&](int thread) {
        if (thread == 0) space.flags[kPositiveJoint] = 0;
    });
    team.phase([&](int thread) {
        bool positive = false, gains = false;
        for (int p = thread; p < sites; p += team.size()) {
            const int state = settled ? flow.depth[p] : static_cast<int>(kOpen);
            const bool taking = move.taking(space.label[p]);
            Cost twice = 2 * flow.own[p];
            Cost joint[4] = {};
            for (int d = 0; d < 4 && state == kOpen; ++d) {
                const Cost cost = flow.capacity_of(d)[p];
                if (cost == 0) continue;
                const int q = p + flow.step(d);
                const int beside = settled ? flow.depth[q] : static_cast<int>(kOpen);
                if (beside == kKeeps) continue;
                if (beside == kTakes) {
                    twice += 2 * cost;
                    continue;
                }
                positive = positive || cost > kRounding;
                const bool other = move.taking(space.label[q]);
                // A positive cost is shared, or the site's that does not take at present.
                if (cost <= 0 || taking == other) {
                    twice += cost;
                } else if (other) {
                    twice += 2 * cost;
                }
                if (cost < 0) joint[d] = cost;
            }
            if (state != kOpen) twice = state == kTakes ? -1 : 1;
            gains = gains || twice < 0;
            flow.set(p, twice, joint);
        }
        if (positive) atomic_or(space.flags + kPositiveJoint, 1);
        if (gains) atomic_or(space.flags + kGain, 1);
    });
}

// True when the energy falls. Swaps also put minima of the same energy in place. `proven` turns
// false when the move may have missed its optimum.
template <class Team>
COMIX_HD bool flow_move(Team& team, const FixedProblem& problem, const CutterSpace& space,
                        const Move& move, bool& proven) {
    const Problem& grid = problem.grid;
    const int sites = grid.sites(), width = grid.width, labels = grid.labels;
    const bool positive = set_costs(team, problem, space, move);
    if (positive) settle(team, space.flow);
    set_flow(team, space, move, positive);
    proven = proven && team.uniform(space.flags[kPositiveJoint]) == 0;
    if (!move.swaps() && !team.uniform(space.flags[kGain])) return false;
    if (!solve_flow(team, space.flow)) {
        proven = false;
        return false;
    }
    const auto after = [&](int p) {
        const int label = space.label[p];
        return space.flow.takes(p) ? move.taken(label, labels) : move.kept(label);
    };
    const Cost change = reduce_sum(team, space.partial, [&](int thread) {
        Cost sum = 0;
        for (int p = thread; p < sites; p += team.size()) {
            const int before = space.label[p], now = after(p);
            if (now != before) sum += problem.unary(p, now) - problem.unary(p, before);
            const auto edge = [&](double weight, int q) {
                const int there = after(q);
                if (now != before || there != space.label[q])
                    sum += problem.pair(weight, now, there) -
                           problem.pair(weight, before, space.label[q]);
            };
            if (p + width < sites) edge(problem.below(p), p + width);
            if ((p + 1) % width != 0) edge(problem.right(p), p + 1);
        }
        return sum;
    });
    if (change > 0 || (change == 0 && !move.swaps())) return false;
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size()) space.label[p] = after(p);
    });
    return change < 0;
}

}  // namespace detail

}  // namespace comix::cuda::gridcut
