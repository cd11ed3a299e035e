#include "gridcut/grid_cut.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/errors.hpp"

namespace comix::gridcut {

namespace {

// From here on, elimination costs less than the moves it saves even in a hurry.
constexpr int kManyLabels = 24;

// Up to here a minimum cut over levels takes less time than bounds, where it applies.
constexpr int kFewLevels = 4;

constexpr double kQuickSteps = 5e3;       // of a frontier programme: bounds cost time too
constexpr int kRoundsAlone = 11;          // then expansion helps
constexpr int kMostRounds = 60;           // of messages; few problems gain from more
constexpr double kMostBoundSteps = 1e10;  // in all rounds, with "exact": some seconds
constexpr double kAutoBoundSteps = 1e7;   // with "auto": some 10 ms

std::string text(const char* format, double a, double b) {
    char buffer[160];
    std::snprintf(buffer, sizeof buffer, format, a, b);
    return buffer;
}

}  // namespace

void GridCutter::start_at_unary_minimum(Label* labels) const {
    for (int p = 0; p < grid_.sites(); ++p) {
        const Cost* unary = grid_.unary(p);
        labels[p] = static_cast<Label>(std::min_element(unary, unary + grid_.labels()) - unary);
    }
}

void GridCutter::start_at_zero(Label* labels) const {
    std::fill(labels, labels + grid_.sites(), 0);
}

template <class Attempt>
void GridCutter::try_again(Label* labels, const Attempt& attempt) {
    second_.resize(static_cast<std::size_t>(grid_.sites()));
    attempt(second_.data());
    if (grid_.energy(second_.data()) < grid_.energy(labels))
        std::copy(second_.begin(), second_.end(), labels);
}

bool GridCutter::swap(const GridProblem& problem, const Options& options, bool has_init,
                      Label* labels) {
    if (!has_init) start_at_zero(labels);
    const bool proven = moves_.swap(grid_, options.max_sweeps, labels);
    if (has_init || proven || !options.thorough || problem.all_integers()) return proven;
    try_again(labels, [&](Label* second) {
        start_at_unary_minimum(second);
        moves_.swap(grid_, options.max_sweeps, second);
    });
    return proven;
}

// The labels that survive elimination somewhere, ascending.
void GridCutter::choose_candidates() {
    std::vector<std::uint8_t> alive(static_cast<std::size_t>(grid_.labels()), 0);
    for (int p = 0; p < grid_.sites(); ++p)
        for (const Label a : survivors_.at(p)) alive[static_cast<std::size_t>(a)] = 1;
    candidates_.clear();
    for (Label a = 0; a < grid_.labels(); ++a)
        if (alive[static_cast<std::size_t>(a)]) candidates_.push_back(a);
}

// Improves `labels` by expansion; with `quick`, quick_ knows the problem.
void GridCutter::expand_from(const Options& options, bool quick, Label* labels) {
    if (quick) {
        start_.assign(labels, labels + grid_.sites());
        quick_.run(candidates_, options.max_sweeps, labels);
        if (quick_.lossless() || !options.thorough) return;
        // What rounding hid: whether the energy fell, and the last small gains.
        if (grid_.energy(labels) > grid_.energy(start_.data()))
            std::copy(start_.begin(), start_.end(), labels);
    }
    moves_.expansion(grid_, candidates_, options.max_sweeps, labels);
}

bool GridCutter::expand(const GridProblem& problem, const Options& options, bool has_init,
                        Label* labels) {
    if (!has_init) start_at_unary_minimum(labels);
    // Two labels are one binary problem; a swap move solves it whole, submodular or not.
    if (grid_.labels() == 2) return moves_.swap(grid_, options.max_sweeps, labels);
    if (options.thorough || grid_.labels() > kManyLabels) {
        survivors_.reset(grid_);
        survivors_.strike_quick(grid_);
        if (!has_init && survivors_.single()) return true;  // the unary minimum is all that is left
        choose_candidates();
    } else {
        candidates_.resize(static_cast<std::size_t>(grid_.labels()));
        std::iota(candidates_.begin(), candidates_.end(), 0);
    }
    bool quick = grid_.sites() <= QuickExpansion::kMostSites;
    if (quick) {
        quick_.assign(problem);
        // Two runs would be more than max_sweeps rounds.
        if (options.thorough && options.max_sweeps > 0) quick = quick_.lossless();
    }
    expand_from(options, quick, labels);
    if (!has_init && options.thorough) {
        try_again(labels, [&](Label* second) {
            start_at_unary_minimum(second);
            std::reverse(candidates_.begin(), candidates_.end());
            expand_from(options, quick, second);
        });
    }
    return grid_.labels() == 1;
}

// The best of what survives, unless what the bounds came across is no worse.
bool GridCutter::solve_survivors(Label* labels) {
    survivor_cut_.solve(grid_, labels);
    if (bounded_ && bounds_.best_energy() <= grid_.energy(labels))
        std::copy(bounds_.best(), bounds_.best() + grid_.sites(), labels);
    return true;
}

// Rounds of messages, until what survives their bounds is solved quickly. False when it never is.
bool GridCutter::exact_by_bounds(const GridProblem& problem, const Options& options,
                                 Label* labels) {
    const bool insist = options.method == Method::exact;
    const double steps = TreeBounds::steps(grid_);
    const double most = insist ? kMostBoundSteps : kAutoBoundSteps;
    const int rounds = static_cast<int>(std::min<double>(most / steps, kMostRounds));
    if (rounds < 1 || TreeBounds::bytes(grid_) > kExactBytes) return false;
    bounds_.begin(grid_);
    bool improved = false;
    Cost before = 0;  // what the bound was
    for (int round = 1, next = 2; round <= rounds; ++round) {
        const bool strike = round == next || round == rounds;
        bounds_.round(strike);
        if (!strike) continue;
        bounded_ = true;
        next = round + 1 + round / 2;
        if (!bounds_.strike(survivors_)) {
            std::copy(bounds_.best(), bounds_.best() + grid_.sites(), labels);
            return true;
        }
        const FrontierPlan plan = survivor_cut_.plan(grid_, survivors_);
        if (plan.bytes <= kExactBytes && plan.steps <= steps * round)
            return solve_survivors(labels);
        if (round < kRoundsAlone) continue;
        const Cost gap = bounds_.best_energy() - bounds_.bound();
        if (improved && (bounds_.bound() - before) * kMostRounds < gap) return false;  // it stalls
        before = bounds_.bound();
        if (!improved) improve_best(problem, options);
        improved = true;
    }
    return false;
}

// Expansion from the best labelling that the bounds came across.
void GridCutter::improve_best(const GridProblem& problem, const Options& options) {
    choose_candidates();
    const bool quick = grid_.sites() <= QuickExpansion::kMostSites;
    if (quick) quick_.assign(problem);
    second_.assign(bounds_.best(), bounds_.best() + grid_.sites());
    expand_from(options, quick, second_.data());
    bounds_.offer(second_.data());
}

bool GridCutter::exact(const GridProblem& problem, const Options& options, Label* labels) {
    const bool ordered = OrderedCut::applies(problem);
    if (ordered && problem.labels <= kFewLevels) {
        ordered_.solve(problem, grid_, labels);
        return true;
    }
    survivors_.reset(grid_);
    survivors_.strike_quick(grid_);
    const bool insist = options.method == Method::exact;
    const double most_steps = insist ? kExactSteps : kAutoSteps;
    FrontierPlan plan = survivor_cut_.plan(grid_, survivors_);
    if (plan.steps > kQuickSteps && (insist || options.thorough)) {
        if (exact_by_bounds(problem, options, labels)) return true;
        if (ordered) {
            ordered_.solve(problem, grid_, labels);
            return true;
        }
        survivors_.strike_thoroughly(grid_, 3);
        plan = survivor_cut_.plan(grid_, survivors_);
        if (insist && plan.steps > 1e6) {
            survivors_.strike_thoroughly(grid_);
            plan = survivor_cut_.plan(grid_, survivors_);
        }
    }
    if (plan.bytes <= kExactBytes && plan.steps <= most_steps) return solve_survivors(labels);
    if (!insist) return false;
    throw InvalidArgument(
        "method: 'exact' needs binary submodular energies or a label distance convex in |i - j| "
        "with weights >= 0 (any size), a narrow grid, or costs that leave few choices open: what "
        "is open of this one (" +
        std::to_string(problem.height) + " x " + std::to_string(problem.width) + ", " +
        std::to_string(problem.labels) + " labels) would take " +
        text("%.3g MiB of memory (limit %.3g)", plan.bytes / 1048576, kExactBytes / 1048576) +
        text(" and %.3g steps (limit %.3g)", plan.steps, kExactSteps) +
        "; use method='auto' or 'expansion'");
}

bool GridCutter::solve(const GridProblem& problem, const Options& options, bool has_init,
                       Label* labels) {
    if (problem.labels > kMaxLabels)
        throw InvalidArgument("unary: expected at most 65535 labels, got " +
                              std::to_string(problem.labels));
    const bool may_prove = options.method == Method::exact || options.method == Method::automatic;
    if (may_prove && descent_.prepare(problem)) {
        descent_.solve(labels);
        return true;
    }
    grid_.assign(problem);
    bounded_ = false;
    switch (options.method) {
        case Method::swap:
            return swap(problem, options, has_init, labels);
        case Method::expansion:
            return expand(problem, options, has_init, labels);
        case Method::exact:
            return exact(problem, options, labels);
        case Method::automatic:
            break;
    }
    if (exact(problem, options, labels)) return true;
    bool proven = expand(problem, options, has_init, labels);
    if (proven || !options.thorough) return proven;
    proven = moves_.swap(grid_, options.max_sweeps, labels);
    if (!proven && bounded_ && bounds_.best_energy() < grid_.energy(labels))
        std::copy(bounds_.best(), bounds_.best() + grid_.sites(), labels);
    return proven;
}

}  // namespace comix::gridcut
