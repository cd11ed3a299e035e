#include "gridcut/survivor_cut.hpp"

#include <algorithm>

#include "base/index.hpp"

namespace comix::gridcut {

namespace {

constexpr double kFewSteps = 1e4;  // parts would take as long to find

}  // namespace

FrontierPlan SurvivorCut::plan(const FixedGrid& grid, const Survivors& survivors) {
    FrontierPlan whole = plan_frontier(grid, survivors);
    whole_ = true;
    shown_ = survivors;
    plans_.assign(1, whole);
    if (whole.steps <= kFewSteps) return whole;
    find_parts(grid, survivors);
    const int runs = share_runs();
    if (runs < 2) return whole;
    FrontierPlan all;
    std::vector<FrontierPlan> plans;
    for (int run = 0; run < runs; ++run) {
        show_run(run);
        plans.push_back(plan_frontier(grid, shown_));
        all.steps += plans.back().steps;
        all.bytes = std::max(all.bytes, plans.back().bytes);
    }
    if (all.steps >= whole.steps) {
        shown_ = survivors;
        return whole;
    }
    whole_ = false;
    plans_ = std::move(plans);
    return all;
}

void SurvivorCut::find_parts(const FixedGrid& grid, const Survivors& survivors) {
    const int h = grid.height(), w = grid.width(), sites = grid.sites();
    counts_.resize(at(sites));
    for (int p = 0; p < sites; ++p) counts_[at(p)] = survivors.count(p);
    part_.assign(at(sites), -1);
    parts_.clear();
    for (int start = 0; start < sites; ++start) {
        if (counts_[at(start)] == 1 || part_[at(start)] >= 0) continue;
        const int number = static_cast<int>(parts_.size());
        Part part{sites, -1};
        part_[at(start)] = number;
        waiting_.assign(1, start);
        while (!waiting_.empty()) {
            const int p = waiting_.back(), r = p / w, c = p % w;
            waiting_.pop_back();
            const int line = h >= w ? r : c;
            part.first = std::min(part.first, line);
            part.last = std::max(part.last, line);
            const auto visit = [&](int q) {
                if (counts_[at(q)] == 1 || part_[at(q)] >= 0) return;
                part_[at(q)] = number;
                waiting_.push_back(q);
            };
            if (r > 0) visit(p - w);
            if (r + 1 < h) visit(p + w);
            if (c > 0) visit(p - 1);
            if (c + 1 < w) visit(p + 1);
        }
        parts_.push_back(part);
    }
}

// Gives every part a run; those of one run are a row apart. How many runs there are.
int SurvivorCut::share_runs() {
    std::vector<std::size_t> order(parts_.size());
    for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return parts_[a].first < parts_[b].first;
    });
    ends_.clear();  // where the runs end so far
    for (const std::size_t k : order) {
        Part& part = parts_[k];
        const auto free =
            std::find_if(ends_.begin(), ends_.end(), [&](int end) { return end + 1 < part.first; });
        part.run = static_cast<int>(free - ends_.begin());
        if (free == ends_.end()) {
            ends_.push_back(part.last);
        } else {
            *free = part.last;
        }
    }
    return static_cast<int>(ends_.size());
}

void SurvivorCut::show_run(int run) {
    for (int p = 0; p < static_cast<int>(part_.size()); ++p) {
        const int part = part_[at(p)];
        const bool shown = part < 0 || parts_[at(part)].run == run;
        shown_.show(p, shown ? counts_[at(p)] : 1);
    }
}

void SurvivorCut::solve(const FixedGrid& grid, Label* labels) {
    if (whole_) return frontier_.solve(grid, shown_, plans_[0], labels);
    now_.resize(at(grid.sites()));
    for (int p = 0; p < grid.sites(); ++p) labels[p] = shown_.at(p)[0];
    for (int run = 0; run < static_cast<int>(plans_.size()); ++run) {
        show_run(run);
        frontier_.solve(grid, shown_, plans_[at(run)], now_.data());
        for (int p = 0; p < grid.sites(); ++p) {
            const int part = part_[at(p)];
            if (part >= 0 && parts_[at(part)].run == run) labels[p] = now_[at(p)];
        }
    }
}

}  // namespace comix::gridcut
