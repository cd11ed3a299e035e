#include "cuda/comixup/labeller.hpp"

#include <algorithm>
#include <string>

#include "base/errors.hpp"
#include "cuda/base/launch.cuh"
#include "cuda/comixup/label_batch.hpp"

namespace comix::cuda::comixup {

namespace {

constexpr int kWideThreads = 128;
constexpr int kSmallThreads = 384;  // the sixteen states of 24 labels: 20 inputs and soft ones
// With what reductions take it stays within what every device gives to a kernel that asks.
constexpr std::int64_t kMostShared = 40 * 1024;

template <class Team, Shape kShape, bool kInShared>
__global__ void __launch_bounds__(Team::size(), 1)
    labeller_kernel(const LabelBatch batch, const SolverProblem problem, const SpacePlan plan,
                    std::size_t bytes) {
    for_each_problem<Team>(batch.problems(), bytes, [&](Team& team, std::int64_t i) {
        solve_labels<kShape, kInShared>(
            team, batch.with_costs(problem, i), batch.compatibility_of(i),
            batch.init + i * problem.sizes.cells(), plan, batch.scratch + i * plan.scratch_bytes(),
            Candidates::at(batch.candidates, problem.sizes, i));
    });
}

SolverSizes sizes_of(const Partitions& partitions) {
    return {partitions.inputs, partitions.outputs, partitions.height, partitions.width,
            partitions.compatibility != nullptr};
}

void check_sizes(const Partitions& partitions, CutMethod method) {
    const std::int64_t blocks = std::int64_t{partitions.height} * partitions.width;
    require(partitions.inputs < kMostInputs && blocks <= kMostBlocks,
            "cost: expected fewer than " + std::to_string(kMostInputs) + " inputs and at most " +
                std::to_string(kMostBlocks) + " blocks on CUDA, got " +
                std::to_string(partitions.inputs) + " inputs of " +
                std::to_string(partitions.height) + " x " + std::to_string(partitions.width));
    require(method == CutMethod::expansion || partitions.inputs <= kMostMethodInputs,
            "cost: expected at most " + std::to_string(kMostMethodInputs) +
                " inputs on CUDA for cuts by 'swap' or 'exact', got " +
                std::to_string(partitions.inputs));
    require(std::int64_t{partitions.outputs} * blocks < std::int64_t{1} << 28 &&
                std::int64_t{partitions.outputs} * partitions.inputs < std::int64_t{1} << 28,
            "init: expected fewer than 2^28 blocks, and outputs times inputs, per partition");
}

template <class Team, Shape kShape>
void launch_labeller(const Stream& stream, const LabelBatch& batch, const SolverProblem& problem) {
    const SpacePlan plan = SpacePlan::of(problem.sizes, kMostShared);
    const std::size_t bytes = team_bytes(labeller_shared(Team::size(), plan));
    const auto kernel = plan.all_shared() ? labeller_kernel<Team, kShape, true>
                                          : labeller_kernel<Team, kShape, false>;
    launch(stream, "comixup_labels", kernel, blocks_for(batch.problems(), 1), Team::size(), bytes,
           batch, problem, plan, bytes);
}

void launch_sweeps(const Stream& stream, const LabelBatch& batch, const SolverProblem& problem,
                   CutMethod method) {
    if (method != CutMethod::expansion) return launch_method(stream, batch, problem, method);
    switch (problem.sizes.shape()) {
        case Shape::small:
            return launch_labeller<BlockTeam<kSmallThreads>, Shape::small>(stream, batch, problem);
        case Shape::narrow:
            return launch_labeller<WarpTeam, Shape::narrow>(stream, batch, problem);
        case Shape::wide:
            return launch_labeller<BlockTeam<kWideThreads>, Shape::wide>(stream, batch, problem);
    }
}

}  // namespace

void solve_labels(const Stream& stream, const Partitions& partitions, std::int64_t starts,
                  const ObjectiveSettings& settings, const Iteration& iteration,
                  const std::int64_t* init, void* scratch, std::int64_t* labels,
                  double* objective) {
    check_sizes(partitions, iteration.method);
    const SolverSizes sizes = sizes_of(partitions);
    const double blocks = sizes.blocks();
    const SolverProblem problem{sizes,
                                nullptr,
                                settings.beta / blocks,
                                settings.gamma / blocks,
                                settings.tau * blocks,
                                settings.threshold,
                                iteration.sweeps,
                                iteration.resolve_duplicates,
                                iteration.select_best};
    const LabelBatch batch{
        partitions,
        starts,
        init,
        labels,
        objective,
        scratch,
        static_cast<unsigned char*>(scratch) + Candidates::bytes(sizes, partitions.count * starts)};
    launch_sweeps(stream, batch, problem, iteration.method);
    launch_improvement(stream, batch, problem);
}

std::int64_t labels_scratch_bytes(const Partitions& partitions, std::int64_t starts,
                                  CutMethod method) {
    check_sizes(partitions, method);
    const SolverSizes sizes = sizes_of(partitions);
    const std::int64_t problems = partitions.count * starts;
    const std::int64_t sweeps = method == CutMethod::expansion
                                    ? problems * SpacePlan::of(sizes, kMostShared).scratch_bytes()
                                    : method_scratch_bytes(sizes, problems, method);
    return Candidates::bytes(sizes, problems) +
           std::max(sweeps, improve_scratch_bytes(sizes, problems));
}

}  // namespace comix::cuda::comixup
