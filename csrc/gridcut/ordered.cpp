#include "gridcut/ordered.hpp"

#include <algorithm>
#include <cmath>

#include "base/index.hpp"

namespace comix::gridcut {

namespace {

double mixed_difference(const double* v, std::int64_t labels, std::int64_t k, std::int64_t m) {
    return v[k * labels + m] - v[(k - 1) * labels + m] - v[k * labels + m - 1] +
           v[(k - 1) * labels + m - 1];
}

// Rounding of the caller's V (thirds, squares of thirds) must not turn D = 0 into D > 0.
double tolerance(const double* v, std::int64_t labels) {
    double largest = 0;
    for (std::int64_t e = 0; e < labels * labels; ++e) largest = std::max(largest, std::abs(v[e]));
    return 1e-12 * largest;
}

// Calls visit(p, q, vertical) for each edge, in the order in which build() adds its arcs.
template <class Visit>
void for_each_grid_edge(int height, int width, const Visit& visit) {
    for (int r = 0, p = 0; r < height; ++r) {
        for (int c = 0; c < width; ++c, ++p) {
            if (r + 1 < height) visit(p, p + width, true);
            if (c + 1 < width) visit(p, p + 1, false);
        }
    }
}

}  // namespace

bool OrderedCut::applies(const GridProblem& problem) {
    const std::int64_t labels = problem.labels;
    const double slack = tolerance(problem.pairwise, labels);
    bool monge = true, inverse = true;
    for (std::int64_t k = 1; k < labels; ++k) {
        for (std::int64_t m = 1; m < labels; ++m) {
            const double d = mixed_difference(problem.pairwise, labels, k, m);
            monge &= d <= slack;
            inverse &= d >= -slack;
            if (!monge && !inverse) return false;
        }
    }
    if (monge && inverse) return true;
    const auto all = [&](const EdgeWeights& weights, std::int64_t edges) {
        if (!weights.data) edges = std::min<std::int64_t>(edges, 1);
        for (std::int64_t e = 0; e < edges; ++e)
            if (monge ? weights[e] < 0 : weights[e] > 0) return false;
        return true;
    };
    const std::int64_t h = problem.height, w = problem.width;
    return all(problem.weight_v, (h - 1) * w) && all(problem.weight_h, h * (w - 1));
}

void OrderedCut::build(const GridProblem& problem) {
    const std::int64_t labels = problem.labels;
    const bool same = height_ == problem.height && width_ == problem.width &&
                      labels_ == problem.labels &&
                      std::equal(pairwise_.begin(), pairwise_.end(), problem.pairwise);
    if (same) return;
    height_ = problem.height;
    width_ = problem.width;
    labels_ = problem.labels;
    pairwise_.assign(problem.pairwise, problem.pairwise + labels * labels);

    const double slack = tolerance(problem.pairwise, labels);
    coupled_.clear();
    for (int k = 1; k < labels_; ++k)
        for (int m = 1; m < labels_; ++m)
            if (std::abs(mixed_difference(problem.pairwise, labels, k, m)) > slack)
                coupled_.push_back({k, m});

    topology_.clear(height_ * width_ * (labels_ - 1));
    for (int p = 0; p < height_ * width_; ++p)
        for (int k = 1; k + 1 < labels_; ++k) topology_.add_edge(node(p, k), node(p, k + 1));
    for_each_grid_edge(height_, width_, [&](int p, int q, bool) {
        for (const auto [k, m] : coupled_) topology_.add_edge(node(p, k), node(q, m));
    });
    topology_.finish();
}

// x_k = 0 with x_{k+1} = 1 is no label: the chain of a site's levels has no limit downwards. What
// the levels below can take goes there at once.
void OrderedCut::add_chains() {
    const int levels = labels_ - 1;
    room_.resize(at(levels));
    Cost* own = cost_.data();
    for (int p = 0, edge = 0; p < height_ * width_; ++p, own += levels) {
        Cost room = 0;  // what the levels after this one can take
        for (int k = levels - 1; k >= 0; --k) {
            room_[at(k)] = room;
            room -= std::min<Cost>(own[k], 0);
        }
        Cost carried = 0;
        for (int k = 0; k < levels; ++k) {
            const Cost here = own[k] + carried;
            carried = std::max<Cost>(std::min(here, room_[at(k)]), 0);
            flow_.add_sink_side_cost(node(p, k + 1), here - carried);
            if (k + 1 < levels) flow_.add_capacity(topology_.arc(edge++), kInfinity, carried);
        }
    }
}

void OrderedCut::solve(const GridProblem& problem, const FixedGrid& grid, Label* labels) {
    if (problem.labels == 1) {
        std::fill(labels, labels + grid.sites(), 0);
        return;
    }
    build(problem);
    flow_.reset(topology_);
    cost_.resize(at(grid.sites()) * at(labels_ - 1));
    for (int p = 0; p < grid.sites(); ++p)
        for (int k = 1; k < labels_; ++k)
            cost_[at(node(p, k))] = grid.unary(p)[k] - grid.unary(p)[k - 1];
    const auto cost = [this](int n) -> Cost& { return cost_[at(n)]; };
    int edge = grid.sites() * (labels_ - 2);  // the chains come first
    for_each_grid_edge(height_, width_, [&](int p, int q, bool vertical) {
        const auto v = [&](int i, int j) {
            return vertical ? grid.vertical(p, i, j) : grid.horizontal(p, i, j);
        };
        for (int k = 1; k < labels_; ++k) {
            cost(node(p, k)) += v(k, 0) - v(k - 1, 0);
            cost(node(q, k)) += v(0, k) - v(0, k - 1);
        }
        for (const auto [k, m] : coupled_) {
            // D x_k y_m with D <= 0, as a cut: D y_m + |D| (1 - x_k) y_m, or with x and y
            // exchanged; the one whose arc is cut least often keeps the flow small. Rounding may
            // make D = +1.
            const Cost d =
                -std::min<Cost>(v(k, m) - v(k - 1, m) - v(k, m - 1) + v(k - 1, m - 1), 0);
            if (k > m) {
                cost(node(p, k)) -= d;
                flow_.add_capacity(topology_.arc(edge++), 0, d);
            } else {
                cost(node(q, m)) -= d;
                flow_.add_capacity(topology_.arc(edge++), d, 0);
            }
        }
    });
    add_chains();
    flow_.solve();
    for (int p = 0; p < grid.sites(); ++p) {
        labels[p] = 0;
        while (labels[p] + 1 < labels_ && flow_.on_sink_side(node(p, labels[p] + 1))) ++labels[p];
    }
}

}  // namespace comix::gridcut
