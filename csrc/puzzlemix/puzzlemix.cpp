#include "puzzlemix/puzzlemix.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "base/threads.hpp"
#include "base/values.hpp"
#include "puzzlemix/borders.hpp"

namespace comix::puzzlemix {

namespace {

// Folds one edge into the costs of its two blocks and returns what stays on the edge. h[a][b] is
// the contrast when the first block shows image a and the second image b (1 the sample, 0 its
// partner).
double fold_edge(const double (&h)[2][2], double* first, double* second) {
    first[0] += (h[1][0] + h[1][1]) / 2;
    first[1] += (h[0][1] + h[0][0]) / 2;
    second[0] += (h[0][1] + h[1][1]) / 2;
    second[1] += (h[1][0] + h[0][0]) / 2;
    return (h[1][0] + h[0][1] - h[1][1] - h[0][0]) / 2;
}

}  // namespace

template <class T>
bool energy(const Terms& terms, const T* images, double* unary, double* weight_v, double* weight_h,
            int threads) {
    constexpr std::int64_t values_per_chunk = 1 << 15;  // some 20 microseconds
    const std::int64_t gh = terms.grid_height, gw = terms.grid_width, blocks = gh * gw;
    const std::int64_t pixels = terms.channels * terms.height * terms.width;
    const Borders borders(Axis(terms.height, gh, terms.neighbour_size),
                          Axis(terms.width, gw, terms.neighbour_size), terms.channels);
    // Every value is written before it is read: no zeroing.
    const std::unique_ptr<double[]> lines(
        terms.gamma == 0.0 ? nullptr
                           : new double[static_cast<std::size_t>(terms.batch * borders.size())]);
    std::atomic<bool> finite{true};
    parallel_for_small(
        terms.batch, threads,
        [&] {
            return
                [&, work = std::vector<double>(static_cast<std::size_t>(borders.scratch_size()))](
                    std::int64_t b) mutable {
                    const T* image = images + b * pixels;
                    if (!all_finite(image, pixels)) finite.store(false, std::memory_order_relaxed);
                    if (lines)
                        borders.measure(image, terms.deviation, lines.get() + b * borders.size(),
                                        work.data());
                };
        },
        values_per_chunk / pixels);
    if (!finite) return false;

    std::vector<double> share;  // [L], the partner's
    for (std::int64_t k = 0; k < terms.labels; ++k)
        share.push_back(static_cast<double>(k) / static_cast<double>(terms.labels - 1));
    const double scale = terms.beta * terms.gamma;
    parallel_for_small(
        terms.batch, threads,
        [&] {
            std::vector<double> costs(static_cast<std::size_t>(blocks) *
                                      2);  // K1, K2 of each block
            // Contrasts along one border, for the four ways to show the two images on its sides.
            std::vector<double> contrasts(static_cast<std::size_t>(std::max(gh, gw)) * 4);
            return [&, costs, contrasts](std::int64_t b) mutable {
                const std::int64_t partner = terms.index[b];
                for (std::int64_t p = 0; p < blocks; ++p) {
                    costs[static_cast<std::size_t>(2 * p)] = terms.saliency[partner * blocks + p];
                    costs[static_cast<std::size_t>(2 * p + 1)] = terms.saliency[b * blocks + p];
                }
                const double* of[2] = {};
                if (lines) {
                    of[0] = lines.get() + partner * borders.size();
                    of[1] = lines.get() + b * borders.size();
                }
                // All edges between two neighbouring rows (columns) of blocks: `count` of them,
                // the i-th from block first + i * step to the block `across` further.
                const auto edges = [&](std::int64_t count, std::int64_t first, std::int64_t step,
                                       std::int64_t across, const auto& measure, double* weight,
                                       std::int64_t weight_step) {
                    if (lines) {
                        for (int x = 0; x < 2; ++x)
                            for (int y = 0; y < 2; ++y)
                                measure(of[x], of[y],
                                        &contrasts[static_cast<std::size_t>((2 * x + y) * count)]);
                    }
                    for (std::int64_t i = 0; i < count; ++i) {
                        double h[2][2] = {};
                        if (lines) {
                            for (int x = 0; x < 2; ++x)
                                for (int y = 0; y < 2; ++y)
                                    h[x][y] = scale * contrasts[static_cast<std::size_t>(
                                                          (2 * x + y) * count + i)];
                        }
                        double* cost = &costs[static_cast<std::size_t>(2 * (first + i * step))];
                        const double w = terms.beta + fold_edge(h, cost, cost + 2 * across);
                        // Zero up to rounding (gamma 1, blocks opposite in both images) must not
                        // look like a negative weight: a hard problem instead of a minimum cut.
                        const bool zero =
                            std::abs(w) < 1e-12 * terms.beta || (w < 0 && w > -terms.rounding);
                        weight[i * weight_step] = zero ? 0.0 : w;
                    }
                };
                for (std::int64_t r = 0; r + 1 < gh; ++r)
                    edges(
                        gw, r * gw, 1, gw,
                        [&](const double* above, const double* other, double* out) {
                            borders.below(r, above, other, out);
                        },
                        weight_v + (b * (gh - 1) + r) * gw, 1);
                for (std::int64_t c = 0; c + 1 < gw; ++c)
                    edges(
                        gh, c, gw, 1,
                        [&](const double* left, const double* other, double* out) {
                            borders.right_of(c, left, other, out);
                        },
                        weight_h + b * gh * (gw - 1) + c, gw - 1);

                const std::int64_t labels = terms.labels;
                const double* prior = terms.prior + b * labels;
                double* u = unary + b * blocks * labels;
                for (std::int64_t p = 0; p < blocks; ++p) {
                    const double k1 = costs[static_cast<std::size_t>(2 * p)];
                    const double k2 = costs[static_cast<std::size_t>(2 * p + 1)];
                    for (std::int64_t k = 0; k < labels; ++k) {
                        const double t = share[static_cast<std::size_t>(k)];
                        *u++ = (1 - t) * k1 + t * k2 + prior[k];
                    }
                }
            };
        },
        values_per_chunk / std::max<std::int64_t>(blocks * (8 * terms.channels + 16), 1));
    return true;
}

template bool energy(const Terms&, const float*, double*, double*, double*, int);
template bool energy(const Terms&, const double*, double*, double*, double*, int);

}  // namespace comix::puzzlemix
