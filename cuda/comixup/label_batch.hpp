// What the launchers of the Co-Mixup solver share: labeller.cu, with cuts by expansion,
// method_labeller.cu, whose kernels need other registers and other memory, and improve.cu, which
// follows both.
#pragma once

#include <cstdint>

#include "cuda/comixup/candidates.hpp"
#include "cuda/comixup/comixup.hpp"

namespace comix::cuda::comixup {

constexpr int kMostMethodInputs = 4096;

struct LabelBatch {
    Partitions partitions;
    std::int64_t starts;       // per partition
    const std::int64_t* init;  // [P, R, m, gh, gw]
    std::int64_t* labels;      // [P, R, m, gh, gw, 2]
    double* objective;         // [P, R]
    void* candidates;          // Candidates::bytes(...) bytes
    unsigned char* scratch;

    // Every start of every partition is a problem of its own.
    COMIX_HD std::int64_t problems() const { return partitions.count * starts; }
    // `problem` with the costs of problem i.
    COMIX_HD SolverProblem with_costs(SolverProblem problem, std::int64_t i) const {
        problem.cost = partitions.cost + i / starts * problem.sizes.inputs * problem.sizes.blocks();
        return problem;
    }
    COMIX_HD const double* compatibility_of(std::int64_t i) const {
        const std::int64_t n = partitions.inputs;
        return partitions.compatibility ? partitions.compatibility + i / starts * n * n : nullptr;
    }
};

// Teams that share a limit of scratch, at `bytes` each; one at least, and no more than there are
// problems.
inline std::int64_t teams_at_once(std::int64_t bytes, std::int64_t problems) {
    constexpr std::int64_t most = std::int64_t{1} << 27;
    const std::int64_t fit = bytes > 0 ? most / bytes : problems;
    return fit < 1 && problems > 0 ? 1 : fit < problems ? fit : problems;
}

// Sweeps -> candidates. method: not expansion. The batch's scratch: method_scratch_bytes(...)
// bytes.
void launch_method(const Stream& stream, const LabelBatch& batch, const SolverProblem& problem,
                   CutMethod method);
std::int64_t method_scratch_bytes(const SolverSizes& sizes, std::int64_t problems,
                                  CutMethod method);

// Candidates -> labels and objective, improved by descent where problem.select_best. The batch's
// scratch: improve_scratch_bytes(...) bytes.
void launch_improvement(const Stream& stream, const LabelBatch& batch,
                        const SolverProblem& problem);
std::int64_t improve_scratch_bytes(const SolverSizes& sizes, std::int64_t problems);

}  // namespace comix::cuda::comixup
