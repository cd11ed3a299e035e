// Launchers of the grid cut kernels. All pointers are device memory.
#pragma once

#include <cstdint>

#include "cuda/base/launch.hpp"
#include "cuda/gridcut/problem.hpp"

namespace comix::cuda::gridcut {

// labels [P, H, W]; energy [P].
void grid_energy(const Stream& stream, const Batch& batch, const std::int64_t* labels,
                 double* energy);

constexpr int kMostLabels = 4096;

struct CutSettings {
    Method method;   // cutter.hpp
    int max_sweeps;  // of expansion and swap; 0: until no move helps
};

// init [P, H, W] or nullptr; labels [P, H, W]; optimal [P]: 1 where they are proven. At most 4096
// sites and labels. scratch: grid_cut_scratch_bytes(...) bytes.
void grid_cut(const Stream& stream, const Batch& grids, const CutSettings& settings,
              const std::int64_t* init, void* scratch, std::int64_t* labels, std::uint8_t* optimal);
std::int64_t grid_cut_scratch_bytes(std::int64_t problems, int height, int width, int labels,
                                    Method method);

}  // namespace comix::cuda::gridcut
