// The grid energy of PuzzleMix: which share of each block comes from the sample and which from its
// partner.
//
// Label k of L gives the partner the share t = k / (L-1). With K1 the cost of a block paid with
// weight 1-t (the sample's share) and K2 that paid with t:
//   E = sum_p (1-t_p) K1_p + t_p K2_p + prior[k_p]  +  sum_edges (g + beta) (t_p - t_q)^2
// K1 = partner's saliency, K2 = the sample's (what is not shown is lost), plus half of the local
// contrast of the edges; g is the part of that contrast that depends on both ends.
// Source: Kim, Choo & Song, "Puzzle Mix", ICML 2020, section 4.1, and the re-parametrisation in the
//   authors' code.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "puzzlemix/borders.hpp"

namespace comix::puzzlemix {

struct Terms {
    std::int64_t batch = 0, channels = 0, height = 0, width = 0;  // images
    std::int64_t grid_height = 0, grid_width = 0, labels = 0;
    const double* saliency = nullptr;     // [B, gh, gw], each map sums to 1
    const std::int64_t* index = nullptr;  // [B] partner of each sample
    const double* prior = nullptr;        // [L] per block, already weighted; [B, L] if each_prior
    bool each_prior = false;              // whether every sample has a prior of its own
    const double* deviation = nullptr;    // [C] standard deviation the images were divided by
    double beta = 0, gamma = 0;           // beta already divided for the grid
    std::int64_t neighbour_size = 4;      // pixels per side of the cells compared across a border
    double rounding = 0;                  // edge weights between minus this and 0 become 0

    std::int64_t blocks() const { return grid_height * grid_width; }
    std::int64_t pixels() const { return channels * height * width; }
};

// What the energies of a batch share: the colours along all borders of blocks, image by image.
class BatchBorders {
  public:
    explicit BatchBorders(const Terms& terms);

    const Borders& geometry() const { return geometry_; }
    bool wanted() const { return lines_ != nullptr; }  // not when gamma is 0
    double* of(std::int64_t image) const { return lines_.get() + image * geometry_.size(); }

  private:
    Borders geometry_;
    std::unique_ptr<double[]> lines_;
};

// One thread's way through the images.
template <class T>
class Measurer {
  public:
    Measurer(const Terms& terms, const T* images, const BatchBorders& borders);
    // Measures the borders of image b. False when it holds a NaN or an infinity.
    bool measure(std::int64_t b);

  private:
    const Terms& terms_;
    const T* images_;  // [B, C, H, W]
    const BatchBorders& borders_;
    std::vector<double> scratch_;
};

// One thread's way through the samples, once all images are measured.
class EnergyWriter {
  public:
    EnergyWriter(const Terms& terms, const BatchBorders& borders);
    // The energy of sample b: unary [gh, gw, L], weight_v [gh-1, gw], weight_h [gh, gw-1].
    void write(std::int64_t b, double* unary, double* weight_v, double* weight_h);

  private:
    struct Line;
    template <class Contrast>
    void write_line(const Line& line, const Contrast& contrast, double* weight);

    const Terms& terms_;
    const BatchBorders& borders_;
    std::vector<double> share_;      // [L], the partner's
    std::vector<double> costs_;      // [blocks, 2]: K1, K2
    std::vector<double> contrasts_;  // along one line, for the four ways to show two images there
};

// What a thread takes of either at once: some 20 microseconds.
std::int64_t images_per_chunk(const Terms& terms);
std::int64_t energies_per_chunk(const Terms& terms);

// unary [B, gh, gw, L], weight_v [B, gh-1, gw], weight_h [B, gh, gw-1]. T: float or double. False,
// and no energy, when a pixel is NaN or infinite.
template <class T>
bool energy(const Terms& terms, const T* images, double* unary, double* weight_v, double* weight_h,
            int threads);

extern template class Measurer<float>;
extern template class Measurer<double>;
extern template bool energy(const Terms&, const float*, double*, double*, double*, int);
extern template bool energy(const Terms&, const double*, double*, double*, double*, int);

}  // namespace comix::puzzlemix
