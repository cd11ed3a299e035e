// Dead-end elimination: labels that cannot be part of a best labelling are struck off, site by
// site.
//
// Label a at site p loses to b when, whatever the neighbours (among their surviving labels) do,
//   unary[p,a] - unary[p,b] + sum_q min_c ( pair(a, c) - pair(b, c) ) >= 0
// Source: Goldstein, "Efficient rotamer elimination applied to protein side-chains", Biophys. J.
//   1994 (the criterion); the same is partial optimality by "dominance" in the labelling
//   literature.
// Guarantee: at least one optimal labelling survives; any weights, any label distance.
// Cost: strike_quick: sites * labels. strike_thoroughly: rounds * sites * candidates^2 *
//   neighbours * candidates.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gridcut/problem.hpp"

namespace comix::gridcut {

class Survivors {
  public:
    // All labels survive everywhere.
    void reset(const FixedGrid& grid);
    // Compares with the label of least unary only, neighbours bounded by the range of pair costs.
    void strike_quick(const FixedGrid& grid);
    // Goldstein's criterion until nothing changes. `rivals`: how many labels of least unary may
    // strike another one off (0: all).
    void strike_thoroughly(const FixedGrid& grid, int rivals = 0);

    // The surviving labels of a site, ascending.
    struct Labels {
        const Label* first;
        int count;

        const Label* begin() const { return first; }
        const Label* end() const { return first + count; }
        Label operator[](int k) const { return first[k]; }
    };
    Labels at(int site) const {
        return {labels_.data() + std::int64_t{site} * stride_,
                counts_[static_cast<std::size_t>(site)]};
    }
    int count(int site) const { return counts_[static_cast<std::size_t>(site)]; }
    bool single() const;
    // Strikes off labels of a site, maybe all of them.
    template <class Keep>
    void keep_if(int site, const Keep& keep);
    // Shows the first `count` of a site's survivors only, until more are shown again.
    void show(int site, int count) { counts_[static_cast<std::size_t>(site)] = count; }

  private:
    bool strike_site(const FixedGrid& grid, int site, int rivals);
    bool never_better(const FixedGrid& grid, int site, Label a, Label b) const;
    bool survives(int site, Label a) const {
        return survives_[static_cast<std::size_t>(std::int64_t{site} * stride_ + a)] != 0;
    }

    int stride_ = 0;                      // labels of the problem
    std::vector<Label> labels_;           // [sites, stride], the survivors first
    std::vector<int> counts_;             // [sites]
    std::vector<std::uint8_t> survives_;  // [sites, stride]
    std::vector<Label> by_unary_;
};

template <class Keep>
void Survivors::keep_if(int site, const Keep& keep) {
    Label* labels = labels_.data() + std::int64_t{site} * stride_;
    std::uint8_t* survives = survives_.data() + std::int64_t{site} * stride_;
    int& count = counts_[static_cast<std::size_t>(site)];
    const auto struck = [&](Label a) {
        if (keep(a)) return false;
        survives[a] = 0;
        return true;
    };
    count = static_cast<int>(std::remove_if(labels, labels + count, struck) - labels);
}

}  // namespace comix::gridcut
