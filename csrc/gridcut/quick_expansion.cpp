#include "gridcut/quick_expansion.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/lanes.hpp"

namespace comix::gridcut {

namespace {

// Sums of costs stay below 2^29, so sums of differences of two fit 32 bits.
constexpr int kQuickBits = 29;

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

}  // namespace

void QuickExpansion::resize(int height, int width, int labels) {
    labels_ = labels;
    if (height == height_ && width == width_) return;
    height_ = height;
    width_ = width;
    sites_ = height * width;
    const int margin = width + 4;  // neighbours, and the rest of a vector of four
    for (Field* field : {&current_, &now_right_, &now_down_, &inside_right_, &inside_down_, &to_a_,
                         &from_a_, &take_, &right_.first, &right_.second, &right_.both,
                         &right_.help, &down_.first, &down_.second, &down_.both, &down_.help,
                         &alone_, &open_, &choice_})
        field->resize(sites_, margin);
    row_.resize(at(sites_));
    column_.resize(at(sites_));
    found_.assign(at(sites_), 0);
    for (int p = 0; p < sites_; ++p) {
        row_[at(p)] = p / width;
        column_[at(p)] = p % width;
        inside_right_.data()[p] = column_[at(p)] + 1 < width ? -1 : 0;
        inside_down_.data()[p] = row_[at(p)] + 1 < height ? -1 : 0;
    }
    move_.resize(height, width);
}

// Chooses the scale and fills unary_, the lowest cost of each site taken off. `unary(l)` gives where
// the costs of label l start and how far apart those of two sites are.
template <class Unary>
void QuickExpansion::scale_unary(const Unary& unary, double pair_range, double edge_magnitude) {
    lowest_.resize(at(sites_));
    highest_.resize(at(sites_));
    double *low = lowest_.data(), *high = highest_.data();
    for (int l = 0; l < labels_; ++l) {
        const auto [cost, step] = unary(l);
        if (l == 0)
            for (int p = 0; p < sites_; ++p) low[p] = high[p] = cost[p * step];
        for (int p = 0; p < sites_; ++p) {
            const double value = cost[p * step];
            low[p] = value < low[p] ? value : low[p];
            high[p] = value > high[p] ? value : high[p];
        }
    }
    // Twice what a site's four edges can change: no move takes a label dearer by that.
    const double cap =
        pair_range > 0 ? 8.5 * pair_range : std::numeric_limits<double>::infinity();
    double magnitude = edge_magnitude;
    capped_ = false;
    for (int p = 0; p < sites_; ++p) {
        capped_ |= high[p] - low[p] > cap;
        magnitude += std::min(high[p] - low[p], cap);
    }
    fixed_ = FixedPoint(magnitude, kQuickBits);

    unary_.resize(at(std::int64_t{labels_} * sites_ + 3));
    for (int l = 0; l < labels_; ++l) {
        const auto [cost, step] = unary(l);
        Quick* target = unary_.data() + std::int64_t{l} * sites_;
        for (int p = 0; p < sites_; ++p) {
            const double above = cost[p * step] - low[p];
            target[p] = static_cast<Quick>(fixed_.scaled(above < cap ? above : cap) + 0.5);
        }
    }
}

void QuickExpansion::set_table(const double* pairwise, double weight) {
    const std::int64_t entries = std::int64_t{labels_} * labels_;
    table_.resize(at(2 * entries));
    symmetric_ = true;
    for (int a = 0; a < labels_; ++a) {
        for (int b = 0; b < labels_; ++b) {
            const std::int64_t k = std::int64_t{a} * labels_ + b;
            table_[at(k)] = static_cast<Quick>(fixed_(weight * pairwise[k]));
            table_[at(entries + std::int64_t{b} * labels_ + a)] = table_[at(k)];
        }
    }
    symmetric_ = std::equal(table_.begin(), table_.begin() + entries, table_.begin() + entries);
}

void QuickExpansion::assign(const UniformProblem& problem) {
    resize(problem.height, problem.width, problem.labels);
    const std::int64_t entries = std::int64_t{labels_} * labels_;
    const auto [low, high] = std::minmax_element(problem.pairwise, problem.pairwise + entries);
    const double edges = 2.0 * sites_ - height_ - width_;
    scale_unary(
        [&](int l) {
            return std::pair(problem.unary[l], std::integral_constant<std::int64_t, 1>());
        },
        *high - *low, edges * std::max(std::abs(*low), std::abs(*high)));
    uniform_ = true;
    lossless_ = false;
    set_table(problem.pairwise, 1.0);
}

void QuickExpansion::assign(const GridProblem& problem) {
    resize(problem.height, problem.width, problem.labels);
    const std::int64_t entries = std::int64_t{labels_} * labels_;
    const auto [low, high] = std::minmax_element(problem.pairwise, problem.pairwise + entries);
    double magnitude = 0.0, heaviest = 0.0;
    problem.for_each_edge([&](int, int, double weight) {
        magnitude += std::abs(weight);
        heaviest = std::max(heaviest, std::abs(weight));
    });
    scale_unary([&](int l) { return std::pair(problem.unary + l, std::int64_t{labels_}); },
                heaviest * (*high - *low), magnitude * std::max(std::abs(*low), std::abs(*high)));
    uniform_ = problem.uniform();
    if (uniform_) {
        set_table(problem.pairwise, problem.weight_v.uniform);
    } else {
        set_weights(problem, std::max(std::abs(*low), std::abs(*high)));
    }
    lossless_ = !capped_ && fixed_.shift() >= 0 && problem.all_integers();
}

// A product is scaled once: distances come down to at most 1, weights take all the rest.
void QuickExpansion::set_weights(const GridProblem& problem, double largest_distance) {
    int exponent = 0;
    if (largest_distance > 0) std::frexp(largest_distance, &exponent);
    pairwise_.resize(at(std::int64_t{labels_} * labels_));
    for (std::size_t k = 0; k < pairwise_.size(); ++k)
        pairwise_[k] = std::ldexp(problem.pairwise[k], -exponent);
    weight_right_.assign(at(sites_), 0.0);
    weight_down_.assign(at(sites_), 0.0);
    if (largest_distance == 0) return;
    problem.for_each_edge([&](int p, int q, double weight) {
        auto& target = q == p + 1 && width_ > 1 ? weight_right_ : weight_down_;
        target[at(p)] = std::ldexp(weight, exponent + fixed_.shift());
    });
}

void QuickExpansion::start_at_unary_minimum(Label* labels) const {
    std::fill(labels, labels + sites_, 0);
    // Every site has a label that costs nothing more than the cheapest one; the lowest such wins.
    for (int l = labels_; l-- > 0;) {
        const Quick* unary = unary_.data() + std::int64_t{l} * sites_;
        for (int p = 0; p < sites_; ++p) labels[p] = unary[p] == 0 ? l : labels[p];
    }
}

void QuickExpansion::run(const std::vector<Label>& candidates, int max_sweeps, Label* labels) {
    for (int p = 0; p < sites_; ++p) {
        current_.data()[p] = unary_[at(std::int64_t{labels[p]} * sites_ + p)];
        note_edges(p, labels);
    }
    // A label is tried again only after another one's success changed the labelling.
    std::size_t failures = 0, tried = 0;
    const std::size_t limit = max_sweeps > 0
                                  ? candidates.size() * static_cast<std::size_t>(max_sweeps)
                                  : static_cast<std::size_t>(-1);
    for (std::size_t k = 0; failures < candidates.size() && tried < limit; ++tried) {
        failures = expand(candidates[k], labels) ? 1 : failures + 1;
        k = k + 1 == candidates.size() ? 0 : k + 1;
    }
}

// Notes what the edges from the site to the right and below cost now.
void QuickExpansion::note_edges(int p, const Label* labels) {
    const auto cost = [&](const std::vector<double>& weight, Label other) {
        return uniform_ ? table_[at(std::int64_t{labels[p]} * labels_ + other)]
                        : weighted(weight[at(p)], labels[p], other);
    };
    if (inside_right_.data()[p]) now_right_.data()[p] = cost(weight_right_, labels[p + 1]);
    if (inside_down_.data()[p]) now_down_.data()[p] = cost(weight_down_, labels[p + width_]);
}

// One expansion move; installed only when it lowers the energy.
bool QuickExpansion::expand(Label a, Label* labels) {
    price(a, labels);
    if (std::min(height_, width_) <= StripTable::kNarrowest) {
        if (decide_whole_strip() >= 0) return false;
    } else {
        if (!close_sites()) return false;
        if (!decide_components()) decide_generally();
        if (change() >= 0) return false;
    }
    install(a, labels);
    return true;
}

void QuickExpansion::install(Label a, Label* labels) {
    const Quick *choice = choice_.data(), *taking = take_.data();
    Quick* current = current_.data();
    taken_.clear();
    for (int p = 0; p < sites_; ++p) {
        if (!choice[p]) continue;
        taken_.push_back(p);
        labels[p] = a;
        current[p] += taking[p];
    }
    for (const int p : taken_) {
        note_edges(p, labels);
        if (column_[at(p)]) note_edges(p - 1, labels);
        if (row_[at(p)]) note_edges(p - width_, labels);
    }
}

// What switching to label a costs more, sites and edges.
void QuickExpansion::price(Label a, const Label* labels) {
    const Quick *unary = unary_.data() + std::int64_t{a} * sites_, *current = current_.data();
    Quick* taking = take_.data();
    for (int p = 0; p < sites_; p += 4) store(load(unary + p) - load(current + p), taking + p);
    uniform_ ? price_uniform(a, labels) : price_weighted(a, labels);
}

void QuickExpansion::price_uniform(Label a, const Label* labels) {
    const Quick* row = table_.data() + std::int64_t{a} * labels_;
    Quick* to_a = to_a_.data();  // cost of an edge from a to the site's label
    for (int p = 0; p < sites_; ++p) to_a[p] = row[labels[p]];
    Quick* from_a = to_a;  // cost of an edge from the site's label to a
    if (!symmetric_) {
        const Quick* column = row + std::int64_t{labels_} * labels_;
        from_a = from_a_.data();
        for (int p = 0; p < sites_; ++p) from_a[p] = column[labels[p]];
    }
    fill_edges(right_, to_a + 1, from_a, now_right_.data(), inside_right_.data(), row[a]);
    fill_edges(down_, to_a + width_, from_a, now_down_.data(), inside_down_.data(), row[a]);
}

void QuickExpansion::fill_edges(Edges& edges, const Quick* first_a, const Quick* second_a,
                                const Quick* now, const Quick* inside, Quick both_a) {
    Quick *first = edges.first.data(), *second = edges.second.data(), *both = edges.both.data();
    const Int4 joint = all_lanes(both_a);
    for (int p = 0; p < sites_; p += 4) {
        const Int4 before = load(now + p), exists = load(inside + p);
        store((load(first_a + p) - before) & exists, first + p);
        store((load(second_a + p) - before) & exists, second + p);
        store((joint - before) & exists, both + p);
    }
}

void QuickExpansion::price_weighted(Label a, const Label* labels) {
    const auto fill = [&](Edges& edges, const std::vector<double>& weights, const Field& now_field,
                          int step) {
        const Quick* now = now_field.data();
        Quick *first = edges.first.data(), *second = edges.second.data(), *both = edges.both.data();
        for (int p = 0; p + step < sites_; ++p) {  // without an edge all are zero
            const double weight = weights[at(p)];
            first[p] = weighted(weight, a, labels[p + step]) - now[p];
            second[p] = weighted(weight, labels[p], a) - now[p];
            both[p] = weighted(weight, a, a) - now[p];
        }
    };
    fill(right_, weight_right_, now_right_, 1);
    fill(down_, weight_down_, now_down_, width_);
}

}  // namespace comix::gridcut
