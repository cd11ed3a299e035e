// Where an image's saliency is: the window with the largest sum.
//
// Co-Mixup prefers partners whose salient spots are far apart; a spot is the top left pixel of the
// most salient window, the first in row-major order among equals.
// Cost: (window rows + window columns) additions per pixel, in double.
#pragma once

#include <cstdint>
#include <vector>

namespace comix::comixup {

struct Spot {
    std::int64_t row = 0, column = 0;
};

// Maps of this many pixels that a thread takes at once: some 20 microseconds of window sums.
constexpr std::int64_t spots_per_chunk(std::int64_t pixels) {
    return 16384 / pixels;
}

template <class T>
class SpotFinder {
  public:
    // map [height, width]; the window must fit.
    Spot find(const T* map, std::int64_t height, std::int64_t width, std::int64_t window_height,
              std::int64_t window_width);

  private:
    std::vector<double> columns_, sums_;  // [width] sums down the window, sums of whole windows
};

// A = (1 - omega) I + omega n D / sum(D) of the L1 distances D of n spots (row, column); I where
// all spots are one. matrix [n, n].
void compatibility(const std::int64_t* spots, std::int64_t n, double omega, double* matrix);

}  // namespace comix::comixup
