// The end of the Co-Mixup solver: descent from each candidate that the sweeps left, a team each,
// and the choice of the better one (csrc/comixup/batch.cpp).
#pragma once

#include <cstdint>

#include "cuda/comixup/candidates.hpp"
#include "cuda/comixup/descent.hpp"

namespace comix::cuda::comixup {

// Where the memory of a descent lies: shared where it fits, else global.
struct ImprovePlan {
    std::int64_t bytes;
    bool in_shared;

    // most: shared memory to use, at most.
    static ImprovePlan of(const SolverSizes& sizes, int threads, std::int64_t most) {
        ImprovePlan plan{};
        DescentSpace::at(nullptr, sizes, threads, &plan.bytes);
        plan.in_shared = plan.bytes <= most;
        return plan;
    }
    COMIX_HD std::int64_t scratch_bytes() const { return in_shared ? 0 : bytes; }  // per team
    SharedBytes shared(int threads) const {
        return SharedBytes()
            .add<double>(static_cast<std::size_t>(in_shared ? bytes / 8 : 0))
            .add<detail::Objectives>(static_cast<std::size_t>(threads));
    }
};

// Improves one candidate in place, where descent lowers its objective. compatibility [n, n] where
// sizes.matrix. scratch: plan.scratch_bytes() bytes. kInShared: plan.in_shared, known to the
// compiler.
template <bool kInShared, class Team>
COMIX_HD void improve(Team& team, const SolverProblem& problem, const double* compatibility,
                      const ImprovePlan& plan, void* scratch, const Candidates& candidates,
                      int candidate) {
    const double before = team.uniform(candidates.objective[candidate]);
    if (!(before < kNone)) return;
    void* memory =
        team.template shared<double>(static_cast<std::size_t>(kInShared ? plan.bytes / 8 : 0));
    auto* partial = team.template shared<detail::Objectives>(static_cast<std::size_t>(team.size()));
    const DescentSpace space =
        DescentSpace::at(kInShared ? memory : scratch, problem.sizes, team.size(), nullptr);
    const StateSpace& state = space.state;
    detail::set_compatibility(team, problem, compatibility, state);
    detail::copy_labels(team, problem, candidates.labels_of(problem.sizes, candidate),
                        state.labels);
    descend(team, problem, space);
    detail::count_all(team, problem, state);
    const double after =
        detail::thresholded_objective(problem, detail::add_up(team, problem, state, partial));
    // The descent follows the objective as it is meant, hard_official is as it is coded.
    if (after < before) detail::keep(team, problem, state, candidates, candidate, after);
}

// The better candidate -> labels [m, gh, gw, 2] and their thresholded objective.
template <class Team>
COMIX_HD void choose(Team& team, const SolverProblem& problem, const Candidates& candidates,
                     std::int64_t* labels, double* objective) {
    const std::int64_t cells = problem.sizes.cells();
    const int better = candidates.objective[1] < candidates.objective[0] ? 1 : 0;
    const Pair* from = candidates.labels_of(problem.sizes, better);
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < cells; k += team.size()) {
            labels[2 * k] = first_of(from[k]);
            labels[2 * k + 1] = second_of(from[k]);
        }
        if (thread == 0) *objective = candidates.objective[better];
    });
}

}  // namespace comix::cuda::comixup
