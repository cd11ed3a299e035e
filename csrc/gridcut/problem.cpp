#include "gridcut/problem.hpp"

#include <algorithm>
#include <cmath>

#include "base/values.hpp"

namespace comix::gridcut {

bool GridProblem::all_integers() const {
    const auto integers = [](const double* values, std::int64_t count) {
        return std::all_of(values, values + count, [](double x) { return x == std::floor(x); });
    };
    const std::int64_t h = height, w = width, l = labels;
    const auto weights = [&](const EdgeWeights& weight, std::int64_t edges) {
        return weight.data ? integers(weight.data, edges) : integers(&weight.uniform, 1);
    };
    return integers(pairwise, l * l) && weights(weight_v, (h - 1) * w) &&
           weights(weight_h, h * (w - 1)) && integers(unary, h * w * l);
}

double grid_energy(const GridProblem& problem, const std::int64_t* labels) {
    const std::int64_t l = problem.labels;
    double energy = 0.0;
    for (std::int64_t p = 0; p < std::int64_t{problem.height} * problem.width; ++p)
        energy += problem.unary[p * l + labels[p]];
    problem.for_each_edge([&](int p, int q, double weight) {
        energy += weight * problem.pairwise[labels[p] * l + labels[q]];
    });
    return energy;
}

void FixedGrid::assign(const GridProblem& problem) {
    height_ = problem.height;
    width_ = problem.width;
    labels_ = problem.labels;
    uniform_ = problem.uniform();
    const int n = sites();
    const std::int64_t l = labels_;

    // NaN would pass through comparisons unseen. (Weights: it shows in the magnitude.)
    require(all_finite(problem.unary, n * l), "unary: expected finite values");
    require(all_finite(problem.pairwise, l * l), "pairwise: expected finite values");
    double largest_pair = 0.0;
    for (std::int64_t k = 0; k < l * l; ++k)
        largest_pair = std::max(largest_pair, std::abs(problem.pairwise[k]));
    double magnitude = 0.0;
    if (uniform_) {
        const double edges = 2.0 * n - height_ - width_;
        magnitude = edges * std::abs(problem.weight_v.uniform) * largest_pair;
    } else {
        problem.for_each_edge(
            [&](int, int, double weight) { magnitude += std::abs(weight) * largest_pair; });
    }
    lowest_.resize(static_cast<std::size_t>(n));
    const double* source = problem.unary;
    for (int p = 0; p < n; ++p, source += l) {
        double low = source[0], high = low;
        for (std::int64_t k = 1; k < l; ++k) {
            low = source[k] < low ? source[k] : low;
            high = source[k] > high ? source[k] : high;
        }
        lowest_[static_cast<std::size_t>(p)] = low;
        magnitude += high - low;
    }
    const FixedPoint fixed(magnitude * kHeadroom);

    unary_.resize(static_cast<std::size_t>(n * l));
    source = problem.unary;
    Cost* target = unary_.data();
    for (int p = 0; p < n; ++p, source += l, target += l) {
        const double low = lowest_[static_cast<std::size_t>(p)];
        for (std::int64_t k = 0; k < l; ++k) target[k] = fixed(source[k] - low);
    }

    if (uniform_) {
        table_.resize(static_cast<std::size_t>(l * l));
        for (std::int64_t k = 0; k < l * l; ++k)
            table_[static_cast<std::size_t>(k)] =
                fixed(problem.weight_v.uniform * problem.pairwise[k]);
        return;
    }
    const FixedProduct product(largest_pair, fixed.shift());
    pairwise_.resize(static_cast<std::size_t>(l * l));
    for (std::int64_t k = 0; k < l * l; ++k)
        pairwise_[static_cast<std::size_t>(k)] = product.distance(problem.pairwise[k]);
    weight_v_.assign(static_cast<std::size_t>(n), 0.0);
    weight_h_.assign(static_cast<std::size_t>(n), 0.0);
    problem.for_each_edge([&](int p, int q, double weight) {
        auto& weights = q == p + 1 && width_ > 1 ? weight_h_ : weight_v_;
        weights[static_cast<std::size_t>(p)] = product.weight(weight);
    });
}

Cost FixedGrid::energy(const Label* labels) const {
    Cost energy = 0;
    for (int r = 0, p = 0; r < height_; ++r) {
        for (int c = 0; c < width_; ++c, ++p) {
            energy += unary(p)[labels[p]];
            if (r + 1 < height_) energy += vertical(p, labels[p], labels[p + width_]);
            if (c + 1 < width_) energy += horizontal(p, labels[p], labels[p + 1]);
        }
    }
    return energy;
}

}  // namespace comix::gridcut
