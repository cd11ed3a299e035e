// One binary decision per site of a strip 4 to 8 sites wide, solved exactly in 32-bit integers.
//
//   E(x) = sum_p take[p] x_p + sum_{edges pq} edge[x_p][x_q],   edge[0][0] = 0,   E(0) = 0
//
// Dynamic programming over all 2^width choices of the last `width` sites, visited line by line, in
// vectors of four states.
// Guarantee: the minimum, whatever the energy, as long as no sum leaves 32 bits (the caller scales
//   costs so).
// Cost: rows * width * 2^width additions and comparisons, four at a time: some 500 instructions for
//   4 x 4 sites.
// Source: Bellman's principle on a path decomposition of the grid (frontier.hpp has the reference).
#pragma once

#include <cstdint>
#include <vector>

namespace comix::gridcut {

class StripTable {
  public:
    static constexpr int kNarrowest = 4;  // narrower strips leave columns at zero
    static constexpr int kWidest = 8;

    // What each site's choice x adds to E, sites row-major, width() a row.
    struct Costs {
        // By the choice of the site above it, [site]:
        std::int32_t* keep_above;  // x = 0, above 1
        std::int32_t* take_below;  // x = 1, above 0
        std::int32_t* take_above;  // x = 1, above 1
        // By the choice of the site to its left, own cost included, [site, 4]:
        //   [left 0, x = 0], [left 0, x = 1], [left 1, x = 0], [left 1, x = 1]
        std::int32_t* left;
    };

    // A strip of sites that cost nothing: fill in what does.
    Costs resize(int rows, int columns);
    int width() const { return width_; }

    // Returns min E.
    std::int32_t solve();
    // Of the minimum just found: the choices of a row, bit c for column c.
    const std::vector<std::uint8_t>& choices();

  private:
    template <int Width>
    std::int32_t run();
    template <int Width>
    void walk_back();

    int rows_ = 0, width_ = kNarrowest, sites_ = 0;
    std::vector<std::int32_t> costs_;   // what Costs points into
    Costs at_{};
    std::vector<std::int32_t> tables_;  // [site + 1, state]: the best cost before the site
    std::vector<std::uint8_t> choices_;  // [row]
};

}  // namespace comix::gridcut
