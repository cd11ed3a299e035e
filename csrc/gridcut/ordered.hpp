// Exact labelling for ordered labels: one minimum cut over levels.
//
// A site with label l has boolean levels x_k = [l >= k], k = 1..L-1. A pair cost V(i, j) becomes
//   V(i, j) = V(0, 0) + [terms of one site] + sum_{k <= i, m <= j} D(k, m),
//   D(k, m) = V(k, m) - V(k-1, m) - V(k, m-1) + V(k-1, m-1),
// so it is a cut function iff weight * D(k, m) <= 0 for all k, m ("Monge"). Every convex function
// of |i - j| with a non-negative weight is of this kind, and so is every submodular binary energy.
// Guarantee: the optimum, grids of any size.
// Cost: a minimum cut with sites * (L-1) nodes and edges * (number of D != 0) arcs: L-1 arcs per
//   edge for |i - j|, (L-1)^2 for (i - j)^2.
// Source: Ishikawa, "Exact optimization for Markov random fields with convex priors", PAMI 2003;
//   Schlesinger & Flach, "Transforming an arbitrary MinSum problem into a binary one", 2006.
#pragma once

#include <vector>

#include "gridcut/maxflow.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

class OrderedCut {
  public:
    // Whether the cut applies to every edge of the problem.
    static bool applies(const GridProblem& problem);

    // Writes an optimal labelling; applies(problem) must hold. The graph's shape is kept for the
    // next problem of the same size and pairwise matrix.
    void solve(const GridProblem& problem, const FixedGrid& grid, Label* labels);

  private:
    struct LevelPair {
        int k, m;  // levels 1..L-1 of the upper/left and the lower/right site
    };

    void build(const GridProblem& problem);
    void add_chains();
    int node(int site, int level) const { return site * (labels_ - 1) + level - 1; }

    int height_ = 0, width_ = 0, labels_ = 0;
    std::vector<double> pairwise_;    // of the graph at hand
    std::vector<Cost> cost_;          // [node], when on the sink side
    std::vector<Cost> room_;          // [level] of a chain
    std::vector<LevelPair> coupled_;  // level pairs with D != 0
    ArcTopology topology_;            // first the chains, then the edges' arcs
    MaxFlow<ArcTopology> flow_;
};

}  // namespace comix::gridcut
