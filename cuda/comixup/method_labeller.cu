#include "cuda/base/launch.cuh"
#include "cuda/comixup/label_batch.hpp"
#include "cuda/comixup/method_plan.hpp"

namespace comix::cuda::comixup {

namespace {

using ExactTeam = BlockTeam<256>;  // they share the states of a block
using SwapTeam = BlockTeam<128>;
// With what reductions take it stays within kAskedShared.
constexpr std::int64_t kMostShared = 52 * 1024;

// A block's memory is used for one problem after the other.
template <class Team, class Cut>
__global__ void __launch_bounds__(Team::size(), 1)
    method_kernel(const LabelBatch batch, const SolverProblem problem, const MethodPlan plan,
                  std::size_t bytes) {
    for_each_problem<Team>(batch.problems(), bytes, [&](Team& team, std::int64_t i) {
        solve_labels_with<Cut>(team, batch.with_costs(problem, i), batch.compatibility_of(i),
                               batch.init + i * problem.sizes.cells(), plan,
                               batch.scratch + blockIdx.x * plan.scratch_bytes(),
                               Candidates::at(batch.candidates, problem.sizes, i));
    });
}

int threads_for(CutMethod method) {
    return method == CutMethod::exact ? ExactTeam::size() : SwapTeam::size();
}

std::int64_t teams_for(const MethodPlan& plan, std::int64_t problems) {
    return teams_at_once(plan.scratch_bytes(), problems);
}

template <class Team, class Cut>
void launch_cuts(const Stream& stream, const LabelBatch& batch, const SolverProblem& problem,
                 CutMethod method) {
    const MethodPlan plan = MethodPlan::of(problem.sizes, method, Team::size(), kMostShared);
    const std::size_t bytes = team_bytes(plan.shared(Team::size()));
    launch(stream, "comixup_labels", method_kernel<Team, Cut>,
           blocks_for(teams_for(plan, batch.problems()), 1), Team::size(), bytes, batch, problem,
           plan, bytes);
}

}  // namespace

void launch_method(const Stream& stream, const LabelBatch& batch, const SolverProblem& problem,
                   CutMethod method) {
    const bool wide = problem.sizes.shape() == Shape::wide;
    if (method == CutMethod::exact) {
        if (wide)
            return launch_cuts<ExactTeam, ExactCut<Shape::wide>>(stream, batch, problem, method);
        return launch_cuts<ExactTeam, ExactCut<Shape::narrow>>(stream, batch, problem, method);
    }
    if (wide) return launch_cuts<SwapTeam, SwapCut<false>>(stream, batch, problem, method);
    launch_cuts<SwapTeam, SwapCut<true>>(stream, batch, problem, method);
}

std::int64_t method_scratch_bytes(const SolverSizes& sizes, std::int64_t problems,
                                  CutMethod method) {
    const MethodPlan plan = MethodPlan::of(sizes, method, threads_for(method), kMostShared);
    return teams_for(plan, problems) * plan.scratch_bytes();
}

}  // namespace comix::cuda::comixup
