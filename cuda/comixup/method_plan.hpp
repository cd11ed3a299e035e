// Where the memory of a team lies whose cuts are exact or by swap: what every team of the solver
// has (workspace.hpp), what its cuts need beside it, and for exact cuts tables in global memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/comixup/exact_cut.hpp"
#include "cuda/comixup/labeller.hpp"
#include "cuda/comixup/swap_cut.hpp"

namespace comix::cuda::comixup {

struct MethodPlan {
    SpacePlan space;
    std::int64_t cut_bytes;  // of ExactSpace or SwapSpace
    bool cut_shared;
    std::int64_t table_bytes;  // of exact cuts

    // most: shared memory to use, at most.
    static MethodPlan of(const SolverSizes& sizes, CutMethod method, int threads,
                         std::int64_t most) {
        MethodPlan plan{SpacePlan::of(sizes, most), 0, false, 0};
        if (method == CutMethod::exact) {
            plan.table_bytes = ExactSpace::table_bytes(sizes);
            ExactSpace::at(nullptr, nullptr, 0, sizes, threads, &plan.cut_bytes);
        } else {
            SwapSpace::at(nullptr, sizes, &plan.cut_bytes);
            plan.cut_bytes += (SwapSpace::cutter_bytes(sizes, threads) + 15) / 16 * 16;
        }
        plan.cut_shared = plan.cut_bytes + plan.space.shared_bytes() <= most;
        return plan;
    }
    // One after the other: what SpacePlan has, the cuts', the tables.
    COMIX_HD std::int64_t scratch_bytes() const {  // per team
        return space.scratch_bytes() + (cut_shared ? 0 : cut_bytes) + table_bytes;
    }
    SharedBytes shared(int threads) const {
        const std::int64_t bytes = space.shared_bytes() + (cut_shared ? cut_bytes : 0);
        return SharedBytes()
            .add<double>(static_cast<std::size_t>(bytes / 8))
            .add<detail::Objectives>(static_cast<std::size_t>(threads));
    }
};

template <class Cut>
struct CutOf;
template <Shape kShape>
struct CutOf<ExactCut<kShape>> {
    COMIX_HD static ExactCut<kShape> at(void* memory, void* tables, const MethodPlan& plan,
                                        const SolverSizes& sizes, int threads) {
        return {ExactSpace::at(memory, tables, plan.table_bytes, sizes, threads, nullptr)};
    }
};
template <bool kNarrow>
struct CutOf<SwapCut<kNarrow>> {
    COMIX_HD static SwapCut<kNarrow> at(void* memory, void*, const MethodPlan&,
                                        const SolverSizes& sizes, int) {
        return {SwapSpace::at(memory, sizes, nullptr)};
    }
};

// As solve_labels() of labeller.hpp. scratch: plan.scratch_bytes() bytes.
template <class Cut, class Team>
COMIX_HD void solve_labels_with(Team& team, const SolverProblem& problem,
                                const double* compatibility, const std::int64_t* init,
                                const MethodPlan& plan, void* scratch, const Candidates& found) {
    auto* rest = static_cast<unsigned char*>(scratch) + plan.space.scratch_bytes();
    void* memory = rest;
    if (plan.cut_shared) {
        memory = team.template shared<double>(static_cast<std::size_t>(plan.cut_bytes / 8));
    } else {
        rest += plan.cut_bytes;
    }
    const Cut cut = CutOf<Cut>::at(memory, rest, plan, problem.sizes, team.size());
    solve_labels_by<false>(team, cut, problem, compatibility, init, plan.space, scratch, found);
}

}  // namespace comix::cuda::comixup
