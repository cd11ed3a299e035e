// The grid cut of one Co-Mixup output, the other outputs fixed (labels, costs and distances:
// csrc/comixup/label_cut.hpp), by expansion in 32-bit integers.
//
// Grids with a side of at most four: narrow_moves.hpp. Wider grids: the labels that can win
// somewhere in turn, as the CPU does, each move by a flow (gridcut/flow_move.hpp). Moves to or from
// soft labels, whose distances are no metric, may miss their optimum there, yet never raise the
// energy.
// Source: Boykov, Veksler & Zabih, "Fast approximate energy minimization via graph cuts", PAMI
//   2001; Kim et al., "Co-Mixup", ICLR 2021, algorithm 1.
#pragma once

#include <cstdint>

#include "cuda/comixup/narrow_moves.hpp"

namespace comix::cuda::comixup {

namespace detail {

// Costs of the move to label a, for the flow (joint costs: the header of gridcut/flow_move.hpp).
// Sets counts[kFound] where a block may gain.
template <class Team>
COMIX_HD void price_flow(Team& team, const CutProblem& problem, const CutSpace& space,
                         const gridcut::FlowMove<std::int32_t>& flow, int a) {
    const int blocks = problem.sizes.blocks(), width = problem.sizes.width;
    const int height = problem.sizes.height, stride = problem.sizes.labels() | 1;
    const EdgeCost edge = EdgeCost::of(problem);
    const Pair label = space.label[a];
    team.phase([&](int thread) {
        bool gains = false;
        for (int p = thread; p < blocks; p += team.size()) {
            const int r = p / width, c = p - r * width;
            const bool inside[4] = {c + 1 < width, c > 0, r + 1 < height, r > 0};
            const std::int32_t to_own = edge(label, space.now[p]);
            std::int32_t own = 2 * (space.unary[p * stride + a] - space.current[p]);
            std::int32_t joint[4] = {};
            for (int d = 0; d < 4; ++d) {
                if (!inside[d]) continue;
                const Pair there = space.now[p + flow.step(d)];
                const std::int32_t now = edge(space.now[p], there), to_there = edge(label, there);
                joint[d] = now - to_own - to_there;
                own += to_there - to_own - now;
            }
            flow.set(p, own, joint);
            gains = gains || own < 0;
        }
        if (gains) atomic_or(space.counts + kFound, 1);
        if (thread == 0) space.counts[kEnergy] = 0;
    });
}

// Makes the flow's move to label a if the energy falls.
template <class Team>
COMIX_HD bool make_move(Team& team, const CutProblem& problem, const CutSpace& space,
                        const gridcut::FlowMove<std::int32_t>& flow, int a) {
    const int blocks = problem.sizes.blocks(), width = problem.sizes.width;
    const int stride = problem.sizes.labels() | 1;
    const EdgeCost edge = EdgeCost::of(problem);
    const Pair label = space.label[a];
    const auto after = [&](int p) { return flow.takes(p) ? label : space.now[p]; };
    team.phase([&](int thread) {
        std::int32_t sum = 0;
        for (int p = thread; p < blocks; p += team.size()) {
            if (flow.takes(p)) sum += space.unary[p * stride + a] - space.current[p];
            const auto change = [&](int q) {
                return edge(after(p), after(q)) - edge(space.now[p], space.now[q]);
            };
            if (p + width < blocks) sum += change(p + width);
            if ((p + 1) % width != 0) sum += change(p + 1);
        }
        if (sum != 0) atomic_add(space.counts + kEnergy, sum);
        if (thread == 0) space.counts[kFound] = 0;
    });
    if (team.uniform(space.counts[kEnergy]) >= 0) return false;
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            if (!flow.takes(p)) continue;
            space.now[p] = label;
            space.current[p] = space.unary[p * stride + a];
        }
    });
    return true;
}

template <class Team>
COMIX_HD void wide_moves(Team& team, const CutProblem& problem, const CutSpace& space, int tried) {
    const auto flow =
        gridcut::FlowMove<std::int32_t>::at(space.flow, problem.sizes.height, problem.sizes.width);
    // A label is tried again only after another one's success changed the labelling.
    const std::int64_t most = std::int64_t{tried} * (tried + 16);  // some 3 * tried in practice
    std::int64_t moves = 0;
    for (int k = 0, failures = 0; failures < tried && moves < most; ++moves) {
        const int a = team.uniform(space.tried[k]);
        price_flow(team, problem, space, flow, a);
        const bool success = team.uniform(space.counts[kFound]) && solve_flow(team, flow) &&
                             make_move(team, problem, space, flow, a);
        failures = success ? 1 : failures + 1;
        k = k + 1 == tried ? 0 : k + 1;
    }
}

}  // namespace detail

// kShape: sizes.shape(). Cuts with space.rho and the soft labels space.label[n..n + soft); the
// answer is space.now.
template <Shape kShape, class Team>
COMIX_HD void cut_labels(Team& team, const CutProblem& problem, const CutSpace& space, int soft) {
    const int labels = problem.sizes.inputs + soft;
    detail::start_cheapest<kShape>(team, problem, space, labels);
    if (!(problem.beta < 0) && !(problem.beta > 0)) return;  // the cheapest labels are the best
    const int tried = detail::price<kShape>(team, problem, space, labels);
    if constexpr (kShape == Shape::small) {
        detail::small_moves(team, problem, space, tried);
    } else if constexpr (kShape == Shape::narrow) {
        detail::narrow_moves(team, problem, space, tried);
    } else {
        detail::wide_moves(team, problem, space, tried);
    }
}

}  // namespace comix::cuda::comixup
