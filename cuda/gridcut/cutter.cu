#include "cuda/gridcut/cutter.hpp"

#include <algorithm>
#include <string>

#include "base/errors.hpp"
#include "cuda/base/launch.cuh"
#include "cuda/gridcut/frontier.hpp"
#include "cuda/gridcut/gridcut.hpp"
#include "cuda/gridcut/level_cut.hpp"
#include "cuda/gridcut/swap.hpp"

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

// kInShared: batch.scratch is nullptr, known to the compiler, whose accesses are quicker then.
template <bool kInShared, class Team>
__device__ void* memory_of(Team& team, const CutBatch& batch, std::int64_t problem) {
    if (!kInShared) return batch.scratch + problem * batch.space_bytes;
    return team.template shared<double>(static_cast<std::size_t>(batch.space_bytes / 8));
}

// level_bytes: see grid_cut() of cutter.hpp.
template <class Team, bool kNarrow, int kBlocks, bool kInShared>
__global__ void __launch_bounds__(Team::size(), kBlocks)
    cut_kernel(const CutBatch batch, std::size_t bytes, std::int64_t level_bytes) {
    const std::int64_t sites = batch.grids.sites();
    for_each_problem<Team>(batch.grids.problems, bytes, [&](Team& team, std::int64_t i) {
        grid_cut<kNarrow>(
            team, batch.grids[i], batch.settings.method != Method::expansion, level_bytes,
            batch.settings.max_sweeps, batch.init ? batch.init + i * sites : nullptr,
            memory_of<kInShared>(team, batch, i), batch.labels + i * sites, batch.optimal + i);
    });
}

// A kernel of its own: it needs more registers than the others.
template <class Team, bool kNarrow, int kBlocks, bool kInShared>
__global__ void __launch_bounds__(Team::size(), kBlocks)
    swap_kernel(const CutBatch batch, std::size_t bytes) {
    const std::int64_t sites = batch.grids.sites();
    for_each_problem<Team>(batch.grids.problems, bytes, [&](Team& team, std::int64_t i) {
        std::int64_t* const labels = batch.labels + i * sites;
        const bool improve = batch.settings.method == Method::automatic;
        if (improve && team.uniform(batch.optimal[i]) != 0) return;
        const std::int64_t* const init = improve      ? labels
                                         : batch.init ? batch.init + i * sites
                                                      : nullptr;
        grid_swap<kNarrow>(team, batch.grids[i], batch.settings.max_sweeps, init,
                           memory_of<kInShared>(team, batch, i), labels, batch.optimal + i);
    });
}

using LevelTeam = BlockTeam<512>;

__global__ void __launch_bounds__(LevelTeam::size(), 1)
    level_kernel(const CutBatch batch, std::size_t bytes, const LevelPlan plan) {
    for_each_problem<LevelTeam>(plan.slots, bytes, [&](LevelTeam& team, std::int64_t slot) {
        level_cut(team, batch.grids, plan, batch.scratch, slot, batch.labels, batch.optimal);
    });
}

using FrontierTeam = BlockTeam<256>;

// The memory of a problem belongs to its block, which solves one after the other.
__global__ void __launch_bounds__(FrontierTeam::size(), 2)
    frontier_kernel(const CutBatch batch, std::size_t bytes, std::int64_t slots,
                    std::int64_t cutter_bytes, std::int64_t states) {
    const Batch& grids = batch.grids;
    for_each_problem<FrontierTeam>(slots, bytes, [&](FrontierTeam& team, std::int64_t slot) {
        const FrontierSpace space =
            FrontierSpace::at(batch.scratch + slot * batch.space_bytes, cutter_bytes, grids.height,
                              grids.width, states, FrontierTeam::size());
        grid_frontiers(team, grids, slot, slots, space, batch.labels, batch.optimal);
    });
}

int threads_for(int height, int width) {
    if (CutterSpace::narrow(height, width)) return WarpTeam::size();
    return height * width <= kFewSites ? 64 : 128;
}

std::int64_t aligned(std::int64_t bytes) {
    return (bytes + 15) / 16 * 16;
}

// Of one problem; counted: as CutterSpace::bytes.
std::int64_t space_bytes(int height, int width, int counted) {
    return static_cast<std::int64_t>(
        team_bytes(CutterSpace::bytes(height, width, threads_for(height, width), counted)));
}

int counted_labels(Method method, int labels) {
    return method == Method::swap || method == Method::automatic ? labels : 0;
}

// kBlocks: on a multiprocessor at once, at least; registers are shared out so.
template <class Team, bool kNarrow, int kBlocks, bool kInShared>
void launch_cut(const Stream& stream, const CutBatch& batch, bool swap, std::int64_t level_bytes) {
    const auto bytes = static_cast<std::size_t>(kInShared ? batch.space_bytes : 0);
    const unsigned blocks = blocks_for(batch.grids.problems, 1);
    if (swap) {
        launch(stream, "grid_cut", swap_kernel<Team, kNarrow, kBlocks, kInShared>, blocks,
               Team::size(), bytes, batch, bytes);
    } else {
        launch(stream, "grid_cut", cut_kernel<Team, kNarrow, kBlocks, kInShared>, blocks,
               Team::size(), bytes, batch, bytes, level_bytes);
    }
}

