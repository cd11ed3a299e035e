#include "cuda/gridcut/cutter.hpp"

#include <string>

#include "base/errors.hpp"
#include "cuda/base/launch.cuh"
#include "cuda/gridcut/gridcut.hpp"

namespace comix::cuda::gridcut {

namespace {

constexpr std::int64_t kMostShared = 40 * 1024;  // what every device has without asking
constexpr int kFewSites = 64;

struct CutBatch {
    Batch grids;
    CutSettings settings;
    const std::int64_t* init;  // [P, H, W] or nullptr
    std::int64_t* labels;      // [P, H, W]
    std::uint8_t* optimal;     // [P]
    unsigned char* scratch;    // nullptr: all in shared memory
    std::int64_t space_bytes;  // of one problem
};

template <class Team, bool kNarrow, int kBlocks>
__global__ void __launch_bounds__(Team::size(), kBlocks)
    cut_kernel(const CutBatch batch, std::size_t bytes) {
    const std::int64_t sites = batch.grids.sites();
    for_each_problem<Team>(batch.grids.problems, bytes, [&](Team& team, std::int64_t i) {
        void* const memory =
            batch.scratch
                ? static_cast<void*>(batch.scratch + i * batch.space_bytes)
                : team.template shared<double>(static_cast<std::size_t>(batch.space_bytes / 8));
        grid_cut<kNarrow>(team, batch.grids[i], batch.settings.exact, batch.settings.max_sweeps,
                          batch.init ? batch.init + i * sites : nullptr, memory,
                          batch.labels + i * sites, batch.optimal + i);
    });
}

int threads_for(int height, int width) {
    if (CutterSpace::narrow(height, width)) return WarpTeam::size();
    return height * width <= kFewSites ? 64 : 128;
}

std::int64_t space_bytes(int height, int width) {
    return static_cast<std::int64_t>(
        team_bytes(CutterSpace::bytes(height, width, threads_for(height, width))));
}

// kBlocks: on a multiprocessor at once, at least; registers are shared out so.
template <class Team, bool kNarrow, int kBlocks>
void launch_cut(const Stream& stream, const CutBatch& batch) {
    const auto bytes = static_cast<std::size_t>(batch.scratch ? 0 : batch.space_bytes);
    launch(stream, "grid_cut", cut_kernel<Team, kNarrow, kBlocks>,
           blocks_for(batch.grids.problems, 1), Team::size(), bytes, batch, bytes);
}

}  // namespace

void grid_cut(const Stream& stream, const Batch& grids, const CutSettings& settings,
              const std::int64_t* init, void* scratch, std::int64_t* labels,
              std::uint8_t* optimal) {
    require(std::int64_t{grids.height} * grids.width <= kMostSites,
            "unary: expected at most " + std::to_string(kMostSites) + " sites on CUDA, got " +
                std::to_string(grids.height) + " x " + std::to_string(grids.width));
    require(grids.labels <= kMostLabels, "unary: expected at most " + std::to_string(kMostLabels) +
                                             " labels on CUDA, got " +
                                             std::to_string(grids.labels));
    const std::int64_t bytes = space_bytes(grids.height, grids.width);
    const CutBatch batch{
        grids,  settings, init,
        labels, optimal,  bytes <= kMostShared ? nullptr : static_cast<unsigned char*>(scratch),
        bytes};
    switch (threads_for(grids.height, grids.width)) {
        case 32:
            return launch_cut<WarpTeam, true, 8>(stream, batch);
        case 64:
            return launch_cut<BlockTeam<64>, false, 8>(stream, batch);
        default:
            return launch_cut<BlockTeam<128>, false, 4>(stream, batch);
    }
}

std::int64_t grid_cut_scratch_bytes(std::int64_t problems, int height, int width) {
    if (std::int64_t{height} * width > kMostSites) return 0;  // grid_cut() says so
    const std::int64_t bytes = space_bytes(height, width);
    return bytes <= kMostShared ? 0 : problems * bytes;
}

}  // namespace comix::cuda::gridcut
