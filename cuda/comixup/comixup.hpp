// Launchers of the Co-Mixup kernels. All pointers are device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/base/launch.hpp"

namespace comix::cuda::comixup {

enum class Threshold { hard, soft, hard_official };  // comixup/comixup.hpp

struct ObjectiveSettings {
    double beta, gamma, tau;  // as users give them; scaled by the grid inside
    Threshold threshold;
};

// Partitions of one size, laid end to end.
struct Partitions {
    std::int64_t count = 0;
    int inputs = 0, outputs = 0, height = 0, width = 0;
    const double* cost = nullptr;           // [P, n, gh, gw]
    const double* compatibility = nullptr;  // [P, n, n] or nullptr: the identity
};

// labels [P, m, gh, gw, 2]; result [P]; scratch: objective_scratch_bytes(...) bytes.
void objective(const Stream& stream, const Partitions& partitions,
               const ObjectiveSettings& settings, const std::int64_t* labels, void* scratch,
               double* result);
std::int64_t objective_scratch_bytes(std::int64_t partitions, std::int64_t inputs,
                                     std::int64_t outputs);

// What cuts inside the iteration: label_cut.hpp, swap_cut.hpp, exact_cut.hpp.
enum class CutMethod { expansion, swap, exact };

// How the iteration runs (csrc/comixup/comixup.hpp).
struct Iteration {
    int sweeps;
    bool resolve_duplicates;
    bool select_best;  // the best sweep, improved by descent, instead of the last one
    CutMethod method;
};

// init [P, R, m, gh, gw] (R = starts) -> labels [P, R, m, gh, gw, 2] and their thresholded
// objective [P, R]. scratch: labels_scratch_bytes(...) bytes, for which only sizes count, and
// whether there is a compatibility. At most 4096 blocks, fewer than 2^16 inputs; other cuts than
// expansion: at most 4096 inputs.
void solve_labels(const Stream& stream, const Partitions& partitions, std::int64_t starts,
                  const ObjectiveSettings& settings, const Iteration& iteration,
                  const std::int64_t* init, void* scratch, std::int64_t* labels, double* objective);
std::int64_t labels_scratch_bytes(const Partitions& partitions, std::int64_t starts,
                                  CutMethod method);

// The most salient window of each map [count, height, width]: spots [count, 2] gets its first row
// and column. T: float or double. scratch: spot_scratch_bytes(...) bytes.
template <class T>
void salient_spots(const Stream& stream, const T* maps, std::int64_t count, std::int64_t height,
                   std::int64_t width, std::int64_t window_height, std::int64_t window_width,
                   void* scratch, std::int64_t* spots);
std::int64_t spot_scratch_bytes(std::int64_t count, std::int64_t height,
                                std::int64_t window_height);

extern template void salient_spots(const Stream&, const float*, std::int64_t, std::int64_t,
                                   std::int64_t, std::int64_t, std::int64_t, void*, std::int64_t*);
extern template void salient_spots(const Stream&, const double*, std::int64_t, std::int64_t,
                                   std::int64_t, std::int64_t, std::int64_t, void*, std::int64_t*);

}  // namespace comix::cuda::comixup
