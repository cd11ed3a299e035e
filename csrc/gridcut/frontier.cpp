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
    plan.bytes += 2 * widest * sizeof(Cost);
    return plan;
}

}  // namespace

FrontierPlan plan_frontier(const FixedGrid& grid, const Survivors& survivors) {
    const FrontierPlan rows = plan_orientation(grid, survivors, false);
    const FrontierPlan columns = plan_orientation(grid, survivors, true);
    return columns.steps < rows.steps ? columns : rows;
}

void FrontierCut::solve(const FixedGrid& grid, const Survivors& survivors, const FrontierPlan& plan,
                        Label* labels) {
    const Orientation view{grid, plan.transposed};
    static constexpr Label nothing = 0;  // the row above the first one
    const auto labels_at = [&](int r, int c) {
        return r < 0 ? Survivors::Labels{&nothing, 1} : survivors.at(view.site(r, c));
    };
    const auto size = [](int count) { return static_cast<std::size_t>(count); };

    std::size_t states_total = 0;
    for_each_step(view, survivors, [&](int, int, double high, double low, double, double entering) {
        states_total += static_cast<std::size_t>(high * low * entering);
    });
    choices_.resize(states_total);

    // State index: columns left of c (this row) slowest, then column c, then the columns right of
    // c (previous row) fastest; so each step runs over contiguous states.
    best_.assign(1, 0);
    std::uint16_t* choice = choices_.data();
    for_each_step(
        view, survivors, [&](int r, int c, double high_states, double low_states, double, double) {
            const int p = view.site(r, c);
            const auto high = static_cast<std::size_t>(high_states);
            const auto low = static_cast<std::size_t>(low_states);
            const auto entering = survivors.at(p), leaving = labels_at(r - 1, c);
            next_.resize(high * size(entering.count) * low);

            for (std::size_t h = 0; h < high; ++h) {
                for (int e = 0; e < entering.count; ++e) {
                    const std::size_t block = (h * size(entering.count) + size(e)) * low;
                    Cost* to = next_.data() + block;
                    std::uint16_t* from = choice + block;
                    for (int k = 0; k < leaving.count; ++k) {
                        const Cost* old = best_.data() + (h * size(leaving.count) + size(k)) * low;
                        const Cost edge =
                            r ? view.along(view.site(r - 1, c), leaving[k], entering[e]) : 0;
                        for (std::size_t s = 0; s < low; ++s) {
                            const Cost cost = old[s] + edge;
                            const bool better = k == 0 || cost < to[s];
                            to[s] = better ? cost : to[s];
                            from[s] = better ? static_cast<std::uint16_t>(k) : from[s];
                        }
                    }
                    Cost step = grid.unary(p)[entering[e]];
                    if (c) {
                        const int left = view.site(r, c - 1);
                        const auto digit = static_cast<int>(h % size(survivors.count(left)));
                        step += view.across(left, survivors.at(left)[digit], entering[e]);
                    }
                    for (std::size_t s = 0; s < low; ++s) to[s] += step;
                }
            }
            choice += high * size(entering.count) * low;
            best_.swap(next_);
        });

    // Walk back: the best final state names the labels of the last row, its choices the rest.
    const int rows = view.rows(), columns = view.columns();
    auto state =
        static_cast<std::size_t>(std::min_element(best_.begin(), best_.end()) - best_.begin());
    for (int r = rows; r-- > 0;) {
        for (int c = columns; c-- > 0;) {
            std::size_t low = 1, high = 1;
            for (int k = c + 1; k < columns; ++k) low *= size(labels_at(r - 1, k).count);
            for (int k = 0; k < c; ++k) high *= size(labels_at(r, k).count);
            const auto entering = labels_at(r, c);
            choice -= high * size(entering.count) * low;

            const std::size_t s = state % low, e = state / low % size(entering.count);
            const std::size_t h = state / low / size(entering.count);
            labels[view.site(r, c)] = entering[static_cast<int>(e)];
            state = (h * size(labels_at(r - 1, c).count) + choice[state]) * low + s;
        }
    }
}

}  // namespace comix::gridcut
