// Grid cuts, a team per problem.
//
//   exact      the proven optimum (of costs rounded to 2^-51 of their sum of magnitudes, or to the
//              last digits of a double) when all costs are convex (one label up at a time:
//              csrc/gridcut/ordered_descent.hpp), or when there are two labels and no joint cost is
//              positive or one side is at most four; else as expansion, and not proven. (Nothing
//              waits for the host, so nothing can refuse.)
//   expansion  from init; or from the unary minimum, labels in ascending and in descending order,
//              the better one. Two labels: as exact
// Every step is a binary move, exact on grids with a side of at most four (strip_move.hpp), else by
// a flow (flow_move.hpp): the optimum when no joint cost is positive, and never a higher energy.
// Costs that are not finite leave the start as it is.
// Source: Murota, "Discrete Convex Analysis", SIAM 2003; Boykov, Veksler & Zabih, "Fast approximate
//   energy minimization via graph cuts", PAMI 2001.
#pragma once

#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/gridcut/cutter_space.hpp"

namespace comix::cuda::gridcut {

namespace detail {

enum Flag { kPositiveJoint, kGain, kConcave };

// The label distance as a function of i - j, which convex() checks it to be.
COMIX_HD inline double distance(const Problem& grid, int difference) {
    return difference >= 0 ? grid.pairwise[std::int64_t{difference} * grid.labels]
                           : grid.pairwise[-difference];
}

// OrderedDescent::applies, and unary costs that are convex but for the rounding of their numbers: a
// linear cost shall pass, as there is no cut over levels here to fall back on.
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

// What a move offers each site: the label `one`, or one label up.
struct Offer {
    int one;  // < 0: one label up

    COMIX_HD int operator()(int label, int labels) const {
        if (one >= 0) return one;
        return label + 1 < labels ? label + 1 : label;
    }
};

struct EdgeMove {
    Cost first, second, joint;  // change when only the one or the other site moves; joint cost
};

COMIX_HD inline EdgeMove edge_move(const FixedProblem& problem, const int* label,
                                   const Offer& offer, double weight, int p, int q) {
    const int labels = problem.grid.labels, a = label[p], b = label[q];
    const int to_a = offer(a, labels), to_b = offer(b, labels);
    const Cost now = problem.pair(weight, a, b);
    const Cost first = problem.pair(weight, to_a, b) - now;
    const Cost second = problem.pair(weight, a, to_b) - now;
    return {first, second, problem.pair(weight, to_a, to_b) - now - first - second};
}

// One binary decision per site; true when the energy falls.
template <class Team>
COMIX_HD bool strip_move(Team& team, const FixedProblem& problem, const CutterSpace& space,
                         const Offer& offer) {
    const Problem& grid = problem.grid;
    const Strip strip = Strip::of(grid.height, grid.width);
    const int cells = kStripWidth * strip.rows, width = grid.width;
    team.phase([&](int thread) {
        for (int k = thread; k < cells; k += team.size()) {
            const int r = k / kStripWidth, c = k % kStripWidth;
            Cost alone = 0, above = 0, left = 0;
            if (c < strip.columns) {
                const int p = strip.site(r, c), row = p / width, column = p - row * width;
                const int own = space.label[p];
                alone = problem.unary(p, offer(own, grid.labels)) - problem.unary(p, own);
                EdgeMove up{0, 0, 0}, back{0, 0, 0};
                if (row > 0)
                    up = edge_move(problem, space.label, offer, problem.below(p - width), p - width,
                                   p);
                if (column > 0)
                    back = edge_move(problem, space.label, offer, problem.right(p - 1), p - 1, p);
                alone += up.second + back.second;
                if (row + 1 < grid.height)
                    alone += edge_move(problem, space.label, offer, problem.below(p), p, p + width)
                                 .first;
                if (column + 1 < width)
                    alone +=
                        edge_move(problem, space.label, offer, problem.right(p), p, p + 1).first;
                const bool along_rows = strip.down == width && strip.right == 1;
                above = along_rows ? up.joint : back.joint;
                left = along_rows ? back.joint : up.joint;
            }
            space.strip.alone[k] = alone;
            space.strip.above[k] = above;
            space.strip.left[k] = left;
        }
    });
    team.phase([&](int thread) {
        if (thread > 0) return;
        const auto minimum = solve_strip<Cost>(strip.rows, space.strip, space.strip.decisions, 1);
        space.flags[kGain] = minimum.energy < 0;
        if (minimum.energy >= 0) return;
        const auto take = [&](int r, int c) {
            if (c >= strip.columns) return;
            int& label = space.label[strip.site(r, c)];
            label = offer(label, grid.labels);
        };
        walk_strip_back(strip.rows, minimum.state, space.strip.decisions, 1, take);
    });
    return team.uniform(space.flags[kGain]) != 0;
}

// `proven` turns false when the move may have missed its optimum.
template <class Team>
COMIX_HD bool flow_move(Team& team, const FixedProblem& problem, const CutterSpace& space,
                        const Offer& offer, bool& proven) {
    const Problem& grid = problem.grid;
    const int sites = grid.sites(), width = grid.width, labels = grid.labels;
    team.phase([&](int thread) {
        if (thread == 0) space.flags[kPositiveJoint] = space.flags[kGain] = 0;
    });
    team.phase([&](int thread) {
        bool positive = false, gains = false;
        for (int p = thread; p < sites; p += team.size()) {
            const int r = p / width, c = p - r * width, own = space.label[p];
            Cost twice = 2 * (problem.unary(p, offer(own, labels)) - problem.unary(p, own));
            Cost joint[4] = {};
            const auto first = [&](int direction, double weight, int q) {
                const EdgeMove edge = edge_move(problem, space.label, offer, weight, p, q);
                twice += 2 * edge.first + edge.joint;
                joint[direction] = edge.joint;
            };
            const auto second = [&](int direction, double weight, int q) {
                const EdgeMove edge = edge_move(problem, space.label, offer, weight, q, p);
                twice += 2 * edge.second + edge.joint;
                joint[direction] = edge.joint;
            };
            if (c + 1 < width) first(kRight, problem.right(p), p + 1);
            if (c > 0) second(kLeft, problem.right(p - 1), p - 1);
            if (r + 1 < grid.height) first(kDown, problem.below(p), p + width);
            if (r > 0) second(kUp, problem.below(p - width), p - width);
            for (int d = 0; d < 4; ++d) positive = positive || joint[d] > 2;  // rounding: at most 2
            space.flow.set(p, twice, joint);
            gains = gains || twice < 0;
        }
        if (positive) atomic_or(space.flags + kPositiveJoint, 1);
        if (gains) atomic_or(space.flags + kGain, 1);
    });
    proven = proven && team.uniform(space.flags[kPositiveJoint]) == 0;
    if (!team.uniform(space.flags[kGain])) return false;
    if (!solve_flow(team, space.flow)) {
        proven = false;
        return false;
    }
    const Cost change = reduce_sum(team, space.partial, [&](int thread) {
        const auto after = [&](int p) {
            return space.flow.takes(p) ? offer(space.label[p], labels) : space.label[p];
        };
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
    if (change >= 0) return false;
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size())
            if (space.flow.takes(p)) space.label[p] = offer(space.label[p], labels);
    });
    return true;
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
        if constexpr (kNarrow) {
            success = strip_move(team, problem, space, Offer{a});
        } else {
            success = flow_move(team, problem, space, Offer{a}, proven);
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

enum class Start { zero, init, cheapest, as_it_is };

template <class Team>
COMIX_HD void begin(Team& team, const Problem& grid, const std::int64_t* init, Start start,
                    int* label) {
    const int last = grid.labels - 1;
    if (start == Start::as_it_is) return;
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) {
            int chosen = 0;
            if (start == Start::init) {
                chosen = init[p] < 0 ? 0 : init[p] < last ? static_cast<int>(init[p]) : last;
            } else if (start == Start::cheapest) {
                const double* unary = grid.unary + std::int64_t{p} * grid.labels;
                for (int l = 1; l <= last; ++l)
                    if (unary[l] < unary[chosen]) chosen = l;
            }
            label[p] = chosen;
        }
    });
}

