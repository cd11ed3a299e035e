// Which labels may still win at which block: Goldstein's criterion (csrc/gridcut/elimination.hpp).
//
// Label a of a block loses to b when, whatever the neighbours do with the labels left to them,
//   unary[a] - unary[b] + sum_q min_c ( edge(a, c) - edge(b, c) ) >= 0;
// of two labels that always cost the same the later one loses. All blocks and labels are judged at
// once by the lists as they were before: "costs no less, whatever the others do" orders the labels
// of a block, so each that goes is beaten by one that stays, and beaten labels can be exchanged for
// those block by block without a rise. (The CPU goes block by block, so what is left may differ.)
// Guarantee: at least one optimal labelling is left; the lists depend on no order of threads.
// Cost: rounds of blocks * candidates^2 * neighbours * candidates, until nothing changes or
//   kMostWork is spent.
// Source: Goldstein, "Efficient rotamer elimination applied to protein side-chains", Biophys. J.
//   1994.
#pragma once

#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/comixup/cut_costs.hpp"

namespace comix::cuda::comixup {

using Cost = std::int64_t;

// What a labelling of one output costs, in steps of 2^-44 of an edge: sums stay below 2^60.
struct LabelEnergy {
    static constexpr Cost kQuarter = Cost{1} << 42, kEdge = 4 * kQuarter;

    int height, width, labels;
    const Pair* label;  // [labels] their inputs
    Cost* unary;        // [blocks, labels] at most 5 edges: nothing above 4 wins

    COMIX_HD int blocks() const { return height * width; }
    COMIX_HD Cost alone(int p, int a) const { return unary[std::int64_t{p} * labels + a]; }
    COMIX_HD Cost edge(int a, int b) const {
        return kQuarter * detail::EdgeCost{4, 1}(label[a], label[b]);
    }
    // The neighbours of a block: up to four, into `beside`. Returns how many.
    COMIX_HD int neighbours(int p, int (&beside)[4]) const {
        const int r = p / width, c = p - r * width;
        int count = 0;
        if (r > 0) beside[count++] = p - width;
        if (r + 1 < height) beside[count++] = p + width;
        if (c > 0) beside[count++] = p - 1;
        if (c + 1 < width) beside[count++] = p + 1;
        return count;
    }
};

// The labels left to each block.
struct Survivors {
    std::uint16_t* list;   // [blocks, stride] the first count[p] of each row, ascending
    std::uint8_t* struck;  // [blocks, stride]
    int* count;            // [blocks]
    Cost* work;            // [1] of the round to come
    int* changed;          // [1]
    int stride;

    COMIX_HD const std::uint16_t* at(int p) const { return list + std::int64_t{p} * stride; }
};

namespace detail {

constexpr Cost kMostWork = Cost{1} << 30;  // some 50 ms

// The smallest difference between labels a and b of a block, over what its neighbours can choose.
COMIX_HD inline Cost least_advantage(const LabelEnergy& energy, const Survivors& survivors, int p,
                                     int a, int b) {
    int beside[4];
    const int neighbours = energy.neighbours(p, beside);
    Cost sum = energy.alone(p, a) - energy.alone(p, b);
    for (int k = 0; k < neighbours && sum + (neighbours - k) * LabelEnergy::kEdge >= 0; ++k) {
        const int q = beside[k];
        const std::uint16_t* const candidates = survivors.at(q);
        Cost least = LabelEnergy::kEdge;
        for (int j = 0; j < survivors.count[q]; ++j) {
            const Cost difference = energy.edge(a, candidates[j]) - energy.edge(b, candidates[j]);
            if (difference < least) least = difference;
        }
        sum += least;
    }
    return sum;
}

// Whether label k of the block's list loses to another one.
COMIX_HD inline bool loses(const LabelEnergy& energy, const Survivors& survivors, int p, int k) {
    const std::uint16_t* const own = survivors.at(p);
    for (int j = 0; j < survivors.count[p]; ++j) {
        if (j == k || least_advantage(energy, survivors, p, own[k], own[j]) < 0) continue;
        if (j < k || least_advantage(energy, survivors, p, own[j], own[k]) < 0) return true;
    }
    return false;
}

// Lists each block's labels that its edges could make win over its cheapest one.
template <class Team>
COMIX_HD void list_survivors(Team& team, const LabelEnergy& energy, const Survivors& survivors) {
    team.phase([&](int thread) {
        for (int p = thread; p < energy.blocks(); p += team.size()) {
            int beside[4];
            const Cost reach = energy.neighbours(p, beside) * LabelEnergy::kEdge;
            std::uint16_t* const own = survivors.list + std::int64_t{p} * survivors.stride;
            int count = 0, cheapest = 0;
            for (int a = 1; a < energy.labels; ++a)
                if (energy.alone(p, a) < energy.alone(p, cheapest)) cheapest = a;
            for (int a = 0; a < energy.labels; ++a)
                if (a == cheapest || energy.alone(p, a) < reach)
                    own[count++] = static_cast<std::uint16_t>(a);
            survivors.count[p] = count;
        }
        if (thread == 0) *survivors.work = *survivors.changed = 0;
    });
}

template <class Team>
COMIX_HD void strike_losers(Team& team, const LabelEnergy& energy, const Survivors& survivors) {
    const int blocks = energy.blocks(), stride = survivors.stride;
    const std::int64_t places = std::int64_t{blocks} * stride;
    for (Cost spent = 0;;) {
        team.phase([&](int thread) {
            Cost own = 0;
            for (int p = thread; p < blocks; p += team.size()) {
                int beside[4];
                const int neighbours = energy.neighbours(p, beside);
                Cost choices = 0;
                for (int k = 0; k < neighbours; ++k) choices += survivors.count[beside[k]];
                if (survivors.count[p] > 1)
                    own += choices * survivors.count[p] * survivors.count[p];
            }
            if (own > 0) atomic_add(survivors.work, own);
        });
        const Cost work = team.uniform(*survivors.work);
        spent += work;
        if (work == 0 || spent > kMostWork) return;
        team.phase([&](int thread) {
            for (std::int64_t unit = thread; unit < places; unit += team.size()) {
                const auto p = static_cast<int>(unit / stride), k = static_cast<int>(unit % stride);
                if (k >= survivors.count[p]) continue;
                const bool lost = survivors.count[p] > 1 && loses(energy, survivors, p, k);
                survivors.struck[unit] = lost;
                if (lost) atomic_or(survivors.changed, 1);
            }
            if (thread == 0) *survivors.work = 0;
        });
        if (!team.uniform(*survivors.changed)) return;
        team.phase([&](int thread) {
            for (int p = thread; p < blocks; p += team.size()) {
                const std::int64_t row = std::int64_t{p} * stride;
                int kept = 0;
                for (int k = 0; k < survivors.count[p]; ++k)
                    if (!survivors.struck[row + k])
                        survivors.list[row + kept++] = survivors.list[row + k];
                survivors.count[p] = kept;
            }
            if (thread == 0) *survivors.changed = 0;
        });
    }
}

}  // namespace detail

}  // namespace comix::cuda::comixup
