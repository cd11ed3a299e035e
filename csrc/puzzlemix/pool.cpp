#include "puzzlemix/pool.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <type_traits>
#include <vector>

#include "base/blocks.hpp"
#include "base/threads.hpp"

namespace comix::puzzlemix {

namespace {

// A power of two that brings the largest value of a map near 1, so that no sum overflows and no
// mean underflows. Doubles have room for every sum of floats as they are.
template <class T>
double scale_of(const T* map, std::int64_t pixels) {
    if constexpr (std::is_same_v<T, double>) {
        double peak = 0;
        for (std::int64_t k = 0; k < pixels; ++k) peak = std::max(peak, map[k]);
        int exponent = 0;
        if (std::isfinite(peak)) std::frexp(peak, &exponent);
        return std::ldexp(1.0, -std::clamp(exponent, -1000, 1000));
    }
    return 1.0;
}

}  // namespace

template <class T>
bool pool(const T* maps, std::int64_t batch, std::int64_t height, std::int64_t width,
          std::int64_t grid_height, std::int64_t grid_width, T* pooled, int threads) {
    constexpr std::int64_t pixels_per_chunk = 1 << 16;  // some 20 microseconds
    const std::int64_t pixels = height * width, blocks = grid_height * grid_width;
    std::atomic<bool> negative{false};
    const auto make_worker = [&] {
        return [&, columns = std::vector<double>(static_cast<std::size_t>(width)),
                means =
                    std::vector<double>(static_cast<std::size_t>(blocks))](std::int64_t b) mutable {
            const T* map = maps + b * pixels;
            const double scale = scale_of(map, pixels);
            double lowest = 0, total = 0;
            auto mean = means.begin();
            for (std::int64_t r = 0; r < grid_height; ++r) {
                const std::int64_t top = block_start(r, height, grid_height);
                const std::int64_t bottom = block_start(r + 1, height, grid_height);
                std::fill(columns.begin(), columns.end(), 0.0);
                T least = 0;
                for (std::int64_t y = top; y < bottom; ++y) {
                    const T* row = map + y * width;
                    for (std::int64_t x = 0; x < width; ++x) {
                        columns[static_cast<std::size_t>(x)] += static_cast<double>(row[x]) * scale;
                        least = row[x] < least ? row[x] : least;
                    }
                }
                lowest = std::min(lowest, static_cast<double>(least));
                std::int64_t x = 0;
                for (std::int64_t c = 0; c < grid_width; ++c) {
                    const std::int64_t left = x, end = block_start(c + 1, width, grid_width);
                    double sum = 0;
                    for (; x < end; ++x) sum += columns[static_cast<std::size_t>(x)];
                    *mean = sum / static_cast<double>((bottom - top) * (end - left));
                    total += *mean++;
                }
            }
            if (lowest < 0) negative.store(true, std::memory_order_relaxed);
            const bool usable = std::isfinite(total) && total > 0;
            for (std::int64_t p = 0; p < blocks; ++p)
                pooled[b * blocks + p] =
                    static_cast<T>(usable ? means[static_cast<std::size_t>(p)] / total
                                          : 1.0 / static_cast<double>(blocks));
        };
    };
    parallel_for_small(batch, threads, make_worker,
                       pixels_per_chunk / std::max<std::int64_t>(pixels, 1));
    return !negative;
}

template bool pool(const float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                   std::int64_t, float*, int);
template bool pool(const double*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                   std::int64_t, double*, int);

}  // namespace comix::puzzlemix
