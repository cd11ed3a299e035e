// What the grid cut solver remembers about one problem, and the problem in fixed-point integers.
//
// As csrc/gridcut/problem.hpp scales them: energies stay below 2^51, the smallest unary cost of
// each site taken off. Where costs are not finite, or their sum of magnitudes is not, nothing is
// scaled.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/base/collectives.hpp"
#include "cuda/gridcut/flow_move.hpp"
#include "cuda/gridcut/problem.hpp"
#include "cuda/gridcut/strip_move.hpp"

namespace comix::cuda::gridcut {

using Cost = std::int64_t;
constexpr int kMostSites = 4096;

// Four costs rounded to integers can make a joint cost positive by this much when the caller's
// costs are not.
constexpr Cost kRounding = 2;

enum Flag { kPositiveJoint, kGain, kConcave, kFraction, kSigns, kPairs };
constexpr int kFlags = 6;

// Costs of the move at hand, for strips; joint costs with the sites above and to the left, along
// the strip.
struct StripSpace {
    Cost* alone;  // [strip sites]
    Cost* above;
    Cost* left;
    std::uint16_t* decisions;

    COMIX_HD void operator()(int r, StripRow<Cost>& costs) const {
#if defined(__CUDACC__)
#pragma unroll
#endif
        for (int c = 0; c < kStripWidth; ++c) {
            costs.alone[c] = alone[kStripWidth * r + c];
            costs.above[c] = above[kStripWidth * r + c];
            costs.left[c] = left[kStripWidth * r + c];
        }
    }
};

struct CutterSpace {
    double* lowest;    // [sites] unary costs
    Cost* partial;     // [size] of the team
    double* partials;  // [size] of the team
    StripSpace strip;
    FlowMove<Cost> flow;
    int* label;   // [sites]
    int* second;  // [sites]
    int* flags;   // [6] see Flag
    int* count;   // [labels] sites per label, for swap

    COMIX_HD static bool narrow(int height, int width) { return Strip::fits(height, width); }
    // counted: labels for swap, 0 for all else.
    static SharedBytes bytes(int height, int width, int threads, int counted) {
        const auto sites = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
        const auto team = static_cast<std::size_t>(threads);
        SharedBytes bytes;
        const auto ints = 2 * sites + kFlags + static_cast<std::size_t>(counted);
        bytes.add<double>(sites).add<Cost>(team).add<double>(team);
        if (narrow(height, width)) {
            const auto cells = static_cast<std::size_t>(kStripWidth) *
                               static_cast<std::size_t>(height < width ? width : height);
            bytes.add<Cost>(3 * cells).add<std::uint16_t>(cells).add<int>(ints);
        } else {
            bytes.add<Cost>(9 * sites).add<int>(2 * sites + 1).add<int>(ints);
        }
        return bytes;
    }
    // memory: 8-byte aligned, bytes(...).
    COMIX_HD static CutterSpace at(void* memory, int height, int width, int threads) {
        const std::int64_t sites = std::int64_t{height} * width;
        CutterSpace space{};
        space.lowest = static_cast<double*>(memory);
        space.partial = reinterpret_cast<Cost*>(space.lowest + sites);
        space.partials = reinterpret_cast<double*>(space.partial + threads);
        double* const rest = space.partials + threads;
        if (narrow(height, width)) {
            const std::int64_t cells =
                std::int64_t{kStripWidth} * (height < width ? width : height);
            auto* const costs = reinterpret_cast<Cost*>(rest);
            auto* const decisions = reinterpret_cast<std::uint16_t*>(costs + 3 * cells);
            space.strip = {costs, costs + cells, costs + 2 * cells, decisions};
            space.label = reinterpret_cast<int*>(decisions + cells);  // cells: a multiple of four
        } else {
            space.flow = FlowMove<Cost>::at(rest, height, width);
            space.label = space.flow.changed + 1;
        }
        space.second = space.label + sites;
        space.flags = space.second + sites;
        space.count = space.flags + kFlags;
        return space;
    }
};

// Costs times a power of two, in two steps since that may exceed the range of a double.
struct Scale {
    double first, second;

