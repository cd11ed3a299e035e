// The grid cut of one Co-Mixup output, the other outputs fixed, by swap moves in the CPU's order
// (gridcut/swap.hpp) from all-zero labels.
//
// All labels take part, also those that cannot win: the order of the moves is part of the answer.
// No joint cost of a move is positive, so every move has one answer, and the labels are the CPU's
// (up to the last digits of what the other outputs make inputs cost).
// Source: as gridcut/swap.hpp; Kim et al., "Co-Mixup", ICLR 2021, algorithm 1.
// Cost: L (L - 1) / 2 moves a round, L^2 numbers.
#pragma once

#include <cstdint>

#include "cuda/comixup/cut_costs.hpp"
#include "cuda/gridcut/swap.hpp"

namespace comix::cuda::comixup {

// Memory of a cut beside its CutSpace.
struct SwapSpace {
    double* unary;     // [blocks, labels]
    double* pairwise;  // [labels, labels]
    void* cutter;      // gridcut::CutterSpace, the last piece

    static std::int64_t cutter_bytes(const SolverSizes& sizes, int threads) {
        return static_cast<std::int64_t>(
            gridcut::CutterSpace::bytes(sizes.height, sizes.width, threads, sizes.labels())
                .total());
    }
    COMIX_HD static SwapSpace at(void* memory, const SolverSizes& sizes, std::int64_t* bytes) {
        detail::Pieces pieces(memory);
        const std::int64_t blocks = sizes.blocks(), labels = sizes.labels();
        SwapSpace space{};
        space.unary = pieces.take<double>(labels * blocks);
        space.pairwise = pieces.take<double>(labels * labels);
        space.cutter = pieces.take<double>(0);
        if (bytes) *bytes = pieces.bytes();  // without the cutter's
        return space;
    }
};

// As a cut of solve_labels_by() (labeller.hpp). kNarrow: gridcut::CutterSpace::narrow(...).
template <bool kNarrow>
struct SwapCut {
    SwapSpace space;

    template <class Team>
    COMIX_HD void operator()(Team& team, const CutProblem& problem, const CutSpace& cut,
                             int soft) const {
        constexpr int kMostSweeps = 1000;  // as of grid_cut: some three in practice
        const SolverSizes& sizes = problem.sizes;
        const int labels = sizes.inputs + soft, blocks = sizes.blocks();
        team.phase([&](int thread) {
            for (int unit = thread; unit < blocks * labels; unit += team.size())
                space.unary[unit] = detail::label_cost(problem, cut, unit % labels, unit / labels);
            for (int unit = thread; unit < labels * labels; unit += team.size())
                space.pairwise[unit] = 0.25 * detail::EdgeCost{4, 1}(cut.label[unit / labels],
                                                                     cut.label[unit % labels]);
        });
        const gridcut::EdgeWeights weight{nullptr, problem.beta};
        const gridcut::Problem grid{sizes.height,   sizes.width, labels, space.unary,
                                    space.pairwise, weight,      weight};
        const auto cutter =
            gridcut::CutterSpace::at(space.cutter, sizes.height, sizes.width, team.size());
        gridcut::detail::begin(team, grid, nullptr, gridcut::detail::Start::zero, cutter.label);
        const double magnitude = gridcut::detail::measure(team, grid, cutter);
        if (magnitude <= 1.7e308) {  // else something is no finite number
            const gridcut::FixedProblem fixed{grid, gridcut::Scale::below(magnitude),
                                              cutter.lowest};
            gridcut::detail::swap<kNarrow>(team, fixed, cutter, kMostSweeps);
        }
        team.phase([&](int thread) {
            for (int p = thread; p < blocks; p += team.size())
                cut.now[p] = cut.label[cutter.label[p]];
        });
    }
};

}  // namespace comix::cuda::comixup
