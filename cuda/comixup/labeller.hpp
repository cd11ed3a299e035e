// The iterative Co-Mixup solver (csrc/comixup/comixup.hpp), a team per partition and start: nothing
// waits for the host between its sweeps.
//
// Sweeps, soft labels, thresholds, duplicate resolution, selection and the early stop are the
// CPU's; the cut inside is expansion, which differs in the order of its moves (label_cut.hpp), so
// labels differ while objectives agree in the mean. Other cuts: exact_cut.hpp, swap_cut.hpp. What
// the sweeps leave is improved by teams of its own (improve.hpp).
// Source: Kim et al., "Co-Mixup", ICLR 2021, sections 3-4 and algorithm 1.
#pragma once

#include <cstdint>

#include "cuda/comixup/candidates.hpp"
#include "cuda/comixup/state.hpp"

namespace comix::cuda::comixup {

inline SharedBytes labeller_shared(int threads, const SpacePlan& plan) {
    return SharedBytes()
        .add<double>(static_cast<std::size_t>(plan.shared_bytes() / 8))
        .add<detail::Objectives>(static_cast<std::size_t>(threads));
}

namespace detail {

constexpr double kConverged = 1e-6;  // relative change of the plain objective

template <class Team>
COMIX_HD void begin_state(Team& team, const SolverProblem& problem, const double* compatibility,
                          const std::int64_t* init, const CutSpace& cut, const StateSpace& state) {
    const SolverSizes& sizes = problem.sizes;
    const std::int64_t n = sizes.inputs, pairs = sizes.outputs * n;
    const std::int64_t cells = sizes.cells();
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < cells; k += team.size()) {
            const std::int64_t input = init[k] < 0 ? 0 : init[k] < n ? init[k] : n - 1;
            state.labels[k] = pair_of(static_cast<int>(input), static_cast<int>(input));
        }
        for (std::int64_t k = thread; k < pairs; k += team.size()) state.avoid[k] = 0;
        for (int i = thread; i < n; i += team.size()) cut.label[i] = pair_of(i, i);
    });
    set_compatibility(team, problem, compatibility, state);
    count_all(team, problem, state);
}

// rho: the gradient of the diversity term at the other outputs' shares, and what the duplicate
// resolution asks to avoid. Lists the soft labels: pairs of the output's two inputs, or of its
// three largest. Returns how many.
template <class Team>
COMIX_HD int prepare_cut(Team& team, const SolverProblem& problem, const CutSpace& cut,
                         const StateSpace& state, int o, bool soft) {
    const int n = problem.sizes.inputs;
    const std::int64_t row = std::int64_t{o} * n;
    const bool official = problem.threshold == Threshold::hard_official;
    const auto final_rho = [&](int i, double penalty) {
        return 2 * problem.gamma * penalty + problem.gamma * state.avoid[row + i];
    };
    if (!official && problem.sizes.matrix)
        team.phase([&](int thread) {
            for (int i = thread; i < n; i += team.size())
                cut.masked[i] = others_share(problem, state, o, i);
        });
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            const double reach =
                official || !problem.sizes.matrix
                    ? reach_of(problem, state, o, i)
                    : multiply(problem, state, i, [&](int j) { return cut.masked[j]; });
            if (official) {
                cut.masked[i] = reach > problem.tau ? others_share(problem, state, o, i) : 0.0;
            } else {
                cut.rho[i] = final_rho(i, problem.penalty_at(reach));
            }
        }
        // Three largest shares, ties to the lowest input, by rank; other threads than above.
        for (int i = team.size() - 1 - thread; soft && i < n; i += team.size()) {
            const std::int32_t share = state.halves[row + i];
            int rank = 0, present = 0;
            for (int k = 0; k < n; ++k) {
                const std::int32_t other = state.halves[row + k];
                present += other > 0;
                rank += other > share || (other == share && k < i);
            }
            if (share > 0 && rank < kMostSoft) cut.tried[rank] = i;
            if (i == 0) cut.counts[kSoftLabels] = present < 2 ? 0 : present == 2 ? 1 : 3;
        }
        if (!soft && thread == 0) cut.counts[kSoftLabels] = 0;
    });
    team.phase([&](int thread) {
        for (int i = thread; official && i < n; i += team.size())
            cut.rho[i] =
                final_rho(i, multiply(problem, state, i, [&](int j) { return cut.masked[j]; }));
        if (thread > 0) return;
        const auto pair = [](int i, int j) { return i < j ? pair_of(i, j) : pair_of(j, i); };
        const int *top = cut.tried, count = cut.counts[kSoftLabels];
        if (count > 0) cut.label[n] = pair(top[0], top[1]);
        if (count < 3) return;
        cut.label[n + 1] = pair(top[0], top[2]);
        cut.label[n + 2] = pair(top[1], top[2]);
        // In ascending order of both inputs.
        const auto before = [](Pair a, Pair b) {
            return first_of(a) < first_of(b) ||
                   (first_of(a) == first_of(b) && second_of(a) < second_of(b));
        };
        for (int a = 0; a < 3; ++a) {
            for (int b = 1; b < 3; ++b) {
                const Pair low = cut.label[n + b - 1], high = cut.label[n + b];
                if (!before(high, low)) continue;
                cut.label[n + b - 1] = high;
                cut.label[n + b] = low;
            }
        }
    });
    return team.uniform(cut.counts[kSoftLabels]);
}

