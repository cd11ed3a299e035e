#include "gridcut/grid_cut.hpp"

#include <algorithm>
#include <cstdio>

#include "base/errors.hpp"

namespace comix::gridcut {

namespace {

std::string text(const char* format, double a, double b) {
    char buffer[160];
    std::snprintf(buffer, sizeof buffer, format, a, b);
    return buffer;
}

}  // namespace

void GridCutter::start(bool has_init, bool at_unary_minimum, Label* labels) const {
    if (has_init) return;
    for (int p = 0; p < grid_.sites(); ++p) {
        const Cost* unary = grid_.unary(p);
        labels[p] = at_unary_minimum ? static_cast<Label>(std::min_element(
                                           unary, unary + grid_.labels()) - unary)
                                     : 0;
    }
}

bool GridCutter::expand(const Options& options, bool has_init, Label* labels) {
    start(has_init, true, labels);
    // Two labels are one binary problem; a swap move solves it whole, submodular or not.
    if (grid_.labels() == 2) return moves_.swap(grid_, options.max_sweeps, labels);
    survivors_.reset(grid_);
    survivors_.strike_quick(grid_);
    if (!has_init && survivors_.single()) return true;  // already at the unary minimum
    std::vector<std::uint8_t> alive(static_cast<std::size_t>(grid_.labels()), 0);
    for (int p = 0; p < grid_.sites(); ++p)
        for (const Label a : survivors_.at(p)) alive[static_cast<std::size_t>(a)] = 1;
    std::vector<Label> candidates;
    for (Label a = 0; a < grid_.labels(); ++a)
        if (alive[static_cast<std::size_t>(a)]) candidates.push_back(a);
    moves_.expansion(grid_, candidates, options.max_sweeps, labels);
    return grid_.labels() == 1;
}

bool GridCutter::exact(const GridProblem& problem, const Options& options, Label* labels) {
    if (OrderedCut::applies(problem)) {
        ordered_.solve(problem, grid_, labels);
        return true;
    }
    survivors_.reset(grid_);
    survivors_.strike_quick(grid_);
    const bool insist = options.method == Method::exact;
    const double most_steps = insist ? kExactSteps : options.auto_steps;
    FrontierPlan plan = plan_frontier(grid_, survivors_);
    if (plan.steps > 2e4) {  // elimination costs time too
        survivors_.strike_thoroughly(grid_, 3);
        plan = plan_frontier(grid_, survivors_);
        if (insist && plan.steps > 1e6) {
            survivors_.strike_thoroughly(grid_);
            plan = plan_frontier(grid_, survivors_);
        }
    }
    if (plan.bytes <= kExactBytes && plan.steps <= most_steps) {
        frontier_.solve(grid_, survivors_, plan, labels);
        return true;
    }
    require(!insist,
            "method: 'exact' needs binary submodular energies or a label distance convex in |i - j| "
            "with weights >= 0 (any size), or a narrow grid: this one (" +
                std::to_string(problem.height) + " x " + std::to_string(problem.width) + ", " +
                std::to_string(problem.labels) + " labels) would take " +
                text("%.3g MiB of memory (limit %.3g)", plan.bytes / 1048576, kExactBytes / 1048576) +
                text(" and %.3g steps (limit %.3g)", plan.steps, kExactSteps) +
                "; use method='auto' or 'expansion'");
    return false;
}

bool GridCutter::solve(const GridProblem& problem, const Options& options, bool has_init,
                       Label* labels) {
    require(problem.labels <= kMaxLabels, "unary: expected at most 65535 labels, got " +
                                              std::to_string(problem.labels));
    grid_.assign(problem);
    switch (options.method) {
        case Method::swap:
            start(has_init, false, labels);
            return moves_.swap(grid_, options.max_sweeps, labels);
        case Method::expansion:
            return expand(options, has_init, labels);
        case Method::exact:
            return exact(problem, options, labels);
        case Method::automatic:
            break;
    }
    if (exact(problem, options, labels)) return true;
    return expand(options, has_init, labels) || moves_.swap(grid_, options.max_sweeps, labels);
}

}  // namespace comix::gridcut
