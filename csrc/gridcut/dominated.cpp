#include "gridcut/dominated.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/values.hpp"

namespace comix::gridcut {

namespace {

// Costs this many times above the bound of what matters are lowered: sums keep 51 bits, so at least
// 30 are left for what matters without it.
constexpr double kSpread = 1 << 20;
constexpr double kExact = 2251799813685248.0;  // 2^51: whole numbers with a smaller sum fit

double largest(const double* values, std::int64_t count) {
    double most = 0.0;
    for (std::int64_t k = 0; k < count; ++k) most = std::max(most, std::abs(values[k]));
    return most;
}

double largest(const EdgeWeights& weights, std::int64_t edges) {
    if (edges == 0) return 0.0;
    return weights.data ? largest(weights.data, edges) : std::abs(weights.uniform);
}

// Twice what relabelling one site can change on its four edges, for edges of this weight and these
// differences between distances.
double ceiling(double weight, double difference) {
    return 2 * 4 * weight * difference;
}

}  // namespace

GridProblem DominatedCosts::lowered(const GridProblem& problem) {
    const std::int64_t h = problem.height, w = problem.width, l = problem.labels;
    const std::int64_t sites = h * w, edges_v = (h - 1) * w, edges_h = h * (w - 1);
    if (l < 2) return problem;

    // A lower bound of the ceiling, from one edge and two distances, clears most problems.
    const EdgeWeights& first = edges_v > 0 ? problem.weight_v : problem.weight_h;
    const double a_weight = edges_v + edges_h > 0 ? std::abs(first[0]) : 0.0;
    const double a_difference = std::abs(problem.pairwise[1] - problem.pairwise[0]);
    const double clear = kSpread / 2 * ceiling(a_weight, a_difference);
    if (all_within(problem.unary, sites * l, -clear, clear)) return problem;

    // Values that are not finite are for whoever reports them.
    if (!all_finite(problem.unary, sites * l) || !all_finite(problem.pairwise, l * l))
        return problem;
    const double weight =
        std::max(largest(problem.weight_v, edges_v), largest(problem.weight_h, edges_h));
    const auto distances = std::minmax_element(problem.pairwise, problem.pairwise + l * l);
    double most = ceiling(weight, *distances.second - *distances.first);
    if (!std::isfinite(most)) return problem;

    unary_.resize(static_cast<std::size_t>(sites * l));
    double widest = 0.0, total = 0.0, least = std::numeric_limits<double>::infinity();
    for (std::int64_t p = 0; p < sites; ++p) {
        const double* costs = problem.unary + p * l;
        double* above = unary_.data() + p * l;
        const double low = *std::min_element(costs, costs + l);
        double high = 0.0;
        for (std::int64_t k = 0; k < l; ++k) {
            above[k] = costs[k] - low;
            high = std::max(high, above[k]);
            if (above[k] > 0) least = std::min(least, above[k]);
        }
        widest = std::max(widest, high);
        total += high;
    }
    if (most == 0) most = least;  // edges change nothing: whether a label is the cheapest is all
    if (!std::isfinite(total) || widest <= kSpread * most) return problem;
    const double edges = static_cast<double>(edges_v + edges_h);
    total += edges * weight * largest(problem.pairwise, l * l);
    if (total < kExact && problem.all_integers()) return problem;

    for (double& cost : unary_) cost = std::min(cost, most);
    GridProblem lowered = problem;
    lowered.unary = unary_.data();
    return lowered;
}

}  // namespace comix::gridcut
