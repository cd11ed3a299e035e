// Launchers of the PuzzleMix kernels. All pointers are device memory unless said otherwise.
#pragma once

#include <cstdint>

#include "base/dtype.hpp"
#include "cuda/base/launch.hpp"

namespace comix::cuda::puzzlemix {

// Block means of saliency maps [B, H, W], each image scaled to a sum of 1: [B, gh, gw], float64 for
// float64 maps, else float32. A map whose mean is zero, negative or not finite becomes uniform.
// Sums are formed in double. scratch: pool_scratch_bytes(...) bytes. Not uint8.
void pool_saliency(const Stream& stream, Dtype dtype, const void* saliency, std::int64_t batch,
                   std::int64_t height, std::int64_t width, std::int64_t grid_height,
                   std::int64_t grid_width, void* scratch, void* pooled);
std::int64_t pool_scratch_bytes(std::int64_t batch, std::int64_t width, std::int64_t grid_height,
                                std::int64_t grid_width);

// Numbers that users give to Python functions, kept out of device memory when they are few.
constexpr int kInlineChannels = 64;

// Terms of the energy, as csrc/puzzlemix/puzzlemix.hpp states them.
struct Terms {
    std::int64_t batch = 0, channels = 0, height = 0, width = 0;  // images
    std::int64_t image = 0, channel = 0, row = 0, pixel = 0;      // their strides in elements
    std::int64_t grid_height = 0, grid_width = 0, labels = 0;
    const double* saliency = nullptr;        // [B, gh, gw], each map sums to 1; or nullptr:
    const float* single_saliency = nullptr;  // the same in single precision
    const std::int64_t* index = nullptr;     // [B] partner of each sample, clamped to 0..B-1
    const double* lam = nullptr;             // [B] expected share of the own image, or nullptr:
    double uniform_lam = 0;                  // of all
    const double* deviation = nullptr;       // [C], or nullptr: the numbers
    double inline_deviation[kInlineChannels] = {};  // in host memory, of at most this many channels
    double beta = 0, gamma = 0;                     // beta already divided for the grid
    double eta = 0;                                 // already divided by the number of blocks
    double slack = 0;  // edge weights in -slack..0 become 0: rounding of the images
    std::int64_t neighbour_size = 4;
};

// The energies of all pairs, and what is the same for all.
struct Result {
    double* unary = nullptr;     // [B, gh, gw, L]
    double* pairwise = nullptr;  // [L, L]
    double* weight_v = nullptr;  // [B, gh-1, gw]
    double* weight_h = nullptr;  // [B, gh, gw-1]
    float* shown = nullptr;      // [L] the weight of the own image under each label
};

// uint8 images count as 0..1. scratch: energy_scratch_bytes(terms) bytes.
void energy(const Stream& stream, const Terms& terms, Dtype dtype, const void* images,
            void* scratch, const Result& result);
std::int64_t energy_scratch_bytes(const Terms& terms);

}  // namespace comix::cuda::puzzlemix
