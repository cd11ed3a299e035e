// Alpha-expansion (moves.hpp) in 32-bit integers: the same moves (grid_move.hpp), many times
// cheaper.
//
// Guarantee: that of Moves::expansion for costs rounded to 2^-29 of the sum of their magnitudes,
//   and exactly that when lossless(). Unary costs so high that no move would take them count as
//   just that high, so a forbidding cost leaves the resolution alone.
// Cost: per move and site some 40 instructions and, where the choice is open, 30 to 400 more.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "gridcut/grid_move.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

// A grid problem whose edges all weigh the same, labels first.
struct UniformProblem {
    int height = 0;
    int width = 0;
    int labels = 0;
    const double* const* unary = nullptr;  // [L] of [H, W]
    const double* pairwise = nullptr;      // [L, L] edge cost, weight included
};

class QuickExpansion {
  public:
    // Larger grids would leave too few bits to a site.
    static constexpr int kMostSites = 4096;

    // Finite costs, at most kMostSites sites.
    void assign(const GridProblem& problem);
    void assign(const UniformProblem& problem);

    // No cost was rounded. (Not looked at, and false, for a UniformProblem.)
    bool lossless() const { return lossless_; }

    void start_at_unary_minimum(Label* labels) const;

    // Improves `labels` in place: tries `candidates` in turn, at most `max_sweeps` rounds (<= 0:
    // until no move helps).
    void run(const std::vector<Label>& candidates, int max_sweeps, Label* labels);

  private:
    using Quick = std::int32_t;

    void resize(int height, int width, int labels);
    template <class Unary>
    void scale_unary(const Unary& unary, double pair_range, double edge_magnitude);
    void set_table(const double* pairwise, double weight);
    void set_weights(const GridProblem& problem, double largest_distance);
    bool expand(Label a, Label* labels);
    void price(Label a, const Label* labels);
    void price_uniform(Label a, const Label* labels);
    void price_weighted(Label a, const Label* labels);
    Quick weighted(double weight, Label a, Label b) const {
        const double distance = pairwise_[static_cast<std::size_t>(a * labels_ + b)];
        return static_cast<Quick>(std::lrint(weight * distance));
    }
    void install(Label a, Label* labels);
    void note_edges(int site, const Label* labels);

    int height_ = 0, width_ = 0, labels_ = 0, sites_ = 0;
    bool lossless_ = false, capped_ = false, uniform_ = false, symmetric_ = false;
    std::vector<Quick> unary_;  // [L, sites]
    std::vector<Quick> table_;  // [L, L] twice, the second transposed
    // When not uniform: distances [L, L] of at most 1, and weights [sites] scaled, 0 without an
    // edge.
    std::vector<double> pairwise_, weight_right_, weight_down_;
    FixedPoint fixed_{0.0};
    std::vector<double> lowest_, highest_;  // [sites] unary costs

    Field<Quick> current_;                     // unary cost of the current label
    Field<Quick> now_right_, now_down_;        // current cost of the edges
    Field<Quick> inside_right_, inside_down_;  // -1 where there is an edge, else 0
    Field<Quick> to_a_, from_a_;               // pair costs (a, label), (label, a), when uniform
    GridMove<Quick> move_;
};

}  // namespace comix::gridcut
