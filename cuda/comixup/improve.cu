#include "cuda/comixup/improve.hpp"

#include "cuda/base/launch.cuh"
#include "cuda/comixup/label_batch.hpp"

namespace comix::cuda::comixup {

namespace {

using DescentTeam = BlockTeam<384>;  // twelve warps, which look at a block each
using CopyTeam = BlockTeam<128>;
// With what reductions take it stays within what every device gives to a kernel that asks.
constexpr std::int64_t kMostShared = 40 * 1024;

template <bool kInShared>
__global__ void __launch_bounds__(DescentTeam::size(), 1)
    improve_kernel(const LabelBatch batch, const SolverProblem problem, const ImprovePlan plan,
                   std::size_t bytes) {
    for_each_problem<DescentTeam>(
        batch.problems() * kCandidates, bytes, [&](DescentTeam& team, std::int64_t k) {
            const std::int64_t i = k / kCandidates;
            improve<kInShared>(team, batch.with_costs(problem, i), batch.compatibility_of(i), plan,
                               batch.scratch + blockIdx.x * plan.scratch_bytes(),
                               Candidates::at(batch.candidates, problem.sizes, i),
                               static_cast<int>(k % kCandidates));
        });
}

__global__ void __launch_bounds__(CopyTeam::size())
    choose_kernel(const LabelBatch batch, const SolverProblem problem) {
    for_each_problem<CopyTeam>(batch.problems(), 0, [&](CopyTeam& team, std::int64_t i) {
        choose(team, problem, Candidates::at(batch.candidates, problem.sizes, i),
               batch.labels + i * problem.sizes.cells() * 2, batch.objective + i);
    });
}

ImprovePlan plan_of(const SolverSizes& sizes) {
    return ImprovePlan::of(sizes, DescentTeam::size(), kMostShared);
}

}  // namespace

void launch_improvement(const Stream& stream, const LabelBatch& batch,
                        const SolverProblem& problem) {
    const std::int64_t problems = batch.problems();
    if (problem.select_best) {
        const ImprovePlan plan = plan_of(problem.sizes);
        const std::size_t bytes = team_bytes(plan.shared(DescentTeam::size()));
        const std::int64_t teams = teams_at_once(plan.scratch_bytes(), problems * kCandidates);
        launch(stream, "comixup_labels",
               plan.in_shared ? improve_kernel<true> : improve_kernel<false>, blocks_for(teams, 1),
               DescentTeam::size(), bytes, batch, problem, plan, bytes);
    }
    launch(stream, "comixup_labels", choose_kernel, blocks_for(problems, 1), CopyTeam::size(), 0,
           batch, problem);
}

std::int64_t improve_scratch_bytes(const SolverSizes& sizes, std::int64_t problems) {
    const std::int64_t bytes = plan_of(sizes).scratch_bytes();
    return teams_at_once(bytes, problems * kCandidates) * bytes;
}

}  // namespace comix::cuda::comixup
