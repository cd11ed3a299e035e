// One kernel for every mix plan: each block of each output is one block of one input, or a weighted
// sum of two.
//
//   out[o, :, pixel] = sum_k weight[o, b, k] * images[source[o, b, k], :, pixel of block[o, b, k]]
//
// b is the pixel's block (base/blocks.hpp). Inside a block the pixel at offset (dy, dx) reads the
// same offset of the source block; where that one is a pixel smaller, its last row or column
// repeats. The two weights of a block sum to 1; a block with one weight 0, or twice the same
// source, is taken whole: copied bit for bit. Blends are computed in float (double for double
// images) and rounded to nearest for integers and half types.
// Cost: one read and one write per output pixel (two reads in blends), no intermediates.
#pragma once

#include <cstdint>

#include "base/dtype.hpp"
#include "base/errors.hpp"

namespace comix::mixing {

// Strides in elements. Rows must be dense runs: pixel == 1 (NCHW) or pixel == channels with
// channel == 1 (NHWC, "channels last").
struct Layout {
    std::int64_t channels = 0, height = 0, width = 0;
    std::int64_t image = 0, channel = 0, row = 0, pixel = 0;

    bool channels_last() const { return channel == 1 && pixel == channels; }
};

struct Plan {
    std::int64_t outputs = 0, height = 0, width = 0;  // of the block grid
    const std::int64_t* source = nullptr;             // [B_out, gh, gw, 2]
    const std::int64_t* block = nullptr;              // [B_out, gh, gw, 2]
    const float* weight = nullptr;                    // [B_out, gh, gw, 2]

    // InvalidArgument unless every index is in range.
    void check(std::int64_t inputs) const;
};

// images and out share the layout (but not the number of images).
void mix(const Plan& plan, Dtype dtype, const Layout& layout, const void* images, void* out,
         int threads);

// The transpose of mix, for gradients: images[source] += weight * out. float32 and float64, NCHW.
// `images` must be zeroed. Same result for any number of threads.
void mix_transpose(const Plan& plan, Dtype dtype, const Layout& layout, const void* out,
                   void* images, int threads);

}  // namespace comix::mixing
