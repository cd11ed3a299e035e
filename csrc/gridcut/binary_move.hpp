// One binary decision per site, solved jointly: the step inside every move-making algorithm.
//
//   E(x) = sum_p cost[p][x_p] + sum_{edges pq} edge[x_p][x_q],   x_p in {0, 1}; x = 0 is "keep"
//
// Two solvers, same answer where both apply:
//   frontier  Grids at most 8 sites wide: dynamic programming over the 2^width states of the row
//             frontier. Exact for every energy, submodular or not; sites * 2^width steps.
//   min cut   Any size (Kolmogorov & Zabih, "What energy functions can be minimized via graph
//   cuts?",
//             PAMI 2004, section 4). Exact when every edge is submodular: e00 + e11 <= e01 + e10.
//             Otherwise the violating edges are truncated so that no labelling gets cheaper and the
//             current one keeps its cost (Rother et al., "Digital tapestry", CVPR 2005, section 4):
//             the result is then no proven minimum but never worse than the current x.
// Ties: of all minima the one with the fewest x_p = 1, which is unique for submodular energies.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "gridcut/maxflow.hpp"

namespace comix::gridcut {

class BinaryMove {
  public:
    static constexpr int kFrontierWidth = 8;    // widest grid of the frontier programme
    static constexpr int kFrontierSites = 255;  // its tie-break counts sites in 8 bits

    using Edge = std::array<Cost, 4>;  // [x_p, x_q] = 00, 01, 10, 11

    void resize(int height, int width);
    int sites() const { return height_ * width_; }

    // Before each move: all costs zero, every site undecided, current x = 0 everywhere.
    void clear();
    void set_current(int site, int x) { current_[static_cast<std::size_t>(site)] = x != 0; }
    void add_site(int site, Cost keep, Cost take) {
        cost_[static_cast<std::size_t>(site)][0] += keep;
        cost_[static_cast<std::size_t>(site)][1] += take;
    }
    // Edge from `site` to the site below / to its right.
    void set_vertical(int site, const Edge& edge) { down_[static_cast<std::size_t>(site)] = edge; }
    void set_horizontal(int site, const Edge& edge) {
        right_[static_cast<std::size_t>(site)] = edge;
    }

    struct Outcome {
        bool proven;  // the answer is a minimum
        Cost change;  // E(x) - E(0)
    };
    Outcome solve();
    bool takes(int site) const { return taken_[static_cast<std::size_t>(site)] != 0; }

  private:
    template <int Width>
    Cost solve_frontier();
    Cost solve_frontier_any();
    bool solve_min_cut();
    Cost change() const;
    bool add_edge(int site, int other, GridTopology::Direction direction, Edge edge);
    bool all_submodular() const;

    int height_ = 0;
    int width_ = 0;
    std::vector<std::array<Cost, 2>> cost_;  // [sites]
    std::vector<Edge> down_, right_;         // [sites] by upper / left site
    std::vector<std::uint8_t> current_, taken_;
    GridTopology topology_;
    MaxFlow<GridTopology> flow_;
    std::vector<std::uint8_t> choices_;  // [sites, 2^width] frontier back-pointers
};

}  // namespace comix::gridcut
