// Multi-label energies on any graph, by moves.
//
//   E(l) = sum_p unary[p, l_p] + sum_{edges pq} weight[pq] V[l_p, l_q]
//
// Alpha-expansion and alpha-beta swap as in moves.hpp, in the same orders and with the same ties,
// every binary move by one minimum cut over the whole graph (Kolmogorov & Zabih, PAMI 2004).
// Guarantee: the energy never rises; with submodular moves a local minimum over all of them (swap:
//   up to the ties of its last round), and the optimum for two labels. Where a move is not
//   submodular, edges are truncated so that it does no harm (Rother et al., CVPR 2005). Costs are
//   64-bit fixed point: nothing can overflow.
// Cost: rounds * labels (expansion) or labels^2 / 2 (swap) minimum cuts.
#pragma once

#include <cstdint>
#include <vector>

#include "gridcut/maxflow.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

struct GraphProblem {
    int sites = 0;
    int labels = 0;
    std::int64_t edges = 0;
    const double* unary = nullptr;       // [N, L]
    const double* pairwise = nullptr;    // [L, L]
    const std::int64_t* edge = nullptr;  // [E, 2] two different sites each
    const double* weight = nullptr;      // [E]
};

double graph_energy(const GraphProblem& problem, const std::int64_t* labels);

class GraphCutter {
  public:
    // Improves `labels` [N], at most `max_sweeps` rounds over the labels (<= 0: until none helps).
    void expansion(const GraphProblem& problem, int max_sweeps, Label* labels);
    void swap(const GraphProblem& problem, int max_sweeps, Label* labels);

  private:
    struct Edge {
        int p, q;
    };
    struct Costs {
        Cost none, second, first, both;  // of an edge: who of its two sites takes
    };

    void begin(const GraphProblem& problem);
    Cost unary(int site, Label label) const {
        return unary_[static_cast<std::size_t>(std::int64_t{site} * labels_ + label)];
    }
    Cost pair(std::size_t edge, Label a, Label b) const;
    Cost energy(const Label* labels) const;
    void add_edge(std::size_t edge, Costs costs, bool only_second_is_current);
    bool expand(Label a, Label* labels);
    void swap_pair(Label a, Label b, Label* labels);

    int sites_ = 0, labels_ = 0;
    std::vector<Cost> unary_;  // [N, L]
    std::vector<Edge> edges_;
    std::vector<double> weight_, pairwise_;  // scaled: their product is a cost
    std::vector<Label> proposal_;
    ArcTopology topology_;
    MaxFlow<ArcTopology> flow_;
};

}  // namespace comix::gridcut
