// The grid cut of one Co-Mixup output, the other outputs fixed, solved to the proven optimum where
// the CPU proves it (csrc/gridcut/grid_cut.hpp, "exact"), in 64-bit integers.
//
//   1. labels that cannot win are struck off (survivors.hpp);
//   2. what is left is solved by a frontier programme (survivor_frontier.hpp) if that fits kTables;
//   3. else, two labels that are left over the whole grid are one flow (gridcut/flow_move.hpp);
//   4. else the cut is what expansion finds (label_cut.hpp), and not proven: nothing can refuse
//   here.
// Guarantee: solve() says whether the labels are the optimum. Always where the states of all labels
//   fit kTables, which sizes decide: 4 x 4 blocks and 20 inputs do.
// Source: as of the four parts.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/comixup/label_cut.hpp"
#include "cuda/comixup/survivor_frontier.hpp"

namespace comix::cuda::comixup {

// Memory of a cut beside its CutSpace, in two pieces: what every step looks at, and the tables.
struct ExactSpace {
    static constexpr double kTables = 16.0 * 1024 * 1024;

    double* whole;  // [labels, blocks] costs
    Cost* unary;    // [blocks, labels]
    Survivors survivors;
    FrontierMemory frontier;
    void* flow;  // on wide grids

    // Bytes of the tables that all labels need, or kTables.
    static std::int64_t table_bytes(const SolverSizes& sizes) {
        const int narrow = sizes.height < sizes.width ? sizes.height : sizes.width;
        double states = 1;
        for (int k = 0; k < narrow && states < kTables; ++k) states *= sizes.labels();
        const double bytes = states * (2.0 * sizeof(Cost) + 2.0 * sizes.blocks());
        return static_cast<std::int64_t>(bytes < kTables ? bytes : kTables) / 16 * 16;
    }
    COMIX_HD static ExactSpace at(void* memory, void* tables, std::int64_t table_bytes,
                                  const SolverSizes& sizes, int threads, std::int64_t* bytes) {
        detail::Pieces pieces(memory);
        const std::int64_t blocks = sizes.blocks(), labels = sizes.labels();
        const bool wide = sizes.shape() == Shape::wide;
        ExactSpace space{};
        space.frontier.step = pieces.take<FrontierStep>(blocks);
        space.frontier.best = pieces.take<Located<Cost>>(threads);
        space.frontier.widest = pieces.take<std::int64_t>(1);
        space.frontier.tables = static_cast<unsigned char*>(tables);
        space.frontier.bytes = table_bytes;
        space.whole = pieces.take<double>(labels * blocks);
        space.unary = pieces.take<Cost>(labels * blocks);
        space.survivors.work = pieces.take<Cost>(1);
        space.flow = pieces.take<double>(0);
        if (wide) pieces.take<double>(10 * blocks + 1);  // FlowMove<Cost>
        space.frontier.chosen = pieces.take<int>(1);
        space.survivors.changed = pieces.take<int>(1);
        space.survivors.count = pieces.take<int>(blocks);
        space.survivors.list = pieces.take<std::uint16_t>(labels * blocks);
        space.survivors.struck = pieces.take<std::uint8_t>(labels * blocks);
        space.survivors.stride = sizes.labels();
        if (bytes) *bytes = pieces.bytes();
        return space;
    }
};

namespace detail {

// Fills space.unary: steps above each block's cheapest label, five edges at most: more than what a
// block's edges can cost, so that the flow leaves alone what was struck off.
template <class Team>
COMIX_HD void price_exactly(Team& team, const CutProblem& problem, const CutSpace& cut,
                            const ExactSpace& space, int labels) {
    const int blocks = problem.sizes.blocks();
    const double scale = static_cast<double>(LabelEnergy::kEdge) / problem.beta;
    constexpr auto most = static_cast<double>(5 * LabelEnergy::kEdge);
    team.phase([&](int thread) {
        for (int unit = thread; unit < labels * blocks; unit += team.size())
            space.whole[unit] = label_cost(problem, cut, unit / blocks, unit % blocks);
    });
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            double least = space.whole[p];
            for (int a = 1; a < labels; ++a) {
                const double cost = space.whole[a * blocks + p];
                least = cost < least ? cost : least;
            }
            cut.least[p] = least;
        }
    });
    team.phase([&](int thread) {
        for (int unit = thread; unit < labels * blocks; unit += team.size()) {
            const int p = unit / labels, a = unit - p * labels;
            const double above = (space.whole[a * blocks + p] - cut.least[p]) * scale;
            // What is no number counts as the cheapest.
            space.unary[unit] = above > 0 ? llrint(above < most ? above : most) : 0;
        }
    });
}

