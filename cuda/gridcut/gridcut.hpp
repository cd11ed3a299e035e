// Launchers of the grid cut kernels. All pointers are device memory.
#pragma once

#include <cstdint>

#include "cuda/base/launch.hpp"
#include "cuda/gridcut/problem.hpp"

namespace comix::cuda::gridcut {

// labels [P, H, W]; energy [P].
void grid_energy(const Stream& stream, const Batch& batch, const std::int64_t* labels,
                 double* energy);

}  // namespace comix::cuda::gridcut
