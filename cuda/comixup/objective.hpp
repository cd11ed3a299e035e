// The thresholded Co-Mixup objective of a labelling (csrc/comixup/comixup.hpp). Shares and reaches
// are those of the CPU bit for bit (shares are halves of integers, reaches sums in the same order),
// so both sides see the same thresholds crossed; the final sums differ in order only.
//
// Source: Kim et al., "Co-Mixup", ICLR 2021, section 3. Inputs out of range count as the nearest.
#pragma once

#include <cstdint>

#include "cuda/base/atomics.hpp"
#include "cuda/base/collectives.hpp"
#include "cuda/comixup/comixup.hpp"

namespace comix::cuda::comixup {

// One partition.
struct Labelling {
    int inputs, outputs, height, width;
    const double* cost;           // [n, gh, gw]
    const double* compatibility;  // [n, n] or nullptr: the identity
    const std::int64_t* labels;   // [m, gh, gw, 2]

    COMIX_HD int blocks() const { return height * width; }
    COMIX_HD std::int64_t input(std::int64_t entry) const {
        const std::int64_t i = labels[entry];
        return i < 0 ? 0 : i < inputs ? i : std::int64_t{inputs - 1};
    }
};

// Memory of one partition that all threads of its team see.
struct ObjectiveScratch {
    double* total;         // [n]
    std::int32_t* halves;  // [m, n] half blocks of each input in each output
    double* reached;       // [m, n] pi where A pi is over the threshold, for hard_official

    // Bytes per partition, a multiple of 8.
    static std::int64_t bytes(std::int64_t inputs, std::int64_t outputs) {
        return 8 * (inputs + (inputs * outputs + 1) / 2 + inputs * outputs);
    }
    COMIX_HD static ObjectiveScratch at(void* memory, std::int64_t inputs, std::int64_t outputs) {
        auto* const total = static_cast<double*>(memory);
        double* const reached = total + inputs;
        return {total, reinterpret_cast<std::int32_t*>(reached + inputs * outputs), reached};
    }
};

inline SharedBytes objective_shared(int threads) {
    return SharedBytes().add<double>(static_cast<std::size_t>(threads));
}

namespace detail {

// |z_p - z_q|^2 of two blocks, each half a0, half a1; in quarters.
COMIX_HD inline int squared_distance_4(std::int64_t a0, std::int64_t a1, std::int64_t b0,
                                       std::int64_t b1) {
    const int own = 2 + 2 * (a0 == a1) + 2 + 2 * (b0 == b1);
    return own - 2 * ((a0 == b0) + (a0 == b1) + (a1 == b0) + (a1 == b1));
}

}  // namespace detail

template <class Team>
COMIX_HD void objective(Team& team, const Labelling& part, const ObjectiveSettings& settings,
                        const ObjectiveScratch& scratch, double* result) {
    const int n = part.inputs, w = part.width, blocks = part.blocks();
    const std::int64_t cells = std::int64_t{part.outputs} * blocks;
    const std::int64_t pairs = std::int64_t{part.outputs} * n;
    const double gamma = settings.gamma / blocks, tau = settings.tau * blocks;
    auto* partial = team.template shared<double>(static_cast<std::size_t>(team.size()));

    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < pairs; k += team.size()) scratch.halves[k] = 0;
    });
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < cells; k += team.size())
            for (int half = 0; half < 2; ++half)
                atomic_add(scratch.halves + k / blocks * n + part.input(2 * k + half), 1);
    });
    team.phase([&](int thread) {
        for (int i = thread; i < n; i += team.size()) {
            std::int64_t sum = 0;
            for (int o = 0; o < part.outputs; ++o) sum += scratch.halves[std::int64_t{o} * n + i];
            scratch.total[i] = 0.5 * static_cast<double>(sum);
        }
    });

    const auto share = [&](std::int64_t pair) { return 0.5 * scratch.halves[pair]; };
    // (A x)_i, terms in ascending order; x(j) without a matrix to read.
    const auto multiply = [&](int i, const auto& x) {
        if (!part.compatibility) return x(i);
        double sum = 0;
        for (int j = 0; j < n; ++j) {
            const double value = x(j);
            if (value != 0.0) sum += part.compatibility[std::int64_t{i} * n + j] * value;
        }
        return sum;
    };
    const auto reach_of = [&](std::int64_t pair) {
        const std::int64_t first = pair / n * n;
        return multiply(static_cast<int>(pair - first),
                        [&](int j) { return scratch.total[j] - share(first + j); });
    };
    const bool official = settings.threshold == Threshold::hard_official;
    if (official) {
        // The indicator masks the columns of A instead of the result's rows.
        team.phase([&](int thread) {
            for (std::int64_t k = thread; k < pairs; k += team.size())
                scratch.reached[k] = reach_of(k) > tau ? scratch.total[k % n] - share(k) : 0.0;
        });
    }
    const auto penalty = [&](std::int64_t pair) {
        if (official) {
            const std::int64_t first = pair / n * n;
            return multiply(static_cast<int>(pair - first),
                            [&](int j) { return scratch.reached[first + j]; });
        }
        const double reach = reach_of(pair);
        if (!(reach > tau)) return 0.0;
        return settings.threshold == Threshold::soft ? reach - tau : reach;
    };

    const double diversity = reduce_sum(team, partial, [&](int thread) {
        double sum = 0;
        for (std::int64_t k = thread; k < pairs; k += team.size())
            if (scratch.halves[k] != 0) sum += share(k) * penalty(k);
        return sum;
    });
    // Whole numbers of quarters add up without rounding.
    const double smoothness = reduce_sum(team, partial, [&](int thread) {
        double sum = 0;
        for (std::int64_t k = thread; k < cells; k += team.size()) {
            const auto p = static_cast<int>(k % blocks);
            const std::int64_t a0 = part.input(2 * k), a1 = part.input(2 * k + 1);
            const auto to = [&](std::int64_t q) {
                return detail::squared_distance_4(a0, a1, part.input(2 * q), part.input(2 * q + 1));
            };
            if (p + w < blocks) sum += to(k + w);
            if ((p + 1) % w != 0) sum += to(k + 1);
        }
        return sum;
    });
    const double unary = reduce_sum(team, partial, [&](int thread) {
        double sum = 0;
        for (std::int64_t k = thread; k < cells; k += team.size()) {
            const std::int64_t p = k % blocks;
            sum += 0.5 * (part.cost[part.input(2 * k) * blocks + p] +
                          part.cost[part.input(2 * k + 1) * blocks + p]);
        }
        return sum;
    });
    team.phase([&](int thread) {
        if (thread == 0)
            *result =
                unary + 0.5 * (settings.beta / blocks) * (0.25 * smoothness) + gamma * diversity;
    });
}

}  // namespace comix::cuda::comixup