// The labels left to any block, into cut.tried. Returns how many.
template <class Team>
COMIX_HD int list_labels_left(Team& team, const LabelEnergy& energy, const Survivors& survivors,
                              const CutSpace& cut) {
    team.phase([&](int thread) {
        for (int a = thread; a < energy.labels; a += team.size()) cut.alive[a] = 0;
    });
    team.phase([&](int thread) {
        for (int p = thread; p < energy.blocks(); p += team.size())
            for (int k = 0; k < survivors.count[p]; ++k)
                atomic_or(cut.alive + survivors.at(p)[k], 1);
    });
    team.phase([&](int thread) {
        if (thread > 0) return;
        int left = 0;
        for (int a = 0; a < energy.labels; ++a)
            if (cut.alive[a]) cut.tried[left++] = a;
        cut.counts[kTriedLabels] = left;
    });
    return team.uniform(cut.counts[kTriedLabels]);
}

// The best labelling with two labels: which blocks take the second one is a flow.
template <class Team>
COMIX_HD bool solve_two_labels(Team& team, const LabelEnergy& energy, const CutSpace& cut,
                               void* memory) {
    const auto flow = gridcut::FlowMove<Cost>::at(memory, energy.height, energy.width);
    const int first = team.uniform(cut.tried[0]), second = team.uniform(cut.tried[1]);
    const Cost edge = energy.edge(first, second);
    team.phase([&](int thread) {
        for (int p = thread; p < energy.blocks(); p += team.size()) {
            const int r = p / energy.width, c = p - r * energy.width;
            // edge |x - y| = edge x + edge y - 2 edge x y: the joint costs cancel the others.
            const Cost right = c + 1 < energy.width ? -2 * edge : 0, left = c > 0 ? -2 * edge : 0;
            const Cost down = r + 1 < energy.height ? -2 * edge : 0, up = r > 0 ? -2 * edge : 0;
            const Cost joint[4] = {right, left, down, up};
            flow.set(p, 2 * (energy.alone(p, second) - energy.alone(p, first)), joint);
        }
    });
    if (!gridcut::solve_flow(team, flow)) return false;
    team.phase([&](int thread) {
        for (int p = thread; p < energy.blocks(); p += team.size())
            cut.now[p] = energy.label[flow.takes(p) ? second : first];
    });
    return true;
}

}  // namespace detail

// As a cut of solve_labels_by() (labeller.hpp).
template <Shape kShape>
struct ExactCut {
    ExactSpace space;

    // The labels of the cut into cut.now; whether they are the proven optimum.
    template <class Team>
    COMIX_HD bool solve(Team& team, const CutProblem& problem, const CutSpace& cut,
                        int soft) const {
        const SolverSizes& sizes = problem.sizes;
        const int labels = sizes.inputs + soft;
        if (!(problem.beta > 0)) {
            cut_labels<kShape>(team, problem, cut, soft);
            return problem.beta == 0;
        }
        const LabelEnergy energy{sizes.height, sizes.width, labels, cut.label, space.unary};
        detail::price_exactly(team, problem, cut, space, labels);
        detail::list_survivors(team, energy, space.survivors);
        detail::strike_losers(team, energy, space.survivors);
        const auto take = [&](int p, int a) { cut.now[p] = cut.label[a]; };
        if (detail::solve_survivors(team, energy, space.survivors, space.frontier, take))
            return true;
        if constexpr (kShape == Shape::wide) {
            if (detail::list_labels_left(team, energy, space.survivors, cut) == 2 &&
                detail::solve_two_labels(team, energy, cut, space.flow))
                return true;
        }
        cut_labels<kShape>(team, problem, cut, soft);
        return false;
    }
    template <class Team>
    COMIX_HD void operator()(Team& team, const CutProblem& problem, const CutSpace& cut,
                             int soft) const {
        solve(team, problem, cut, soft);
    }
};

}  // namespace comix::cuda::comixup
