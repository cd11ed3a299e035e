#include "comixup/spot.hpp"

#include <algorithm>
#include <cstdlib>

namespace comix::comixup {

// Every window is summed afresh in the same order, so equal windows have equal sums.
template <class T>
Spot SpotFinder<T>::find(const T* map, std::int64_t height, std::int64_t width,
                         std::int64_t window_height, std::int64_t window_width) {
    const std::int64_t places = width - window_width + 1;
    columns_.resize(static_cast<std::size_t>(width));
    sums_.resize(static_cast<std::size_t>(places));
    Spot best;
    double most = -1;
    for (std::int64_t r = 0; r + window_height <= height; ++r) {
        std::fill(columns_.begin(), columns_.end(), 0.0);
        for (std::int64_t dy = 0; dy < window_height; ++dy) {
            const T* row = map + (r + dy) * width;
            for (std::int64_t c = 0; c < width; ++c)
                columns_[static_cast<std::size_t>(c)] += static_cast<double>(row[c]);
        }
        std::fill(sums_.begin(), sums_.end(), 0.0);
        for (std::int64_t dx = 0; dx < window_width; ++dx)
            for (std::int64_t c = 0; c < places; ++c)
                sums_[static_cast<std::size_t>(c)] += columns_[static_cast<std::size_t>(c + dx)];
        const auto top = std::max_element(sums_.begin(), sums_.end());
        if (*top > most) {
            most = *top;
            best = {r, top - sums_.begin()};
        }
    }
    return best;
}

void compatibility(const std::int64_t* spots, std::int64_t n, double omega, double* matrix) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
            const std::int64_t distance = std::abs(spots[2 * i] - spots[2 * j]) +
                                          std::abs(spots[2 * i + 1] - spots[2 * j + 1]);
            matrix[i * n + j] = static_cast<double>(distance);
            sum += distance;
        }
    }
    const auto size = static_cast<double>(n), total = static_cast<double>(sum);
    for (std::int64_t e = 0; sum > 0 && e < n * n; ++e)
        matrix[e] = omega * (size * matrix[e] / total);
    for (std::int64_t i = 0; i < n; ++i) matrix[i * n + i] = sum > 0 ? 1 - omega : 1;
}

template class SpotFinder<float>;
template class SpotFinder<double>;

}  // namespace comix::comixup
