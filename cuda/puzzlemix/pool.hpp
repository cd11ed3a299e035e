// Saliency per block, each image scaled to a sum of 1: sums down the pixel columns of every row of
// blocks, means of the blocks, and the scale. Sums are independent items; for small maps the team
// of an image does all of it.
//
// Means do not depend on the team; the sum of all blocks does, in its last digits. Maps of float
// types cannot overflow a double. Maps of doubles are scaled by a power of two first.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/blocks.hpp"
#include "cuda/base/collectives.hpp"
#include "cuda/base/divisor.hpp"

namespace comix::cuda::puzzlemix {

struct Pool {
    std::int64_t batch;
    int height, width, grid_height, grid_width;
    WideDivisor by_width, by_grid_height;
    double* columns;  // [B, gh, W] sums
    double* means;    // [B, gh, gw]
    double* scale;    // [B] powers of two, or nullptr: 1

    Pool(std::int64_t b, std::int64_t h, std::int64_t w, std::int64_t gh, std::int64_t gw,
         bool scaled, void* scratch)
        : batch(b),
          height(static_cast<int>(h)),
          width(static_cast<int>(w)),
          grid_height(static_cast<int>(gh)),
          grid_width(static_cast<int>(gw)),
          by_width(w),
          by_grid_height(gh),
          columns(static_cast<double*>(scratch)),
          means(columns + b * gh * w),
          scale(scaled ? means + b * gh * gw : nullptr) {}

    static std::int64_t bytes(std::int64_t b, std::int64_t w, std::int64_t gh, std::int64_t gw) {
        return 8 * b * (gh * w + gh * gw + 1);
    }
    std::int64_t column_items() const { return batch * columns_per_image(); }
    COMIX_HD std::int64_t columns_per_image() const { return std::int64_t{grid_height} * width; }
    COMIX_HD std::int64_t pixels() const { return std::int64_t{height} * width; }
    COMIX_HD int blocks() const { return grid_height * grid_width; }
};

// Of one team, whichever of the steps it does.
inline SharedBytes pool_shared(int threads) {
    return SharedBytes().add<double>(2 * static_cast<std::size_t>(threads));
}

// The power of two that brings the largest magnitude of the map of image b to about 1.
template <class Team>
COMIX_HD void find_scale(Team& team, const Pool& pool, const double* saliency, std::int64_t b) {
    auto* partial = team.template shared<double>(static_cast<std::size_t>(team.size()));
    const std::int64_t pixels = pool.pixels();
    const double* map = saliency + b * pixels;
    const double peak = reduce_max(team, partial, [&](int thread) {
        double most = 0;
        for (std::int64_t p = thread; p < pixels; p += team.size()) {
            const double magnitude = std::fabs(map[p]);
            if (magnitude > most) most = magnitude;  // NaN and infinity show in the total
        }
        return most;
    });
    team.phase([&](int thread) {
        if (thread > 0) return;
        int exponent = 0;
        if (peak > 0 && peak <= 1.7976931348623157e308) std::frexp(peak, &exponent);
        // 2^-exponent itself must be finite: the very smallest maps come close to 1, not quite.
        pool.scale[b] = std::ldexp(1.0, exponent < -1000 ? 1000 : -exponent);
    });
}

// One pixel column of one row of blocks. Items are independent.
template <class T>
COMIX_HD void sum_column(const Pool& pool, const T* saliency, std::int64_t item) {
    const std::int64_t line = pool.by_width.quotient(item);  // b * gh + r
    const std::int64_t x = item - line * pool.width, b = pool.by_grid_height.quotient(line);
    const std::int64_t r = line - b * pool.grid_height;
    const std::int64_t top = block_start(r, pool.height, pool.grid_height);
    const std::int64_t bottom = block_start(r + 1, pool.height, pool.grid_height);
    const double scale = pool.scale ? pool.scale[b] : 1.0;
    const T* value = saliency + (b * pool.height + top) * pool.width + x;
    double sum = 0;
    for (std::int64_t y = top; y < bottom; ++y, value += pool.width)
        sum += scale * static_cast<double>(*value);
    pool.columns[item] = sum;
}

// The rest, for image b, once its columns are summed: pooled [gh, gw].
template <class Out, class Team>
COMIX_HD void normalise(Team& team, const Pool& pool, std::int64_t b, Out* pooled) {
    auto* partial = team.template shared<double>(static_cast<std::size_t>(team.size()));
    const int blocks = pool.blocks();
    const double* columns = pool.columns + b * pool.columns_per_image();
    double* means = pool.means + b * blocks;
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size()) {
            const int r = p / pool.grid_width, c = p - r * pool.grid_width;
            const std::int64_t top = block_start(r, pool.height, pool.grid_height);
            const std::int64_t bottom = block_start(r + 1, pool.height, pool.grid_height);
            const std::int64_t left = block_start(c, pool.width, pool.grid_width);
            const std::int64_t right = block_start(c + 1, pool.width, pool.grid_width);
            double sum = 0;
            for (std::int64_t x = left; x < right; ++x)
                sum += columns[std::int64_t{r} * pool.width + x];
            means[p] = sum / static_cast<double>((bottom - top) * (right - left));
        }
    });
    const double total = reduce_sum(team, partial, [&](int thread) {
        double sum = 0;
        for (int p = thread; p < blocks; p += team.size()) sum += means[p];
        return sum;
    });
    const bool usable = total > 0 && total <= 1.7976931348623157e308;  // false for NaN
    team.phase([&](int thread) {
        for (int p = thread; p < blocks; p += team.size())
            pooled[p] = static_cast<Out>(usable ? means[p] / total : 1.0 / blocks);
    });
}

// All of it for image b: pooled [gh, gw].
template <class T, class Out, class Team>
COMIX_HD void pool_image(Team& team, const Pool& pool, const T* saliency, std::int64_t b,
                         Out* pooled) {
    if constexpr (std::is_same_v<T, double>) find_scale(team, pool, saliency, b);
    const std::int64_t columns = pool.columns_per_image();
    team.phase([&](int thread) {
        for (std::int64_t k = thread; k < columns; k += team.size())
            sum_column(pool, saliency, b * columns + k);
    });
    normalise(team, pool, b, pooled);
}

}  // namespace comix::cuda::puzzlemix
