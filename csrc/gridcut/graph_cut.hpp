// Multi-label energies on any graph, by moves.
//
//   E(l) = sum_p unary[p, l_p] + sum_{edges pq} weight[pq] V[l_p, l_q]
//
// Alpha-expansion and alpha-beta swap, every binary move by one minimum cut over the whole graph
// (Boykov, Veksler & Zabih, PAMI 2001; Kolmogorov & Zabih, PAMI 2004). Orders and ties are those of
// the graph cut library that the papers' code calls, so that whole-number costs give its labels:
//   swap       as in moves.hpp
//   expansion  sites that could go either way switch. Without a limit, a pass runs over the labels
//              that have not failed since the last success: a label whose move fails changes
//              places with the last one of the pass. Passes over ever shorter lists of successful
//              labels come first, then the longer ones again, until none helps. With a limit:
//              rounds over all labels.
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
    const double* pairwise = nullptr;    // [L, L], or [E, L, L] with own_pairwise
    const std::int64_t* edge = nullptr;  // [E, 2] two different sites each
    const double* weight = nullptr;      // [E]
    bool own_pairwise = false;           // every edge has label distances of its own

    std::int64_t pairwise_size() const {
        return (own_pairwise ? edges : 1) * std::int64_t{labels} * labels;
    }
};

class GraphCutter {
  public:
    // Improves `labels` [N], at most `max_sweeps` rounds over the labels (<= 0: until none helps).
    void expansion(const GraphProblem& problem, int max_sweeps, Label* labels);
    void swap(const GraphProblem& problem, int max_sweeps, Label* labels);

    // One move; whether the energy fell.
    bool expansion_move(const GraphProblem& problem, Label a, Label* labels);
    // One move: sites labelled a or b choose anew, those that could go either way take a.
    void swap_move(const GraphProblem& problem, Label a, Label b, Label* labels);

    // Whether all moves of the last call were submodular, so that each was the best there is.
    bool submodular() const { return submodular_; }

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
    std::int64_t own_pairwise_ = 0;  // from the distances of one edge to those of the next
    bool submodular_ = true;
    std::vector<Cost> unary_;  // [N, L]
    std::vector<Edge> edges_;
    std::vector<double> weight_, pairwise_;  // scaled: their product is a cost
    std::vector<Label> proposal_;
    ArcTopology topology_;
    MaxFlow<ArcTopology> flow_;
};

}  // namespace comix::gridcut