void launch_cut(const Stream& stream, const CutBatch& batch, bool swap,
                std::int64_t level_bytes = 0) {
    const bool in_shared = batch.scratch == nullptr;
    switch (threads_for(batch.grids.height, batch.grids.width)) {
        case 32:
            return in_shared
                       ? launch_cut<WarpTeam, true, 8, true>(stream, batch, swap, level_bytes)
                       : launch_cut<WarpTeam, true, 8, false>(stream, batch, swap, level_bytes);
        case 64:  // such small grids always fit
            return launch_cut<BlockTeam<64>, false, 8, true>(stream, batch, swap, level_bytes);
        default:
            return in_shared ? launch_cut<BlockTeam<128>, false, 4, true>(stream, batch, swap,
                                                                          level_bytes)
                             : launch_cut<BlockTeam<128>, false, 4, false>(stream, batch, swap,
                                                                           level_bytes);
    }
}

void launch_levels(const Stream& stream, CutBatch batch, void* scratch, const LevelPlan& plan) {
    batch.scratch = static_cast<unsigned char*>(scratch);
    const std::size_t bytes = team_bytes(detail::LevelNotes::bytes(LevelTeam::size()));
    launch(stream, "grid_cut", level_kernel, blocks_for(plan.slots, 1), LevelTeam::size(), bytes,
           batch, bytes, plan);
}

FrontierPlan plan_for(int height, int width, int labels, Method method) {
    return FrontierPlan::of(height, width, labels, method, FrontierTeam::size());
}

// Frontier programmes at once, so that they share kMostScratch.
std::int64_t frontier_slots(std::int64_t problems, const FrontierPlan& plan) {
    constexpr std::int64_t kMostScratch = std::int64_t{1} << 26;
    const std::int64_t fit = kMostScratch / aligned(plan.bytes);
    return fit < 1 ? 1 : fit < problems ? fit : problems;
}

void launch_frontier(const Stream& stream, CutBatch batch, void* scratch,
                     const FrontierPlan& plan) {
    const Batch& grids = batch.grids;
    batch.scratch = static_cast<unsigned char*>(scratch);
    batch.space_bytes = aligned(plan.bytes);
    const auto cutter_bytes = static_cast<std::int64_t>(
        CutterSpace::bytes(grids.height, grids.width, FrontierTeam::size(), 0).total());
    const std::int64_t slots = frontier_slots(grids.problems, plan);
    const std::size_t bytes = team_bytes(frontier_shared());
    launch(stream, "grid_cut", frontier_kernel, blocks_for(slots, 1), FrontierTeam::size(), bytes,
           batch, bytes, slots, cutter_bytes, static_cast<std::int64_t>(plan.states));
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
    const std::int64_t bytes =
        space_bytes(grids.height, grids.width, counted_labels(settings.method, grids.labels));
    const CutBatch batch{
        grids,  settings, init,
        labels, optimal,  bytes <= kMostShared ? nullptr : static_cast<unsigned char*>(scratch),
        bytes};
    const LevelPlan levels =
        LevelPlan::of(grids.problems, grids.height, grids.width, grids.labels, settings.method);
    if (settings.method != Method::swap) launch_cut(stream, batch, false, levels.bytes);
    if (levels.bytes > 0) launch_levels(stream, batch, scratch, levels);
    // What is not proven by then: an optimum by force, or a better labelling.
    const FrontierPlan plan = plan_for(grids.height, grids.width, grids.labels, settings.method);
    if (plan.bytes > 0) return launch_frontier(stream, batch, scratch, plan);
    // Two labels are one move, which the first kernel has made.
    if (settings.method == Method::swap ||
        (settings.method == Method::automatic && grids.labels > 2))
        launch_cut(stream, batch, true);
}

std::int64_t grid_cut_scratch_bytes(std::int64_t problems, int height, int width, int labels,
                                    Method method) {
    // What is beyond, grid_cut() refuses.
    if (std::int64_t{height} * width > kMostSites || labels > kMostLabels) return 0;
    const std::int64_t bytes = space_bytes(height, width, counted_labels(method, labels));
    const std::int64_t cuts = bytes <= kMostShared ? 0 : problems * bytes;
    const FrontierPlan plan = plan_for(height, width, labels, method);
    const std::int64_t frontiers =
        plan.bytes > 0 ? frontier_slots(problems, plan) * aligned(plan.bytes) : 0;
    const std::int64_t levels = LevelPlan::of(problems, height, width, labels, method).bytes;
    return std::max({cuts, frontiers, levels});
}

}  // namespace comix::cuda::gridcut
