// What the sweeps of the Co-Mixup solver leave for the descent: the best sweep's labels, and the
// second sweep's where those are others (csrc/comixup/labeller.hpp).
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/comixup/state.hpp"

namespace comix::cuda::comixup {

constexpr int kCandidates = 2;   // the best sweep's; the second's
constexpr int kSecondSweep = 1;  // its results always lie at 1, all others at 0
constexpr double kNone = HUGE_VAL;

// Of one partition and start, in device memory.
struct Candidates {
    Pair* labels;       // [2, m, blocks]
    double* objective;  // [2] thresholded; kNone where there is none

    // Of all problems, a multiple of 16.
    static std::int64_t bytes(const SolverSizes& sizes, std::int64_t problems) {
        return (problems * doubles(sizes) + 1) / 2 * 16;
    }
    COMIX_HD static Candidates at(void* memory, const SolverSizes& sizes, std::int64_t problem) {
        double* own = static_cast<double*>(memory) + problem * doubles(sizes);
        return {reinterpret_cast<Pair*>(own + kCandidates), own};
    }
    COMIX_HD Pair* labels_of(const SolverSizes& sizes, int candidate) const {
        return labels + candidate * sizes.cells();
    }

  private:
    // Of one problem; a cell's two labels are as large as one.
    COMIX_HD static std::int64_t doubles(const SolverSizes& sizes) {
        return kCandidates + sizes.cells();
    }
};
static_assert(kCandidates * sizeof(Pair) == sizeof(double), "Candidates::doubles()");

namespace detail {

template <class Team>
COMIX_HD void copy_labels(Team& team, const SolverProblem& problem, const Pair* from, Pair* to) {
    const std::int64_t cells = problem.sizes.cells();
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < cells; k += team.size()) to[k] = from[k];
    });
}

// Makes state.labels the candidate.
template <class Team>
COMIX_HD void keep(Team& team, const SolverProblem& problem, const StateSpace& state,
                   const Candidates& candidates, int candidate, double objective) {
    copy_labels(team, problem, state.labels, candidates.labels_of(problem.sizes, candidate));
    team.phase([&](int thread) {
        if (thread == 0) candidates.objective[candidate] = objective;
    });
}

template <class Team>
COMIX_HD void drop(Team& team, const Candidates& candidates, int candidate) {
    team.phase([&](int thread) {
        if (thread == 0) candidates.objective[candidate] = kNone;
    });
}

}  // namespace detail

}  // namespace comix::cuda::comixup
