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
    std::vector<Cost> best_, next_;
    std::vector<std::uint16_t> choices_;
};

}  // namespace comix::gridcut
