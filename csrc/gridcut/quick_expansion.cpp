#include "gridcut/quick_expansion.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/index.hpp"
#include "base/lanes.hpp"

namespace comix::gridcut {

namespace {

// Sums of costs stay below 2^29, so sums of differences of two fit 32 bits.
constexpr int kQuickBits = 29;

}  // namespace

void QuickExpansion::resize(int height, int width, int labels) {
    labels_ = labels;
    if (height == height_ && width == width_) return;
    height_ = height;
    width_ = width;
    sites_ = height * width;
    for (auto* field :
         {&current_, &now_right_, &now_down_, &inside_right_, &inside_down_, &to_a_, &from_a_})
        field->resize(sites_, GridMove<Quick>::margin(width));
    for (int p = 0; p < sites_; ++p) {
        inside_right_.data()[p] = (p + 1) % width ? -1 : 0;
        inside_down_.data()[p] = p + width < sites_ ? -1 : 0;
    }
    move_.resize(height, width);
}

// Chooses the scale and fills unary_, the lowest cost of each site taken off. `unary(l)` gives
// where the costs of label l start and how far apart those of two sites are.
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
    const double cap = pair_range > 0 ? 8.5 * pair_range : std::numeric_limits<double>::infinity();
    double magnitude = edge_magnitude;
    capped_ = false;
    for (int p = 0; p < sites_; ++p) {
        capped_ |= high[p] - low[p] > cap;
        magnitude += std::min(high[p] - low[p], cap);
    }
    fixed_ = FixedPoint(magnitude, kQuickBits);

    const int sites = sites_;  // copies: nothing that is written can be they
    const FixedPoint fixed = fixed_;
    unary_.resize(at(std::int64_t{labels_} * sites + 3));
    for (int l = 0; l < labels_; ++l) {
        const auto [cost, step] = unary(l);
        Quick* target = unary_.data() + std::int64_t{l} * sites;
        for (int p = 0; p < sites; ++p) {
            const double above = cost[p * step] - low[p];
            target[p] = static_cast<Quick>(fixed.scaled(above < cap ? above : cap) + 0.5);
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

void QuickExpansion::set_weights(const GridProblem& problem, double largest_distance) {
    const FixedProduct product(largest_distance, fixed_.shift());
    pairwise_.resize(at(std::int64_t{labels_} * labels_));
    for (std::size_t k = 0; k < pairwise_.size(); ++k)
        pairwise_[k] = product.distance(problem.pairwise[k]);
    weight_right_.assign(at(sites_), 0.0);
    weight_down_.assign(at(sites_), 0.0);
    problem.for_each_edge([&](int p, int q, double weight) {
        auto& target = q == p + 1 && width_ > 1 ? weight_right_ : weight_down_;
        target[at(p)] = product.weight(weight);
    });
}

void QuickExpansion::start_at_unary_minimum(Label* labels) const {
    const int sites = sites_;  // a copy: nothing that is written can be it
    std::fill(labels, labels + sites, 0);
    // Every site has a label that costs nothing more than the cheapest one; the lowest such wins.
    // Masks instead of a branch, which no processor would foresee.
    for (int l = labels_; l-- > 0;) {
        const Quick* unary = unary_.data() + std::int64_t{l} * sites;
        for (int p = 0; p < sites; ++p) {
            const Label cheapest = -static_cast<Label>(unary[p] == 0);
            labels[p] = (l & cheapest) | (labels[p] & ~cheapest);
        }
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
    uniform_ ? price_uniform(a, labels) : price_weighted(a, labels);
    if (move_.solve() >= 0) return false;
    install(a, labels);
    return true;
}

void QuickExpansion::install(Label a, Label* labels) {
    const SiteSet& taken = move_.choices();
    const Quick* unary = unary_.data() + std::int64_t{a} * sites_;
    taken.for_each([&](int p) {
        labels[p] = a;
        current_.data()[p] = unary[p];
    });
    taken.for_each([&](int p) {
        note_edges(p, labels);
        if (p > 0) note_edges(p - 1, labels);
        if (p >= width_) note_edges(p - width_, labels);
    });
}

// The move to label a: what it costs a site alone, neighbours staying, and what two neighbours'
// moving together costs beyond their two moves.
void QuickExpansion::price_uniform(Label a, const Label* labels) {
    const Quick* row = table_.data() + std::int64_t{a} * labels_;
    const int sites = sites_;
    Quick* to_a = to_a_.data();  // cost of an edge from a to the site's label
    for (int p = 0; p < sites; ++p) to_a[p] = row[labels[p]];
    Quick* from_a = to_a;  // cost of an edge from the site's label to a
    if (!symmetric_) {
        const Quick* column = row + std::int64_t{labels_} * labels_;
        from_a = from_a_.data();
        for (int p = 0; p < sites; ++p) from_a[p] = column[labels[p]];
    }
    const Quick *unary = unary_.data() + std::int64_t{a} * sites_, *current = current_.data(),
                *now_right = now_right_.data(), *now_down = now_down_.data(),
                *right = inside_right_.data(), *down = inside_down_.data();
    Quick *alone = move_.alone(), *joint_right = move_.joint_right(),
          *joint_down = move_.joint_down();
    const int w = width_;
    const Int4 both = Lanes<Quick>::all(row[a]);
    for (int p = 0; p < sites_; p += 4) {
        // An edge's cost now, and by how much it changes when its first or its second site moves.
        const Int4 here_right = load(now_right + p), here_down = load(now_down + p);
        const Int4 own = load(from_a + p), beside = load(to_a + p + 1), below = load(to_a + p + w);
        const Int4 first_right = only(beside - here_right, load(right + p));
        const Int4 first_down = only(below - here_down, load(down + p));
        const Int4 second_right =
            only(load(from_a + p - 1) - load(now_right + p - 1), load(right + p - 1));
        const Int4 second_down =
            only(load(from_a + p - w) - load(now_down + p - w), load(down + p - w));
        store(load(unary + p) - load(current + p) + first_right + second_right + first_down +
                  second_down,
              alone + p);
        store(only(both + here_right - beside - own, load(right + p)), joint_right + p);
        store(only(both + here_down - below - own, load(down + p)), joint_down + p);
    }
}

void QuickExpansion::price_weighted(Label a, const Label* labels) {
    const Quick *unary = unary_.data() + std::int64_t{a} * sites_, *current = current_.data();
    Quick* alone = move_.alone();
    for (int p = 0; p < sites_; ++p) alone[p] = unary[p] - current[p];
    const auto fill = [&](Quick* joint, const std::vector<double>& weights, const Field<Quick>& now,
                          int step) {
        for (int p = 0; p + step < sites_; ++p) {  // without an edge the weight is zero
            const double weight = weights[at(p)];
            const Quick first = weighted(weight, a, labels[p + step]) - now.data()[p];
            const Quick second = weighted(weight, labels[p], a) - now.data()[p];
            alone[p] += first;
            alone[p + step] += second;
            joint[p] = weighted(weight, a, a) - now.data()[p] - first - second;
        }
    };
    fill(move_.joint_right(), weight_right_, now_right_, 1);
    fill(move_.joint_down(), weight_down_, now_down_, width_);
}

}  // namespace comix::gridcut
