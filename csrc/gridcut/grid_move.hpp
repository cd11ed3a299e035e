// One binary decision per site of a grid, as fast as the costs allow.
//
//   E(x) = sum_p alone_p x_p + sum_{edges pq} joint_pq x_p x_q,   x_p in {0, 1};   E(0) = 0
//
// Sites that are taken whatever their neighbours do are settled first (where no joint cost is
// positive), and sites that stay whatever they do; either settles others. What is open then falls
// into connected components; those at most eight wide are solved as strips
// (strip_table.hpp), wider ones by a minimum cut, or by the general move (binary_move.hpp) where a
// joint cost is positive. A grid at most four wide is one strip.
// Guarantee: the minimum, except where wide components have positive joint costs: there E(x) <= 0
//   and whatever the general move promises. Of several minima, any.
// Numbers: 32-bit integers, or doubles that hold integers, when more bits count. The sum of all
//   magnitudes must fit 30 (52) bits.
// Cost: per site some 60 instructions (90 for doubles) and, where the choice is open, 30 to 400
// more
//   in a strip.
#pragma once

#include <cstdint>
#include <vector>

#include "base/lanes.hpp"
#include "gridcut/binary_move.hpp"
#include "gridcut/maxflow.hpp"
#include "gridcut/site_set.hpp"
#include "gridcut/strip_table.hpp"

namespace comix::gridcut {

// Values per site, with room beyond the first and the last one for the neighbours of border sites
// and for the rest of a vector; there they stay zero.
template <class Number>
class Field {
  public:
    void resize(int sites, int margin) {
        margin_ = static_cast<std::size_t>(margin);
        values_.assign(static_cast<std::size_t>(sites) + 2 * margin_, Number{0});
    }
    Number* data() { return values_.data() + margin_; }
    const Number* data() const { return values_.data() + margin_; }

  private:
    std::vector<Number> values_;
    std::size_t margin_ = 0;
};

template <class Number>
class GridMove {
  public:
    void resize(int height, int width);
    static int margin(int width) { return width + 4; }

    // Costs of the next move, [site]; joint costs with the site to the right / below, zero where
    // there is none. solve() leaves them as they are.
    Number* alone() { return alone_.data(); }
    Number* joint_right() { return joint_right_.data(); }
    Number* joint_down() { return joint_down_.data(); }

    // Returns E of the answer, 0 when all sites stay.
    Number solve();
    // Whether the answer takes any site. `attractive`: no joint cost is positive, the caller knows.
    bool choose(bool attractive);
    // The sites that the last answer takes; valid when solve() returned less than 0, or choose()
    // true.
    const SiteSet& choices() const { return choice_; }

  private:
    using Vector = typename Lanes<Number>::Vector;
    using Mask = typename Lanes<Number>::Mask;

    // Sites, and the rows and columns that they span.
    struct Component {
        const int *first, *last;
        int top, bottom, left, right;

        const int* begin() const { return first; }
        const int* end() const { return last; }
        int high() const { return bottom - top + 1; }
        int wide() const { return right - left + 1; }
    };

    bool narrow() const;
    Number solve_strip();
    void find_help();
    void settle_sites();
    template <class Change>
    void spread(const Number* first, Number* cost, SiteSet& gaining, const Change& change);
    Component find_component();
    template <int Words>
    Component flood_component();
    void decide_in_strip(const Component& component);
    void decide_by_cut();
    void decide_generally();
    Number energy() const;

    int height_ = 0, width_ = 0, sites_ = 0;
    Field<Number> alone_, joint_right_, joint_down_;
    Field<Number> own_;    // alone, and joint costs with sure sites
    Field<Number> all_;    // alone, and all negative joint costs
    Field<Number> least_;  // alone, and negative joint costs with sites that may be taken
    Field<Number> negative_right_, negative_down_;  // joint costs where negative, else 0
    const Number *help_right_ = nullptr, *help_down_ = nullptr;  // these, or all joint costs
    SiteSet open_;                  // the choice depends on the neighbours
    SiteSet rest_;                  // of those, not yet in a component
    SiteSet choice_;                // taken
    SiteSet has_left_, has_right_;  // not in the first, the last column
    bool submodular_ = false;       // no joint cost is positive
    std::vector<int> list_;         // of sites; the last one is for what is not kept
    std::vector<int> wide_;
    std::vector<int> row_, column_;  // [site]
    std::vector<Number> strip_costs_;
    StripTable<Number> strip_;
    GridTopology topology_;
    MaxFlow<GridTopology> flow_;
    BinaryMove move_;
};

}  // namespace comix::gridcut