    // By 2^shift.
    COMIX_HD static Scale by(int shift) {
        return {ldexp(1.0, shift / 2), ldexp(1.0, shift - shift / 2)};
    }
    // Such that `magnitude` stays below 2^51.
    COMIX_HD static Scale below(double magnitude) { return by(51 - exponent_above(magnitude)); }
    // Of 2^e > magnitude; 0 for nothing.
    COMIX_HD static int exponent_above(double magnitude) {
        int exponent = 0;
        if (magnitude > 0) frexp(magnitude, &exponent);
        return exponent;
    }
    COMIX_HD double scaled(double value) const { return value * first * second; }
    COMIX_HD Cost operator()(double value) const { return llrint(scaled(value)); }
};

// The problem scaled; costs are looked up on the caller's numbers.
struct FixedProblem {
    Problem grid;
    Scale scale;
    const double* lowest;

    COMIX_HD Cost unary(int p, int label) const {
        return scale(grid.unary[std::int64_t{p} * grid.labels + label] - lowest[p]);
    }
    // Of an edge with this weight, first site labelled a.
    COMIX_HD Cost pair(double weight, int a, int b) const {
        return scale(weight * grid.pairwise[std::int64_t{a} * grid.labels + b]);
    }
    // The weight of the edge to the site below / to the right.
    COMIX_HD double below(int p) const { return grid.weight_v[p]; }
    COMIX_HD double right(int p) const { return grid.weight_h[p - p / grid.width]; }
};

namespace detail {

// Fills `lowest`; returns the sum of magnitudes, not finite when some cost is not.
template <class Team>
COMIX_HD double measure(Team& team, const Problem& grid, const CutterSpace& space) {
    const int labels = grid.labels, sites = grid.sites(), width = grid.width;
    const double pairs = reduce(
        team, space.partials,
        [&](int thread) {
            double largest = 0;
            for (int k = thread; k < labels * labels; k += team.size()) {
                const double size = fabs(grid.pairwise[k]);
                if (!(size <= largest)) largest = size;
                if (!(size <= 1.7e308)) return size;
            }
            return largest;
        },
        [](double a, double b) { return b > a || b != b ? b : a; });
    return reduce_sum(team, space.partials, [&](int thread) {
        double sum = 0 * pairs;
        for (int p = thread; p < sites; p += team.size()) {
            const double* unary = grid.unary + std::int64_t{p} * labels;
            double low = unary[0], high = unary[0];
            for (int l = 0; l < labels; ++l) {
                low = unary[l] < low ? unary[l] : low;
                high = unary[l] > high ? unary[l] : high;
                sum += 0 * unary[l];
            }
            space.lowest[p] = low;
            sum += high - low;
            if (p + width < sites) sum += fabs(grid.weight_v[p]) * pairs;
            if ((p + 1) % width != 0) sum += fabs(grid.weight_h[p - p / width]) * pairs;
        }
        return sum;
    });
}

enum class Start { zero, init, cheapest, as_it_is };

template <class Team>
COMIX_HD void begin(Team& team, const Problem& grid, const std::int64_t* init, Start start,
                    int* label) {
    const int last = grid.labels - 1;
    if (start == Start::as_it_is) return;
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) {
            int chosen = 0;
            if (start == Start::init) {
                chosen = init[p] < 0 ? 0 : init[p] < last ? static_cast<int>(init[p]) : last;
            } else if (start == Start::cheapest) {
                const double* unary = grid.unary + std::int64_t{p} * grid.labels;
                for (int l = 1; l <= last; ++l)
                    if (unary[l] < unary[chosen]) chosen = l;
            }
            label[p] = chosen;
        }
    });
}

// Copies labels between space.label and space.second.
template <class Team>
COMIX_HD void copy_labels(Team& team, const Problem& grid, const int* from, int* to) {
    team.phase([&](int thread) {
        for (int p = thread; p < grid.sites(); p += team.size()) to[p] = from[p];
    });
}

// E(label) in fixed-point integers.
template <class Team>
COMIX_HD Cost energy_of(Team& team, const FixedProblem& problem, const CutterSpace& space) {
    const Problem& grid = problem.grid;
    const int* const label = space.label;
    return reduce_sum(team, space.partial, [&](int thread) {
        Cost sum = 0;
        for (int p = thread; p < grid.sites(); p += team.size()) {
            sum += problem.unary(p, label[p]);
            if (p + grid.width < grid.sites())
                sum += problem.pair(problem.below(p), label[p], label[p + grid.width]);
            if ((p + 1) % grid.width != 0)
                sum += problem.pair(problem.right(p), label[p], label[p + 1]);
        }
        return sum;
    });
}

}  // namespace detail

}  // namespace comix::cuda::gridcut
