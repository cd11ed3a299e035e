// Shares, reaches and objectives of a Co-Mixup labelling, as the solver and its descent see them.
//
// Shares are kept as half blocks, in integers: they are exact, and so are those of the CPU. Reaches
// are summed anew from them, terms in ascending order.
#pragma once

#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/base/collectives.hpp"
#include "cuda/comixup/comixup.hpp"
#include "cuda/comixup/label_cut.hpp"

namespace comix::cuda::comixup {

// One partition and how to label it; beta, gamma and tau scaled by the number of blocks.
struct SolverProblem {
    SolverSizes sizes;
    const double* cost;  // [n, gh, gw]
    double beta, gamma, tau;
    Threshold threshold;
    int sweeps;
    bool resolve_duplicates, select_best;

    COMIX_HD CutProblem cut() const { return {sizes, cost, beta}; }
    COMIX_HD double penalty_at(double reach) const {
        if (!(reach > tau)) return 0.0;
        return threshold == Threshold::soft ? reach - tau : reach;
    }
};

namespace detail {

// (A x)_i, terms in ascending order; x(j) in half blocks or blocks as the caller likes.
template <class Value>
COMIX_HD double multiply(const SolverProblem& problem, const StateSpace& state, int i,
                         const Value& x) {
    const int n = problem.sizes.inputs;
    if (!problem.sizes.matrix) return x(i);
    double sum = 0;
    for (int j = 0; j < n; ++j) {
        // Without a branch, so that the next columns are on their way; 0 adds nothing to a sum.
        const double value = x(j), product = state.columns[std::int64_t{j} * n + i] * value;
        sum += value != 0.0 ? product : 0.0;
    }
    return sum;
}

COMIX_HD inline double compatibility(const SolverProblem& problem, const StateSpace& state, int i,
                                     int j) {
    if (!problem.sizes.matrix) return i == j ? 1.0 : 0.0;
    return state.columns[std::int64_t{j} * problem.sizes.inputs + i];
}

// Of the other outputs, in blocks.
COMIX_HD inline double others_share(const SolverProblem& problem, const StateSpace& state, int o,
                                    int j) {
    return 0.5 * (state.total[j] - state.halves[std::int64_t{o} * problem.sizes.inputs + j]);
}

COMIX_HD inline double reach_of(const SolverProblem& problem, const StateSpace& state, int o,
                                int i) {
    return multiply(problem, state, i, [&](int j) { return others_share(problem, state, o, j); });
}

// compatibility [n, n], where there is a matrix.
template <class Team>
COMIX_HD void set_compatibility(Team& team, const SolverProblem& problem,
                                const double* compatibility, const StateSpace& state) {
    if (!problem.sizes.matrix) return;
    const std::int64_t n = problem.sizes.inputs;
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < n * n; k += team.size())
            state.columns[k % n * n + k / n] = compatibility[k];
    });
}

// Counts the shares of all outputs from state.labels.
template <class Team>
COMIX_HD void count_all(Team& team, const SolverProblem& problem, const StateSpace& state) {
    const SolverSizes& sizes = problem.sizes;
    const int n = sizes.inputs, blocks = sizes.blocks();
    const std::int64_t pairs = std::int64_t{sizes.outputs} * n;
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size()) state.halves[k] = 0;
        for (int i = thread; i < n; i += team.size()) state.total[i] = 0;
    });
    team.phase([&](int thread) {
        const std::int64_t cells = std::int64_t{sizes.outputs} * blocks;
        for (std::int64_t k = thread; k < cells; k += team.size()) {
            const Pair pair = state.labels[k];
            for (int half = 0; half < 2; ++half) {
                const int i = half ? second_of(pair) : first_of(pair);
                atomic_add(state.halves + k / blocks * n + i, 1);
                atomic_add(state.total + i, 1);
            }
        }
    });
}

struct Objectives {
    double unary, diversity;           // diversity: of the thresholded objective, without gamma
    std::int64_t smoothness, squares;  // in quarters; of the plain objective's diversity term

    COMIX_HD friend Objectives operator+(const Objectives& a, const Objectives& b) {
        return {a.unary + b.unary, a.diversity + b.diversity, a.smoothness + b.smoothness,
                a.squares + b.squares};
    }
};

// |z_p - z_q|^2 of two blocks, in quarters.
COMIX_HD inline int squared_distance_4(Pair a, Pair b) {
    const int ai = first_of(a), aj = second_of(a), bi = first_of(b), bj = second_of(b);
    return 4 + 2 * (ai == aj) + 2 * (bi == bj) -
           2 * ((ai == bi) + (ai == bj) + (aj == bi) + (aj == bj));
}

// The official penalty of one input: the indicator masks the columns of A instead of the rows.
COMIX_HD inline double official_penalty(const SolverProblem& problem, const StateSpace& state,
                                        int o, int i) {
    return multiply(problem, state, i, [&](int j) {
        return reach_of(problem, state, o, j) > problem.tau ? others_share(problem, state, o, j)
                                                            : 0.0;
    });
}

// Sums over state.labels and state.halves. partial [size()].
template <class Team>
COMIX_HD Objectives add_up(Team& team, const SolverProblem& problem, const StateSpace& state,
                           Objectives* partial) {
    const SolverSizes& sizes = problem.sizes;
    const int n = sizes.inputs, blocks = sizes.blocks(), w = sizes.width;
    const bool official = problem.threshold == Threshold::hard_official;
    const auto part = [&](int thread) {
        Objectives own{0, 0, 0, 0};
        const std::int64_t cells = std::int64_t{sizes.outputs} * blocks;
        for (std::int64_t k = thread; k < cells; k += team.size()) {
            const auto p = static_cast<int>(k % blocks);
            const Pair here = state.labels[k];
            own.unary += 0.5 * (problem.cost[std::int64_t{first_of(here)} * blocks + p] +
                                problem.cost[std::int64_t{second_of(here)} * blocks + p]);
            if (p + w < blocks) own.smoothness += squared_distance_4(here, state.labels[k + w]);
            if ((p + 1) % w != 0) own.smoothness += squared_distance_4(here, state.labels[k + 1]);
        }
        const std::int64_t pairs = std::int64_t{sizes.outputs} * n;
        for (std::int64_t k = thread; k < pairs; k += team.size()) {
            const std::int64_t share = state.halves[k];
            if (share == 0) continue;
            own.squares -= share * share;
            const auto o = static_cast<int>(k / n), i = static_cast<int>(k % n);
            const double pays = official ? official_penalty(problem, state, o, i)
                                         : problem.penalty_at(reach_of(problem, state, o, i));
            own.diversity += 0.5 * static_cast<double>(share) * pays;
        }
        for (int i = thread; i < n; i += team.size())
            own.squares += std::int64_t{state.total[i]} * state.total[i];
        return own;
    };
    return reduce_sum(team, partial, part);
}

COMIX_HD inline double labels_cost(const SolverProblem& problem, const Objectives& sums) {
    return sums.unary + 0.5 * problem.beta * (0.25 * static_cast<double>(sums.smoothness));
}
COMIX_HD inline double plain_objective(const SolverProblem& problem, const Objectives& sums) {
    return labels_cost(problem, sums) + problem.gamma * (0.25 * static_cast<double>(sums.squares));
}
COMIX_HD inline double thresholded_objective(const SolverProblem& problem, const Objectives& sums) {
    return labels_cost(problem, sums) + problem.gamma * sums.diversity;
}

}  // namespace detail

}  // namespace comix::cuda::comixup