template <class Team, class Cut>
COMIX_HD void relabel(Team& team, const Cut& solve_cut, const SolverProblem& problem,
                      const CutSpace& cut, const StateSpace& state, int o, bool soft) {
    const int n = problem.sizes.inputs, blocks = problem.sizes.blocks();
    const std::int64_t row = std::int64_t{o} * n;
    const int count = prepare_cut(team, problem, cut, state, o, soft);
    solve_cut(team, problem.cut(), cut, count);
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            state.total[i] -= state.halves[row + i];
            state.halves[row + i] = 0;
        }
    });
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            const Pair pair = cut.now[p];
            state.labels[std::int64_t{o} * blocks + p] = pair;
            for (int half = 0; half < 2; ++half) {
                const int i = half ? second_of(pair) : first_of(pair);
                atomic_add(state.halves + row + i, 1);
                atomic_add(state.total + i, 1);
            }
        }
    });
}

// Outputs made of the same two or more inputs are told to avoid one each: of two such outputs the
// first one their first input, the second one their second.
template <class Team>
COMIX_HD void resolve_duplicates(Team& team, const SolverProblem& problem,
                                 const StateSpace& state) {
    const int n = problem.sizes.inputs, m = problem.sizes.outputs;
    team.phase([&](int thread) {
        for (int o = thread; o < m; o += team.size()) {
            const std::int32_t* own = state.halves + std::int64_t{o} * n;
            int first = -1, second = -1;
            for (int i = 0; i < n && second < 0; ++i) {
                if (own[i] == 0) continue;
                (first < 0 ? first : second) = i;
            }
            if (second < 0) continue;
            for (int other = 0; other < m; ++other) {
                if (other == o) continue;
                const std::int32_t* there = state.halves + std::int64_t{other} * n;
                int i = 0;
                while (i < n && (own[i] > 0) == (there[i] > 0)) ++i;
                if (i == n) state.avoid[std::int64_t{o} * n + (o < other ? first : second)] = 1;
            }
        }
    });
}

}  // namespace detail

// init [m, gh, gw] -> candidates. compatibility [n, n] where sizes.matrix. scratch:
// plan.scratch_bytes() bytes. solve_cut(team, problem.cut(), space, soft) leaves the labels of a
// cut in space.now. kInShared: plan.all_shared(), known to the compiler, whose accesses are quicker
// then.
template <bool kInShared, class Team, class Cut>
COMIX_HD void solve_labels_by(Team& team, const Cut& solve_cut, const SolverProblem& problem,
                              const double* compatibility, const std::int64_t* init,
                              const SpacePlan& plan, void* scratch, const Candidates& found) {
    const SolverSizes& sizes = problem.sizes;
    auto* shared = reinterpret_cast<unsigned char*>(
        team.template shared<double>(static_cast<std::size_t>(plan.shared_bytes() / 8)));
    auto* partial = team.template shared<detail::Objectives>(static_cast<std::size_t>(team.size()));
    auto* rest = static_cast<unsigned char*>(scratch);
    const bool cut_shared = kInShared || plan.cut_shared;
    const bool state_shared = kInShared || plan.state_shared;
    const CutSpace cut = CutSpace::at(cut_shared ? shared : rest, sizes, nullptr);
    if (cut_shared == state_shared) (cut_shared ? shared : rest) += plan.cut_bytes;
    const StateSpace state = StateSpace::at(state_shared ? shared : rest, sizes, nullptr);

    detail::begin_state(team, problem, compatibility, init, cut, state);
    for (int candidate = 0; candidate < kCandidates; ++candidate)
        detail::drop(team, found, candidate);
    double best = kNone;
    int best_sweep = -1;
    auto sums = detail::add_up(team, problem, state, partial);
    double previous = detail::plain_objective(problem, sums);
    for (int sweep = 0; sweep < problem.sweeps; ++sweep) {
        for (int o = 0; o < sizes.outputs; ++o)
            detail::relabel(team, solve_cut, problem, cut, state, o, sweep > 0);
        sums = detail::add_up(team, problem, state, partial);
        if (problem.select_best) {
            const double value = detail::thresholded_objective(problem, sums);
            const bool better = value < best;
            if (better || sweep == kSecondSweep)
                detail::keep(team, problem, state, found, sweep == kSecondSweep, value);
            if (better) {
                best = value;
                best_sweep = sweep;
            }
        }
        if (problem.resolve_duplicates && sweep == problem.sweeps - 2)
            detail::resolve_duplicates(team, problem, state);
        const double plain = detail::plain_objective(problem, sums);
        const double change = previous < plain ? plain - previous : previous - plain;
        if (change < detail::kConverged * (plain < 0 ? -plain : plain)) break;
        previous = plain;
    }
    if (best_sweep < 0)
        detail::keep(team, problem, state, found, 0, detail::thresholded_objective(problem, sums));
    if (best_sweep == kSecondSweep) detail::drop(team, found, 0);
}

// Cuts by expansion. kShape: sizes.shape().
template <Shape kShape>
struct ExpansionCut {
    template <class Team>
    COMIX_HD void operator()(Team& team, const CutProblem& problem, const CutSpace& cut,
                             int soft) const {
        cut_labels<kShape>(team, problem, cut, soft);
    }
};

template <Shape kShape, bool kInShared, class Team>
COMIX_HD void solve_labels(Team& team, const SolverProblem& problem, const double* compatibility,
                           const std::int64_t* init, const SpacePlan& plan, void* scratch,
                           const Candidates& found) {
    solve_labels_by<kInShared>(team, ExpansionCut<kShape>{}, problem, compatibility, init, plan,
                               scratch, found);
}

}  // namespace comix::cuda::comixup
