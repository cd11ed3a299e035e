// One binary decision per site of a grid of any size, by a maximum flow that a whole team pushes.
//
//   E(x) = sum_p alone_p x_p + sum_{edges pq} joint_pq x_p x_q,   joint <= 0,   x_p in {0, 1}
//
// Twice E is, up to nothing, sum_p own_p x_p + sum_{edges pq} |joint_pq| |x_p - x_q| with own_p =
// 2 alone_p + its edges' joint costs. So sites with a negative own supply that much flow, sites
// with a positive one drain it, and edges let |joint| through either way. What cannot reach a drain
// when no supply can reach one either is the best set to take.
//
// Push-relabel in pulses: every supplied site pushes downhill at once, then takes in what its
// neighbours pushed and is lifted. In between, exact distances to the drains are found anew, and
// these are the proof at the end: no supplied site reaches a drain. All numbers are integers, so
// the answer depends neither on the order of threads nor on their number. Guarantee: the minimum;
// solve_flow() says so. Positive joint costs count as half of them on each
//   of the two sites, no less than E and equal to it where nothing is taken: E(x) <= 0 still.
// Cost: two barriers per pulse, some dozens of pulses; 11 numbers and 2 ints per site.
// Source: Goldberg & Tarjan, "A new approach to the maximum-flow problem", JACM 1988 (the parallel
//   version: at most O(sites^2) pulses); Cherkassky & Goldberg, "On implementing push-relabel
//   method for the maximum flow problem", 1997 (global relabelling).
#pragma once

#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/base/team.hpp"

namespace comix::cuda::gridcut {

enum Direction { kRight, kLeft, kDown, kUp };  // the opposite one is direction ^ 1

template <class Number>
struct FlowMove {
    static constexpr int kFar = 1 << 30;  // no drain within reach

    int height, width;
    Number* own;       // [sites] drains positive, supplies negative
    Number* capacity;  // [4, sites] what an edge lets through in a direction; 0 at the border
    Number* sent;      // [4, sites]
    int* depth;        // [2, sites] lower bounds of the distance to a drain
    int* changed;      // [1]

    COMIX_HD int sites() const { return height * width; }
    COMIX_HD Number* capacity_of(int direction) const {
        return capacity + static_cast<std::int64_t>(direction) * sites();
    }
    COMIX_HD Number* sent_to(int direction) const {
        return sent + static_cast<std::int64_t>(direction) * sites();
    }
    COMIX_HD int step(int direction) const {
        const int size = direction < kDown ? 1 : width;
        return direction & 1 ? -size : size;
    }

    static SharedBytes bytes(std::int64_t sites) {
        const auto count = static_cast<std::size_t>(sites);
        return SharedBytes().add<Number>(9 * count).template add<int>(2 * count + 1);
    }
    // memory: aligned for Number, bytes(height * width).
    COMIX_HD static FlowMove at(void* memory, int height, int width) {
        const std::int64_t sites = std::int64_t{height} * width;
        auto* const own = static_cast<Number*>(memory);
        auto* const depth = reinterpret_cast<int*>(own + 9 * sites);
        return {height, width, own, own + sites, own + 5 * sites, depth, depth + 2 * sites};
    }

