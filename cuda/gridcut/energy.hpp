// The energy of labellings, in doubles on the caller's numbers: what csrc/gridcut/problem.hpp's
// grid_energy computes, up to the order of the sum (some 1e-16 of the sum of magnitudes per
// factor 10 of sites). Labels out of range count as the nearest one.
#pragma once

#include <cstdint>

#include "cuda/base/collectives.hpp"
#include "cuda/gridcut/problem.hpp"

namespace comix::cuda::gridcut {

inline SharedBytes energy_shared(int threads) {
    return SharedBytes().add<double>(static_cast<std::size_t>(threads));
}

// labels [H, W]; energy: one number.
template <class Team>
COMIX_HD void grid_energy(Team& team, const Problem& problem, const std::int64_t* labels,
                          double* energy) {
    auto* partial = team.template shared<double>(static_cast<std::size_t>(team.size()));
    const int width = problem.width, last = problem.labels - 1;
    const auto label_at = [&](int p) {
        const std::int64_t label = labels[p];
        return label < 0 ? 0 : label < last ? label : std::int64_t{last};
    };
    const double sum = reduce_sum(team, partial, [&](int thread) {
        double part = 0;
        for (int p = thread; p < problem.sites(); p += team.size()) {
            const std::int64_t own = label_at(p);
            const double* row = problem.pairwise + own * problem.labels;
            const int r = p / width, c = p - r * width;
            part += problem.unary[std::int64_t{p} * problem.labels + own];
            if (r + 1 < problem.height) part += problem.weight_v[p] * row[label_at(p + width)];
            if (c + 1 < width) part += problem.weight_h[p - r] * row[label_at(p + 1)];
        }
        return part;
    });
    team.phase([&](int thread) {
        if (thread == 0) *energy = sum;
    });
}

}  // namespace comix::cuda::gridcut
