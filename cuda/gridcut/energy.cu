#include "cuda/base/launch.cuh"
#include "cuda/gridcut/energy.hpp"
#include "cuda/gridcut/gridcut.hpp"

namespace comix::cuda::gridcut {

namespace {

constexpr int kThreads = 128;
constexpr int kWarpSites = 256;  // up to here a warp has enough to do for a few rounds only

template <class Team>
__global__ void __launch_bounds__(kThreads)
    energy_kernel(const Batch batch, const std::int64_t* labels, double* energy,
                  std::size_t bytes) {
    for_each_problem<Team>(batch.problems, bytes, [&](Team& team, std::int64_t i) {
        grid_energy(team, batch[i], labels + i * batch.sites(), energy + i);
    });
}

template <class Team>
void launch_energy(const Stream& stream, const Batch& batch, const std::int64_t* labels,
                   double* energy) {
    constexpr int teams = kThreads / Team::size();
    const std::size_t bytes = team_bytes(energy_shared(Team::size()));
    launch(stream, "grid_energy", energy_kernel<Team>, blocks_for(batch.problems, teams), kThreads,
           teams * bytes, batch, labels, energy, bytes);
}

}  // namespace

void grid_energy(const Stream& stream, const Batch& batch, const std::int64_t* labels,
                 double* energy) {
    if (batch.sites() <= kWarpSites) return launch_energy<WarpTeam>(stream, batch, labels, energy);
    launch_energy<BlockTeam<kThreads>>(stream, batch, labels, energy);
}

}  // namespace comix::cuda::gridcut
