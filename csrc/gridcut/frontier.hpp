// Exact labelling of narrow grids by dynamic programming over the row frontier.
//
// Sites are visited row by row across the narrow side; a state holds the labels of the last W
// visited sites. Only surviving labels (elimination.hpp) are enumerated.
// Guarantee: the optimum, whatever the energy.
// Cost: steps = sum over sites of (product of the candidates of the W sites of the frontier) *
//   (candidates of the site that leaves it); memory two bytes per state and site.
// Source: Bellman's principle on a path decomposition of the grid (width W); e.g. Koller &
//   Friedman, "Probabilistic Graphical Models", 2009, chapter 13.2 (max-product variable
//   elimination).
#pragma once

#include <cstdint>
#include <vector>

#include "gridcut/elimination.hpp"

namespace comix::gridcut {

struct FrontierPlan {
    bool transposed = false;  // visit columns instead of rows
    double steps = 0.0;       // doubles: these counts overflow integers long before memory ends
    double bytes = 0.0;
};

// The cheaper of the two orientations.
FrontierPlan plan_frontier(const FixedGrid& grid, const Survivors& survivors);

class FrontierCut {
  public:
    // Writes an optimal labelling. The caller checks the plan's bytes first.
    void solve(const FixedGrid& grid, const Survivors& survivors, const FrontierPlan& plan,
               Label* labels);

  private:
    using Choice = std::uint16_t;  // the position of a label among the survivors of its site

    // One site enters the frontier, another one leaves it.
    struct Step {
        int site = 0;
        int above = -1, left = -1;  // the neighbour that leaves, and the one before, or -1
        int entering = 1, leaving = 1;
        std::size_t rest = 1;  // states of the sites that stay
    };
    template <class Edge>
    void look_at(const Step& step, const Edge& edge);
    void find_cheapest(const Step& step, const Cost* old);
    void enter(const Step& step, const Cost* old, int entering, std::size_t begin,
               std::size_t count, Cost own, Cost* to, Choice* from) const;
    void walk_back(const Survivors& survivors, Label* labels) const;

    std::vector<Step> steps_;
    std::vector<Cost> best_, next_, turned_;
    std::vector<Choice> choices_;  // of the label that leaves: [steps, entering, rest]

    // The edge between both sites: its costs [entering, leaving], for each entering label the
    // largest of them, and the leaving labels whose costs are smaller.
    std::vector<Cost> edge_, far_;
    std::vector<Choice> near_;
    std::vector<std::size_t> near_end_;  // [entering], in near_
    // Where most costs are the largest (Potts: all but one), the cheapest label to leave serves
    // all entering ones that are far from it: [rest].
    bool mostly_far_ = false;
    std::vector<Cost> cheapest_;
    std::vector<Choice> cheapest_choice_;
};

}  // namespace comix::gridcut
