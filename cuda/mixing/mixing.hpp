// The mixing kernel and its transpose on CUDA: what csrc/mixing/mixing.hpp computes, bit for bit
// (NaNs of float16 blends apart: they become the canonical one).
//
// All pointers are device memory. Values cannot be checked without waiting for the device, so
// indices out of range are clamped to the nearest one.
#pragma once

#include <cstdint>

#include "cuda/base/launch.hpp"
#include "mixing/mixing.hpp"

namespace comix::cuda::mixing {

using comix::mixing::Layout;
using comix::mixing::Plan;

// A thread writes up to 16 bytes (as many as blocks consist of; one element, where rows are not
// aligned) of each of four rows, and in large batches of up to four channels.
void mix(const Stream& stream, const Plan& plan, std::int64_t inputs, Dtype dtype,
         const Layout& layout, const void* images, void* out);

// Which entries of the plan take which block of which input: entry order[i] for i in
// starts[k]..starts[k+1]-1 takes block k % blocks of input k / blocks. Entries of one block come in
// ascending order, those of weight 0 in no list.
struct Uses {
    const std::int64_t* order = nullptr;   // [B_out * gh * gw * 2]
    const std::int64_t* starts = nullptr;  // [inputs * gh * gw + 1]
};

// images[source] = sum of weight * out over all uses: each input pixel gathers, nothing is added
// by atomics, so the result is the same every time, and that of the CPU. Half types add up in
// float32 and are rounded once. Every pixel of `images` is written.
void mix_transpose(const Stream& stream, const Plan& plan, const Uses& uses, std::int64_t inputs,
                   Dtype dtype, const Layout& layout, const void* out, void* images);

}  // namespace comix::cuda::mixing
