#include "cuda/comixup/objective.hpp"

#include "cuda/base/launch.cuh"

namespace comix::cuda::comixup {

namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    objective_kernel(const Partitions partitions, const ObjectiveSettings settings,
                     const std::int64_t* labels, unsigned char* scratch, std::int64_t scratch_bytes,
                     double* result, std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    const std::int64_t n = partitions.inputs, m = partitions.outputs;
    const std::int64_t blocks = std::int64_t{partitions.height} * partitions.width;
    for_each_problem<Team>(partitions.count, bytes, [&](Team& team, std::int64_t i) {
        const double* matrix = partitions.compatibility;
        const Labelling part{partitions.inputs,
                             partitions.outputs,
                             partitions.height,
                             partitions.width,
                             partitions.cost + i * n * blocks,
                             matrix ? matrix + i * n * n : nullptr,
                             labels + i * m * blocks * 2};
        objective(team, part, settings, ObjectiveScratch::at(scratch + i * scratch_bytes, n, m),
                  result + i);
    });
}

}  // namespace

void objective(const Stream& stream, const Partitions& partitions,
               const ObjectiveSettings& settings, const std::int64_t* labels, void* scratch,
               double* result) {
    const std::size_t bytes = team_bytes(objective_shared(kThreads));
    launch(stream, "comixup_objective", objective_kernel, blocks_for(partitions.count, 1), kThreads,
           bytes, partitions, settings, labels, static_cast<unsigned char*>(scratch),
           ObjectiveScratch::bytes(partitions.inputs, partitions.outputs), result, bytes);
}

std::int64_t objective_scratch_bytes(std::int64_t partitions, std::int64_t inputs,
                                     std::int64_t outputs) {
    return partitions * ObjectiveScratch::bytes(inputs, outputs);
}

}  // namespace comix::cuda::comixup
