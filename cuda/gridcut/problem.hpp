// Grid labelling problems in device memory, as csrc/gridcut/problem.hpp states them.
#pragma once

#include <cstdint>

#include "base/host_device.hpp"

namespace comix::cuda::gridcut {

enum class Method { expansion, swap, exact, automatic };

// Edge weights: one number for all edges (data == nullptr) or one per edge.
struct EdgeWeights {
    const double* data = nullptr;
    double uniform = 0.0;

    COMIX_HD double operator[](std::int64_t edge) const { return data ? data[edge] : uniform; }
};

struct Problem {
    int height, width, labels;
    const double* unary;     // [H, W, L]
    const double* pairwise;  // [L, L]
    EdgeWeights weight_v;    // [H-1, W]
    EdgeWeights weight_h;    // [H, W-1]

    COMIX_HD int sites() const { return height * width; }
};

// Problems of one size that share the pairwise matrix; at most 2^26 sites.
struct Batch {
    std::int64_t problems = 0;
    int height = 0, width = 0, labels = 0;
    const double* unary = nullptr;     // [P, H, W, L]
    const double* pairwise = nullptr;  // [L, L]
    EdgeWeights weight_v;              // [P, H-1, W]
    EdgeWeights weight_h;              // [P, H, W-1]

    COMIX_HD int sites() const { return height * width; }
    COMIX_HD Problem operator[](std::int64_t i) const {
        const auto part = [i](const EdgeWeights& weights, std::int64_t edges) {
            return EdgeWeights{weights.data ? weights.data + i * edges : nullptr, weights.uniform};
        };
        return {height,
                width,
                labels,
                unary + i * sites() * labels,
                pairwise,
                part(weight_v, std::int64_t{height - 1} * width),
                part(weight_h, std::int64_t{height} * (width - 1))};
    }
};

}  // namespace comix::cuda::gridcut
