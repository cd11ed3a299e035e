// One binary decision per site of a strip 2 (32-bit integers: 3) to 8 sites wide, solved exactly.
//
//   E(x) = sum_p alone_p x_p + sum_{edges pq} joint_pq x_p x_q,   x_p in {0, 1}
//
// (every binary energy, up to a constant). Dynamic programming over all 2^width choices of the last
// `width` sites, visited line by line, in vectors of states.
// Guarantee: the minimum, whatever the signs, as long as no sum leaves the number type (integers)
//   or its 53 digits (doubles that hold integers): the caller scales costs so.
// Cost: rows * width * 2^width additions and comparisons, a vector at a time: 4 x 4 sites of 32-bit
//   integers take some 500 instructions.
// Source: Bellman's principle on a path decomposition of the grid (frontier.hpp has the reference).
#pragma once

#include <cstdint>
#include <vector>

#include "base/lanes.hpp"

namespace comix::gridcut {

template <class Number>
class StripTable {
  public:
    // Half of the states of a strip this wide fill a vector; narrower ones leave columns at zero.
    static constexpr int kNarrowest = Lanes<Number>::kCount == 4 ? 3 : 2;
    static constexpr int kWidest = 8;

    // Per site, row-major; beyond the strip's first row and column joint costs are zero.
    struct Costs {
        const Number* alone;
        const Number* joint_above;  // with the site above
        const Number* joint_left;   // with the site to the left
    };

    // Returns min E. `width`: kNarrowest to kWidest.
    Number solve(int rows, int width, const Costs& costs);
    // Of the minimum just found, the costs still in place: choices of the rows, bit c for column c.
    const std::vector<std::uint8_t>& choices();

  private:
    template <int Width>
    Number run();
    template <int Width>
    void walk_back();

    int rows_ = 0, width_ = kNarrowest;
    Costs costs_{};
    std::vector<Number> tables_;         // [site + 1, state]: the best cost before the site
    std::vector<std::uint8_t> choices_;  // [row]
};

}  // namespace comix::gridcut