    // What the caller writes about a site before solve_flow(), in a phase: twice its own cost plus
    // the joint costs of its edges, and the joint costs of those, 0 where there is none.
    COMIX_HD void set(int site, Number twice_alone_and_joints, const Number (&joint)[4]) const {
        own[site] = twice_alone_and_joints;
        for (int d = 0; d < 4; ++d) {
            capacity_of(d)[site] = joint[d] < 0 ? -joint[d] : Number(0);
            sent_to(d)[site] = 0;
        }
    }
    // After solve_flow(), in a phase: whether the minimum takes the site.
    COMIX_HD bool takes(int site) const { return depth[site] >= kFar; }
};

namespace detail {

// Distances to the drains, along edges with room, into move.depth. Says whether supply reaches one.
template <class Number, class Team>
COMIX_HD bool find_depths(Team& team, const FlowMove<Number>& move) {
    constexpr int kPasses = 4;  // between looks at whether anything changed
    const int sites = move.sites();
    int *depth = move.depth, *next = depth + sites;
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size())
            depth[p] = move.own[p] > 0 ? 0 : FlowMove<Number>::kFar;
        if (thread == 0) *move.changed = 0;
    });
    for (bool going = true; going;) {
        for (int pass = 1; pass <= kPasses; ++pass) {
            team.phase([&](int thread) {
                bool changed = false;
                for (int p = thread; p < sites; p += team.size()) {
                    int least = depth[p];
                    for (int d = 0; d < 4; ++d) {
                        if (move.capacity_of(d)[p] <= 0) continue;
                        const int through = depth[p + move.step(d)] + 1;
                        if (through < least) least = through;
                    }
                    changed = changed || least != depth[p];
                    next[p] = least;
                }
                if (changed && pass == kPasses) atomic_or(move.changed, 1);
            });
            int* const swapped = depth;
            depth = next;
            next = swapped;
        }
        going = team.uniform(*move.changed) != 0;
        team.phase([&](int thread) {
            if (thread == 0) *move.changed = 0;
        });
    }
    // An even number of passes: the depths lie where they began.
    team.phase([&](int thread) {
        bool reaches = false;
        for (int p = thread; p < sites; p += team.size())
            reaches = reaches || (move.own[p] < 0 && depth[p] < FlowMove<Number>::kFar);
        if (reaches) atomic_or(move.changed, 1);
    });
    return team.uniform(*move.changed) != 0;
}

template <class Number, class Team>
COMIX_HD void pulse(Team& team, const FlowMove<Number>& move, const int* depth, int* next) {
    const int sites = move.sites();
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size()) {
            Number supply = -move.own[p];
            if (supply <= 0 || depth[p] >= FlowMove<Number>::kFar) continue;
            for (int d = 0; d < 4 && supply > 0; ++d) {
                Number& room = move.capacity_of(d)[p];
                if (room <= 0 || depth[p + move.step(d)] + 1 != depth[p]) continue;
                const Number pushed = room < supply ? room : supply;
                room -= pushed;
                supply -= pushed;
                move.sent_to(d)[p] = pushed;
            }
            move.own[p] = -supply;
        }
    });
    team.phase([&](int thread) {
        for (int p = thread; p < sites; p += team.size()) {
            const int r = p / move.width, c = p - r * move.width;
            const bool inside[4] = {c + 1 < move.width, c > 0, r + 1 < move.height, r > 0};
            Number own = move.own[p];
            for (int d = 0; d < 4; ++d) {
                if (!inside[d]) continue;
                Number& arriving = move.sent_to(d ^ 1)[p + move.step(d)];
                if (arriving == 0) continue;
                move.capacity_of(d)[p] += arriving;
                own -= arriving;
                arriving = 0;
            }
            move.own[p] = own;
            int lifted = depth[p];
            if (own < 0 && lifted < FlowMove<Number>::kFar) {
                int least = FlowMove<Number>::kFar;
                for (int d = 0; d < 4; ++d) {
                    if (move.capacity_of(d)[p] <= 0) continue;
                    const int beside = depth[p + move.step(d)];
                    if (beside < least) least = beside;
                }
                if (least < FlowMove<Number>::kFar) ++least;
                if (least > lifted) lifted = least;
            }
            next[p] = lifted;
        }
    });
}

}  // namespace detail

// Solves the move; true when the answer is proven, which only fails beyond the number of pulses
// that theory allows. A failed move takes nothing (takes() is of no meaning then).
template <class Number, class Team>
COMIX_HD bool solve_flow(Team& team, const FlowMove<Number>& move) {
    const int pulses = (8 + (move.height + move.width) / 4) / 2 * 2;  // even, as for the depths
    const std::int64_t sites = move.sites();
    const std::int64_t rounds = (4 * sites * sites + 64) / pulses + 1;
    for (std::int64_t round = 0; round < rounds; ++round) {
        if (!detail::find_depths(team, move)) return true;
        int *depth = move.depth, *next = depth + sites;
        for (int k = 0; k < pulses; ++k) {
            detail::pulse(team, move, depth, next);
            int* const swapped = depth;
            depth = next;
            next = swapped;
        }
    }
    return false;
}

}  // namespace comix::cuda::gridcut
