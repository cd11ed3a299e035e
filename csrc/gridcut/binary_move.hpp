// One binary decision per site, solved jointly: the step inside every move-making algorithm.
//
//   E(x) = sum_p cost[p][x_p] + sum_{edges pq} edge[x_p][x_q],   x_p in {0, 1}; x = 0 is "keep"
//
// Three solvers, same answer where they apply:
//   table        Grids at most 4 wide: dynamic programming over all 2^width choices of the last
//                `width` sites, visited line by line. Exact for every energy; regular code, about
//                a microsecond.
//   elimination  First, sites whose best choice is the same whatever their neighbours choose are
//                decided, which may decide others (exact for every energy); usually this leaves
//                little. What is left falls into connected components, visited line by line; a
//                table holds the best cost for every choice of the sites whose neighbours are not
//                all visited (the frontier). Exact for every energy; costs sites * 2^frontier. Used
//                while the frontier is small.
//   min cut      Of what is still undecided. Kolmogorov & Zabih, "What energy functions can be
//                minimized via graph cuts?", PAMI 2004, section 4. Exact when every edge is
//                submodular: e00 + e11 <= e01 + e10. Otherwise the violating edges are truncated so
//                that no labelling gets cheaper and the current one keeps its cost (Rother et al.,
//                "Digital tapestry", CVPR 2005, section 4): the result is then no proven minimum
//                but never worse than the current x.
// Ties: of all minima the one with the fewest x_p = 1, which is unique for submodular energies.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "gridcut/maxflow.hpp"

namespace comix::gridcut {

class BinaryMove {
  public:
    // Grids at most this wide are solved exactly, whatever the energy, as long as no more than
    // kMostSites undecided sites hang together.
    static constexpr int kExactWidth = 8;
    static constexpr int kMostSites = 1023;

    using Edge = std::array<Cost, 4>;  // [x_p, x_q] = 00, 01, 10, 11

    struct Outcome {
        bool proven;  // the answer is a minimum
        Cost change;  // E(x) - E(0)
    };

    void resize(int height, int width);
    int sites() const { return height_ * width_; }

    // Before each move: all costs zero, current x = 0 everywhere. Of `playing`, only these sites
    // get costs, and edges between them; the others stay. Time goes with their number then.
    void clear();
    void clear(const std::vector<int>& playing);
    void set_current(int site, int x) { current_[static_cast<std::size_t>(site)] = x != 0; }
    void add_site(int site, Cost if_kept, Cost if_taken) {
        take_[static_cast<std::size_t>(site)] += if_taken - if_kept;
    }
    // Edge from `site` to the site below / to its right.
    void set_vertical(int site, const Edge& edge) { down_[static_cast<std::size_t>(site)] = edge; }
    void set_horizontal(int site, const Edge& edge) {
        right_[static_cast<std::size_t>(site)] = edge;
    }

    // `any_minimum`: ties need not be broken as above, which is faster on narrow grids.
    Outcome solve(bool any_minimum = false);
    bool takes(int site) const { return choice_[static_cast<std::size_t>(site)] == 1; }

  private:
    enum Choice : std::uint8_t { keep = 0, take = 1, undecided = 2 };

    // A step of the elimination, recorded to read the choices off backwards.
    struct Step {
        int site;  // whose choice the step minimises over, or -1: a site joins the frontier
        int bit;   // its place in the frontier
        std::size_t first_choice;  // its best choices by state of the rest, in choices_
    };

    // binary_move.cpp
    template <class Visit>
    void for_each_neighbour(int site, const Visit& visit) const;
    void decide_by_bounds();
    void decide(int site, Choice choice);
    Cost change() const;
    bool min_cut();
    bool add_edge(int site, int other, GridTopology::Direction direction, Edge edge);
    bool undecided_are_submodular() const;

    // binary_table.cpp
    bool fits_table() const;
    Cost solve_table(bool any_minimum);  // returns E(x) - E(0)
    template <int Width, class Number>
    Cost run_table();

    // binary_components.cpp
    bool eliminate_components(int widest);
    void find_component(int seed);
    int frontier_of_component();
    void eliminate_component();
    void join_frontier(int site);
    void leave_frontier(int place);

    int height_ = 0;
    int width_ = 0;
    std::vector<int> playing_;        // sites that may have costs
    std::vector<Cost> take_;          // [sites] cost of x = 1 over x = 0
    std::vector<Edge> down_, right_;  // [sites] by upper / left site
    std::vector<std::uint8_t> current_;
    std::vector<Choice> choice_;      // [sites]
    std::vector<Cost> least_, most_;  // [sites] bounds of what taking costs, given what is decided
    std::vector<int> settled_;        // decided sites whose neighbours have not been told
    GridTopology topology_;
    MaxFlow<GridTopology> flow_;

    std::vector<int> component_,
        pending_;                     // its sites, in visiting order; per site unvisited neighbours
    std::vector<std::uint8_t> mark_;  // [sites] 1: in a component, 2: visited
    std::vector<int> frontier_;       // sites
    std::vector<Cost> table_, next_table_;  // [2^frontier]
    std::vector<Step> steps_;
    std::vector<std::uint8_t> choices_;
};

// Calls visit(neighbour, edge, site_is_first) for the up to four neighbours.
template <class Visit>
void BinaryMove::for_each_neighbour(int site, const Visit& visit) const {
    const int r = site / width_, c = site % width_;
    if (r > 0) visit(site - width_, down_[static_cast<std::size_t>(site - width_)], false);
    if (c > 0) visit(site - 1, right_[static_cast<std::size_t>(site - 1)], false);
    if (c + 1 < width_) visit(site + 1, right_[static_cast<std::size_t>(site)], true);
    if (r + 1 < height_) visit(site + width_, down_[static_cast<std::size_t>(site)], true);
}

}  // namespace comix::gridcut
