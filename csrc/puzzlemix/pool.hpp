// Block saliency: the mean of every block of a map, scaled so that the blocks of a map sum to 1.
// Source: Kim, Choo & Song, "Puzzle Mix", ICML 2020, section 4.
#pragma once

#include <cstdint>
#include <vector>

namespace comix::puzzlemix {

// One thread's way through the maps.
template <class T>
class Pooler {
  public:
    Pooler(std::int64_t height, std::int64_t width, std::int64_t grid_height,
           std::int64_t grid_width);
    // map [H, W] -> pooled [gh, gw]; sums are formed in double. A map that is all zero or holds NaN
    // or an infinity becomes uniform. False when there is a value below 0; pooled is then of no
    // use.
    bool pool(const T* map, T* pooled);

  private:
    std::int64_t height_, width_, grid_height_, grid_width_;
    std::vector<double> columns_;  // [W] sums down a row of blocks
    std::vector<double> means_;    // [gh, gw]
};

// Maps that a thread takes at once: some 20 microseconds.
std::int64_t maps_per_chunk(std::int64_t height, std::int64_t width);

// The same for maps [B, H, W] -> pooled [B, gh, gw].
template <class T>
bool pool(const T* maps, std::int64_t batch, std::int64_t height, std::int64_t width,
          std::int64_t grid_height, std::int64_t grid_width, T* pooled, int threads);

extern template class Pooler<float>;
extern template class Pooler<double>;
extern template bool pool(const float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                          std::int64_t, float*, int);
extern template bool pool(const double*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                          std::int64_t, double*, int);

}  // namespace comix::puzzlemix
