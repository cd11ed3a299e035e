#include "gridcut/frontier.hpp"

#include <algorithm>

namespace comix::gridcut {

namespace {

// The grid seen with its frontier across: rows follow each other, columns form the frontier.
struct Orientation {
    const FixedGrid& grid;
    bool transposed;

    int rows() const { return transposed ? grid.width() : grid.height(); }
    int columns() const { return transposed ? grid.height() : grid.width(); }
    int site(int r, int c) const {
        return transposed ? c * grid.width() + r : r * grid.width() + c;
    }
    // Edge between rows, by its upper site; between columns, by its left site.
    Cost along(int site, int a, int b) const {
        return transposed ? grid.horizontal(site, a, b) : grid.vertical(site, a, b);
    }
    Cost across(int site, int a, int b) const {
        return transposed ? grid.vertical(site, a, b) : grid.horizontal(site, a, b);
    }
};

// Calls visit(r, c, high, low, leaving, entering): numbers of states of the columns left of c (this
// row), of those right of c (previous row), and of column c (previous and this row).
template <class Visit>
void for_each_step(const Orientation& view, const Survivors& survivors, const Visit& visit) {
    const auto count = [&](int r, int c) -> double {
        return r < 0 ? 1.0 : static_cast<double>(survivors.count(view.site(r, c)));
    };
    for (int r = 0; r < view.rows(); ++r) {
        for (int c = 0; c < view.columns(); ++c) {
            double high = 1, low = 1;
            for (int k = 0; k < c; ++k) high *= count(r, k);
            for (int k = c + 1; k < view.columns(); ++k) low *= count(r - 1, k);
            visit(r, c, high, low, count(r - 1, c), count(r, c));
        }
    }
}

FrontierPlan plan_orientation(const FixedGrid& grid, const Survivors& survivors, bool transposed) {
    FrontierPlan plan;
    plan.transposed = transposed;
    double widest = 0;
    for_each_step({grid, transposed}, survivors,
                  [&](int, int, double high, double low, double leaving, double entering) {
                      plan.steps += high * low * leaving * entering;
                      plan.bytes += high * low * entering * sizeof(std::uint16_t);
                      widest = std::max({widest, high * low * entering, high * low * leaving});
                  });
    plan.bytes += 3 * widest * sizeof(Cost);
    return plan;
}

// to[s] = old[s] + cost, by choice k.
void assign_choice(const Cost* old, Cost cost, std::uint16_t k, std::size_t states, Cost* to,
                   std::uint16_t* from) {
    for (std::size_t s = 0; s < states; ++s) to[s] = old[s] + cost;
    std::fill_n(from, states, k);
}

// The same where it is cheaper than what is there.
void offer_choice(const Cost* old, Cost cost, std::uint16_t k, std::size_t states, Cost* to,
                  std::uint16_t* from) {
    for (std::size_t s = 0; s < states; ++s) {
        const Cost offered = old[s] + cost;
        const bool better = offered < to[s];
        to[s] = better ? offered : to[s];
        from[s] = better ? k : from[s];
    }
}

// [rows, columns] to [columns, rows].
void turn(const Cost* from, std::size_t rows, std::size_t columns, Cost* to) {
    for (std::size_t c = 0; c < columns; ++c)
        for (std::size_t r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
}

}  // namespace

FrontierPlan plan_frontier(const FixedGrid& grid, const Survivors& survivors) {
    const FrontierPlan rows = plan_orientation(grid, survivors, false);
    const FrontierPlan columns = plan_orientation(grid, survivors, true);
    return columns.steps < rows.steps ? columns : rows;
}

template <class Edge>
void FrontierCut::look_at(const Step& step, const Edge& edge) {
    const int entering = step.entering, leaving = step.leaving;
    edge_.clear();
    for (int e = 0; e < entering; ++e)
        for (int k = 0; k < leaving; ++k) edge_.push_back(edge(e, k));
    constexpr std::size_t few = 12;  // costs, or states
    mostly_far_ = edge_.size() > few && step.rest > few;
    if (!mostly_far_) return;

    far_.clear();
    near_.clear();
    near_end_.clear();
    for (auto row = edge_.begin(); row != edge_.end(); row += leaving) {
        far_.push_back(*std::max_element(row, row + leaving));
        for (int k = 0; k < leaving; ++k)
            if (row[k] < far_.back()) near_.push_back(static_cast<Choice>(k));
        near_end_.push_back(near_.size());
    }
    // Passes over the states: to find the cheapest, to start from it, and for near labels.
    const std::size_t passes = static_cast<std::size_t>(leaving + entering) + near_.size();
    mostly_far_ = 4 * passes < 3 * edge_.size();
}

void FrontierCut::find_cheapest(const Step& step, const Cost* old) {
    cheapest_.resize(step.rest);
    cheapest_choice_.resize(step.rest);
    assign_choice(old, 0, 0, step.rest, cheapest_.data(), cheapest_choice_.data());
    for (int k = 1; k < step.leaving; ++k)
        offer_choice(old + static_cast<std::size_t>(k) * step.rest, 0, static_cast<Choice>(k),
                     step.rest, cheapest_.data(), cheapest_choice_.data());
}

// For `count` states of the rest: own + min over the leaving labels k of old[k, rest] + the edge.
void FrontierCut::enter(const Step& step, const Cost* old, int entering, std::size_t begin,
                        std::size_t count, Cost own, Cost* to, Choice* from) const {
    const auto e = static_cast<std::size_t>(entering);
    const Cost* edge = edge_.data() + e * static_cast<std::size_t>(step.leaving);
    const auto offer = [&](Choice k) {
        offer_choice(old + k * step.rest + begin, edge[k] + own, k, count, to, from);
    };
    if (mostly_far_) {
        const Cost cost = far_[e] + own;
        for (std::size_t s = 0; s < count; ++s) to[s] = cheapest_[begin + s] + cost;
        std::copy_n(cheapest_choice_.data() + begin, count, from);
        for (std::size_t i = e ? near_end_[e - 1] : 0; i < near_end_[e]; ++i) offer(near_[i]);
    } else {
        assign_choice(old + begin, edge[0] + own, 0, count, to, from);
        for (int k = 1; k < step.leaving; ++k) offer(static_cast<Choice>(k));
    }
}

void FrontierCut::solve(const FixedGrid& grid, const Survivors& survivors, const FrontierPlan& plan,
                        Label* labels) {
    const Orientation view{grid, plan.transposed};
    steps_.clear();
    std::size_t choices = 0;
    for_each_step(view, survivors, [&](int r, int c, double high, double low, double, double) {
        Step step;
        step.site = view.site(r, c);
        step.left = c ? view.site(r, c - 1) : -1;
        step.entering = survivors.count(step.site);
        if (r) step.above = view.site(r - 1, c);
        step.leaving = r ? survivors.count(step.above) : 1;
        step.rest = static_cast<std::size_t>(high * low);
        choices += step.rest * static_cast<std::size_t>(step.entering);
        steps_.push_back(step);
    });
    choices_.resize(choices);

    // State index: the site that entered last slowest, the one that leaves next fastest. Turned,
    // the states of one leaving label lie together, and of those the states of one left label.
    best_.assign(1, 0);
    Choice* choice = choices_.data();
    for (const Step& step : steps_) {
        const auto entering = survivors.at(step.site);
        look_at(step, [&](int e, int k) {
            if (step.above < 0) return Cost{0};  // nothing is above the first row
            return view.along(step.above, survivors.at(step.above)[k], entering[e]);
        });
        const auto leaving = static_cast<std::size_t>(step.leaving);
        if (leaving > 1 && step.rest > 1) {
            turned_.resize(best_.size());
            turn(best_.data(), step.rest, leaving, turned_.data());
            best_.swap(turned_);
        }
        const Cost* old = best_.data();
        if (mostly_far_) find_cheapest(step, old);

        next_.resize(step.rest * static_cast<std::size_t>(step.entering));
        const int lefts = step.left < 0 ? 1 : survivors.count(step.left);
        const std::size_t count = step.rest / static_cast<std::size_t>(lefts);
        Cost* to = next_.data();
        for (int e = 0; e < step.entering; ++e) {
            for (int l = 0; l < lefts; ++l, to += count, choice += count) {
                Cost own = grid.unary(step.site)[entering[e]];
                if (step.left >= 0)
                    own += view.across(step.left, survivors.at(step.left)[l], entering[e]);
                enter(step, old, e, static_cast<std::size_t>(l) * count, count, own, to, choice);
            }
        }
        best_.swap(next_);
    }
    walk_back(survivors, labels);
}

// The best final state names the labels of the last row, its choices the rest.
void FrontierCut::walk_back(const Survivors& survivors, Label* labels) const {
    auto state =
        static_cast<std::size_t>(std::min_element(best_.begin(), best_.end()) - best_.begin());
    const Choice* choice = choices_.data() + choices_.size();
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        choice -= step->rest * static_cast<std::size_t>(step->entering);
        labels[step->site] = survivors.at(step->site)[static_cast<int>(state / step->rest)];
        state = state % step->rest * static_cast<std::size_t>(step->leaving) + choice[state];
    }
}

}  // namespace comix::gridcut
