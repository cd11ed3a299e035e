// What it costs extra to show an input at a block, so that not all inputs are as welcome.
#pragma once

#include <cmath>
#include <cstdint>

namespace comix::comixup {

// prior [n] = -weight * log(share + 1e-8); the shares are `amounts` [n] >= 0 over their sum. Gamma
// variates over their sum are a Dirichlet variate.
inline void prior(const double* amounts, std::int64_t n, double weight, double* prior) {
    constexpr double least = 1e-8;
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += amounts[i];
    for (std::int64_t i = 0; i < n; ++i) prior[i] = -weight * std::log(amounts[i] / sum + least);
}

}  // namespace comix::comixup
