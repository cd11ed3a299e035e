#include "puzzlemix/pool.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <type_traits>

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

std::int64_t maps_per_chunk(std::int64_t height, std::int64_t width) {
    constexpr std::int64_t pixels = 1 << 16;
    return pixels / std::max<std::int64_t>(height * width, 1);
}

template <class T>
Pooler<T>::Pooler(std::int64_t height, std::int64_t width, std::int64_t grid_height,
                  std::int64_t grid_width)
    : height_(height),
      width_(width),
      grid_height_(grid_height),
      grid_width_(grid_width),
      columns_(static_cast<std::size_t>(width)),
      means_(static_cast<std::size_t>(grid_height * grid_width)) {}

template <class T>
bool Pooler<T>::pool(const T* map, T* pooled) {
    const double scale = scale_of(map, height_ * width_);
    double lowest = 0, total = 0;
    auto mean = means_.begin();
    for (std::int64_t r = 0; r < grid_height_; ++r) {
        const std::int64_t top = block_start(r, height_, grid_height_);
        const std::int64_t bottom = block_start(r + 1, height_, grid_height_);
        std::fill(columns_.begin(), columns_.end(), 0.0);
        double* const columns = columns_.data();
        T least = 0;
        for (std::int64_t y = top; y < bottom; ++y) {
            const T* row = map + y * width_;
            for (std::int64_t x = 0; x < width_; ++x) {
                columns[x] += static_cast<double>(row[x]) * scale;
                least = row[x] < least ? row[x] : least;
            }
        }
        lowest = std::min(lowest, static_cast<double>(least));
        std::int64_t x = 0;
        for (std::int64_t c = 0; c < grid_width_; ++c) {
            const std::int64_t left = x, end = block_start(c + 1, width_, grid_width_);
            double sum = 0;
            for (; x < end; ++x) sum += columns[x];
            *mean = sum / static_cast<double>((bottom - top) * (end - left));
            total += *mean++;
        }
    }
    const bool usable = std::isfinite(total) && total > 0;
    const double uniform = 1.0 / static_cast<double>(means_.size());
    for (const double block : means_) *pooled++ = static_cast<T>(usable ? block / total : uniform);
    return !(lowest < 0);
}

template <class T>
bool pool(const T* maps, std::int64_t batch, std::int64_t height, std::int64_t width,
          std::int64_t grid_height, std::int64_t grid_width, T* pooled, int threads) {
    std::atomic<bool> negative{false};
    parallel_for_small(
        batch, threads,
        [&] {
            return [&, pooler = Pooler<T>(height, width, grid_height, grid_width)](
                       std::int64_t b) mutable {
                if (!pooler.pool(maps + b * height * width, pooled + b * grid_height * grid_width))
                    negative.store(true, std::memory_order_relaxed);
            };
        },
        maps_per_chunk(height, width));
    return !negative;
}

template class Pooler<float>;
template class Pooler<double>;
template bool pool(const float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                   std::int64_t, float*, int);
template bool pool(const double*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                   std::int64_t, double*, int);

}  // namespace comix::puzzlemix
