// What the launchers of the Co-Mixup solver share: labeller.cu, with cuts by expansion, and
// method_labeller.cu, whose kernels need other registers and other memory.
#pragma once

#include <cstdint>

#include "cuda/comixup/comixup.hpp"
#include "cuda/comixup/state.hpp"

namespace comix::cuda::comixup {

constexpr int kMostMethodInputs = 4096;

struct LabelBatch {
    Partitions partitions;
    std::int64_t starts;       // per partition
    const std::int64_t* init;  // [P, R, m, gh, gw]
    std::int64_t* labels;      // [P, R, m, gh, gw, 2]
    double* objective;         // [P, R]
    unsigned char* scratch;
};

// method: not expansion. The batch's scratch: method_scratch_bytes(...) bytes.
void launch_method(const Stream& stream, const LabelBatch& batch, const SolverProblem& problem,
                   CutMethod method);
std::int64_t method_scratch_bytes(const SolverSizes& sizes, std::int64_t problems,
                                  CutMethod method);

}  // namespace comix::cuda::comixup