template <class Team>
COMIX_HD Cost energy_of(Team& team, const FixedProblem& problem, const CutterSpace& space) {
    const Problem& grid = problem.grid;
    const int* const label = space.label;
    return reduce_sum(team, space.partial, [&](int thread) {
        Cost sum = 0;
        for (int p = thread; p < grid.sites(); p += team.size()) {
            sum += problem.unary(p, label[p]);
            if (p + grid.width < grid.sites())
                sum += problem.pair(problem.below(p), label[p], label[p + grid.width]);
            if ((p + 1) % grid.width != 0)
                sum += problem.pair(problem.right(p), label[p], label[p + 1]);
        }
        return sum;
    });
}

// Returns whether the answer in space.label is proven.
template <bool kNarrow, class Team>
COMIX_HD bool cut(Team& team, const FixedProblem& problem, const CutterSpace& space, bool exact,
                  const std::int64_t* init, int max_sweeps) {
    const Problem& grid = problem.grid;
    if (grid.labels == 1) return true;
    const bool ordered = grid.labels == 2 || (exact && convex(team, grid, space));
    const bool from_init = init && !exact;
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
        const bool proven =
            run<kNarrow>(team, problem, space, attempt.course, max_sweeps > 0 ? max_sweeps : 1000);
        if (proven && attempt.course == Course::rise) return true;
        const Cost energy = energy_of(team, problem, space);
        if (k > 0 && energy >= best) continue;
        best = energy;
        team.phase([&](int thread) {
            for (int p = thread; p < grid.sites(); p += team.size())
                space.second[p] = space.label[p];
        });
    }
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) space.label[p] = space.second[p];
    });
    return false;
}

}  // namespace detail

// init [H, W] or nullptr; labels [H, W]; optimal: 1 when proven. max_sweeps: of expansion; 0: until
// no move helps (or 1000). memory: CutterSpace::bytes(...). kNarrow: CutterSpace::narrow(...).
template <bool kNarrow, class Team>
COMIX_HD void grid_cut(Team& team, const Problem& grid, bool exact, int max_sweeps,
                       const std::int64_t* init, void* memory, std::int64_t* labels,
                       std::uint8_t* optimal) {
    const CutterSpace space = CutterSpace::at(memory, grid.height, grid.width, team.size());
    detail::begin(team, grid, init, init ? detail::Start::init : detail::Start::zero, space.label);
    const double magnitude = detail::measure(team, grid, space);
    bool proven = false;
    if (magnitude <= 1.7e308) {
        const FixedProblem problem{grid, Scale::below(magnitude), space.lowest};
        proven = detail::cut<kNarrow>(team, problem, space, exact, init, max_sweeps);
    }
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) labels[p] = space.label[p];
        if (thread == 0) *optimal = proven;
    });
}

}  // namespace comix::cuda::gridcut
