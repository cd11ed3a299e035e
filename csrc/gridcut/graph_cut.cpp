#include "gridcut/graph_cut.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/errors.hpp"
#include "base/fixed_point.hpp"
#include "base/index.hpp"
#include "base/values.hpp"

namespace comix::gridcut {

void GraphCutter::begin(const GraphProblem& problem) {
    sites_ = problem.sites;
    labels_ = problem.labels;
    const std::int64_t n = sites_, l = labels_, distances = problem.pairwise_size();
    own_pairwise_ = problem.own_pairwise ? l * l : 0;
    submodular_ = true;
    require(all_finite(problem.unary, n * l), "unary: expected finite values");
    require(all_finite(problem.pairwise, distances), "pairwise: expected finite values");
    double largest = 0, magnitude = 0;
    for (std::int64_t k = 0; k < distances; ++k)
        largest = std::max(largest, std::abs(problem.pairwise[k]));
    for (std::int64_t e = 0; e < problem.edges; ++e)
        magnitude += std::abs(problem.weight[e]) * largest;
    for (std::int64_t p = 0; p < n; ++p) {
        const auto [low, high] =
            std::minmax_element(problem.unary + p * l, problem.unary + (p + 1) * l);
        magnitude += *high - *low;
    }
    const FixedPoint fixed(magnitude * kHeadroom);
    unary_.resize(at(n * l));
    for (std::int64_t p = 0; p < n; ++p) {
        const double* source = problem.unary + p * l;
        const double low = *std::min_element(source, source + l);
        for (std::int64_t k = 0; k < l; ++k) unary_[at(p * l + k)] = fixed(source[k] - low);
    }
    const FixedProduct product(largest, fixed.shift());
    pairwise_.resize(at(distances));
    for (std::int64_t k = 0; k < distances; ++k)
        pairwise_[at(k)] = product.distance(problem.pairwise[k]);
    weight_.resize(at(problem.edges));
    edges_.clear();
    topology_.clear(sites_);
    for (std::int64_t e = 0; e < problem.edges; ++e) {
        weight_[at(e)] = product.weight(problem.weight[e]);
        const auto p = static_cast<int>(problem.edge[2 * e]);
        const auto q = static_cast<int>(problem.edge[2 * e + 1]);
        edges_.push_back({p, q});
        topology_.add_edge(p, q);
    }
    topology_.finish();
}

Cost GraphCutter::pair(std::size_t edge, Label a, Label b) const {
    const std::int64_t first = static_cast<std::int64_t>(edge) * own_pairwise_;
    return std::llrint(weight_[edge] * pairwise_[at(first + std::int64_t{a} * labels_ + b)]);
}

Cost GraphCutter::energy(const Label* labels) const {
    Cost sum = 0;
    for (int p = 0; p < sites_; ++p) sum += unary(p, labels[p]);
    for (std::size_t e = 0; e < edges_.size(); ++e)
        sum += pair(e, labels[edges_[e].p], labels[edges_[e].q]);
    return sum;
}

// none + (first - none) x_p + (both - first) x_q + (first + second - none - both) (1 - x_p) x_q;
// where the last factor is negative, a choice that is not the current one is made dearer.
void GraphCutter::add_edge(std::size_t edge, Costs c, bool only_second_is_current) {
    const Cost missing = c.none + c.both - c.first - c.second;
    if (missing > 0) {
        submodular_ = false;
        (only_second_is_current ? c.first : c.second) += missing;
    }
    flow_.add_sink_side_cost(edges_[edge].p, c.first - c.none);
    flow_.add_sink_side_cost(edges_[edge].q, c.both - c.first);
    flow_.add_capacity(topology_.arc(static_cast<int>(edge)), c.first + c.second - c.none - c.both,
                       0);
}

// One expansion move; installed only when it lowers the energy. A minimum cut leaves a site on the
// sink side only if every minimum cut does: here the side of the present label, so ties switch.
bool GraphCutter::expand(Label a, Label* labels) {
    flow_.reset(topology_);
    for (int p = 0; p < sites_; ++p) flow_.add_sink_side_cost(p, unary(p, labels[p]) - unary(p, a));
    for (std::size_t e = 0; e < edges_.size(); ++e) {
        const Label x = labels[edges_[e].p], y = labels[edges_[e].q];
        add_edge(e, {pair(e, a, a), pair(e, a, y), pair(e, x, a), pair(e, x, y)}, false);
    }
    flow_.solve();
    proposal_.assign(labels, labels + sites_);
    for (int p = 0; p < sites_; ++p)
        if (!flow_.on_sink_side(p)) proposal_[at(p)] = a;
    if (energy(proposal_.data()) >= energy(labels)) return false;
    std::copy(proposal_.begin(), proposal_.end(), labels);
    return true;
}

void GraphCutter::expansion(const GraphProblem& problem, int max_sweeps, Label* labels) {
    begin(problem);
    if (max_sweeps > 0) {
        // A label is tried again only after another one's success changed the labelling.
        std::int64_t failures = 0, left = std::int64_t{max_sweeps} * labels_;
        for (Label a = 0; failures < labels_ && left > 0; --left) {
            failures = expand(a, labels) ? 1 : failures + 1;
            a = a + 1 == labels_ ? 0 : a + 1;
        }
        return;
    }
    std::vector<Label> order(at(labels_));
    std::iota(order.begin(), order.end(), 0);
    std::vector<std::size_t> lengths{order.size()};
    std::size_t cursor = 0;
    while (!lengths.empty()) {
        std::size_t length = lengths.back();
        bool success = false;
        while (cursor < length) {
            if (expand(order[cursor], labels)) {
                success = true;
                ++cursor;
            } else {
                std::swap(order[cursor], order[--length]);
            }
        }
        if (!success) {
            cursor = lengths.back();
            lengths.pop_back();
        } else {
            cursor = 0;
            if (length < lengths.back() / 2) lengths.push_back(length);
        }
    }
}

bool GraphCutter::expansion_move(const GraphProblem& problem, Label a, Label* labels) {
    begin(problem);
    return expand(a, labels);
}

void GraphCutter::swap_move(const GraphProblem& problem, Label a, Label b, Label* labels) {
    begin(problem);
    if (a != b) swap_pair(a, b, labels);
}

void GraphCutter::swap_pair(Label a, Label b, Label* labels) {
    const auto in_play = [&](int p) { return labels[p] == a || labels[p] == b; };
    flow_.reset(topology_);
    for (int p = 0; p < sites_; ++p)
        if (in_play(p)) flow_.add_sink_side_cost(p, unary(p, b) - unary(p, a));
    for (std::size_t e = 0; e < edges_.size(); ++e) {
        const auto [p, q] = edges_[e];
        if (in_play(p) && in_play(q)) {
            add_edge(e, {pair(e, a, a), pair(e, a, b), pair(e, b, a), pair(e, b, b)},
                     labels[p] == a && labels[q] == b);
        } else if (in_play(p)) {
            flow_.add_sink_side_cost(p, pair(e, b, labels[q]) - pair(e, a, labels[q]));
        } else if (in_play(q)) {
            flow_.add_sink_side_cost(q, pair(e, labels[p], b) - pair(e, labels[p], a));
        }
    }
    flow_.solve();
    for (int p = 0; p < sites_; ++p)
        if (in_play(p)) labels[p] = flow_.on_sink_side(p) ? b : a;
}

void GraphCutter::swap(const GraphProblem& problem, int max_sweeps, Label* labels) {
    begin(problem);
    Cost current = energy(labels);
    for (int sweep = 0; max_sweeps <= 0 || sweep < max_sweeps; ++sweep) {
        for (Label a = 0; a < labels_; ++a)
            for (Label b = labels_ - 1; b > a; --b) swap_pair(a, b, labels);
        const Cost after = energy(labels);
        if (after >= current) break;
        current = after;
    }
}

}  // namespace comix::gridcut
