#include "cuda/base/launch.cuh"
#include "cuda/mixing/mix.hpp"
#include "cuda/mixing/transpose.hpp"

namespace comix::cuda::mixing {

namespace {

// Blocks that a multiprocessor has to have room for: that leaves 80 and 96 registers, with which
// all reads of a plane are in flight at once and nothing is spilled.
constexpr int kThreads = 128, kMixBlocks = 6, kTransposeBlocks = 5;

// Planes that an item of the mixing kernel has at most: several once there are more threads than
// run at a time anyway.
int planes_together(std::int64_t elements, int width) {
    constexpr std::int64_t kThreadsWanted = std::int64_t{1} << 17, kMost = 4;
    const std::int64_t planes = elements / (width * kMixLines) / kThreadsWanted;
    return static_cast<int>(planes < 1 ? 1 : planes < kMost ? planes : kMost);
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads, kMixBlocks)
    mix_kernel(const Mix<T> mix, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        mix_item<T, V>(mix, item);
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads, kTransposeBlocks)
    transpose_kernel(const Transpose<T> transpose, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        gather_item<T, V>(transpose, item);
}

template <class T, int V>
void launch_mix(const Stream& stream, const Plan& plan, std::int64_t inputs, const Layout& layout,
                const void* images, void* out) {
    const int planes = planes_together(plan.outputs * layout.image, V);
    const Mix<T> mix(plan, inputs, layout, images, out, V, planes);
    const std::int64_t items = mix.chunks.count();
    launch(stream, "mix", mix_kernel<T, V>, blocks_for(items, kThreads), kThreads, 0, mix, items);
}

template <class T>
void mix_typed(const Stream& stream, const Plan& plan, std::int64_t inputs, const Layout& layout,
               const void* images, void* out) {
    if (lines_aligned<T>(layout, out))
        return launch_mix<T, 16 / sizeof(T)>(stream, plan, inputs, layout, images, out);
    launch_mix<T, 1>(stream, plan, inputs, layout, images, out);
}

template <class T, int V>
void launch_transpose(const Stream& stream, const Plan& plan, const Uses& uses, std::int64_t inputs,
                      const Layout& layout, const void* out, void* images) {
    const Transpose<T> transpose(plan, uses, inputs, layout, out, images, V);
    const std::int64_t items = transpose.chunks.count();
    launch(stream, "mix_transpose", transpose_kernel<T, V>, blocks_for(items, kThreads), kThreads,
           0, transpose, items);
}

template <class T>
void transpose_typed(const Stream& stream, const Plan& plan, const Uses& uses, std::int64_t inputs,
                     const Layout& layout, const void* out, void* images) {
    if (lines_aligned<T>(layout, images))
        return launch_transpose<T, 16 / sizeof(T)>(stream, plan, uses, inputs, layout, out, images);
    launch_transpose<T, 1>(stream, plan, uses, inputs, layout, out, images);
}

}  // namespace

void mix(const Stream& stream, const Plan& plan, std::int64_t inputs, Dtype dtype,
         const Layout& layout, const void* images, void* out) {
    switch (dtype) {
        case Dtype::float32:
            return mix_typed<float>(stream, plan, inputs, layout, images, out);
        case Dtype::float64:
            return mix_typed<double>(stream, plan, inputs, layout, images, out);
        case Dtype::float16:
            return mix_typed<Float16>(stream, plan, inputs, layout, images, out);
        case Dtype::bfloat16:
            return mix_typed<BFloat16>(stream, plan, inputs, layout, images, out);
        case Dtype::uint8:
            return mix_typed<std::uint8_t>(stream, plan, inputs, layout, images, out);
    }
}

void mix_transpose(const Stream& stream, const Plan& plan, const Uses& uses, std::int64_t inputs,
                   Dtype dtype, const Layout& layout, const void* out, void* images) {
    switch (dtype) {
        case Dtype::float32:
            return transpose_typed<float>(stream, plan, uses, inputs, layout, out, images);
        case Dtype::float64:
            return transpose_typed<double>(stream, plan, uses, inputs, layout, out, images);
        case Dtype::float16:
            return transpose_typed<Float16>(stream, plan, uses, inputs, layout, out, images);
        case Dtype::bfloat16:
            return transpose_typed<BFloat16>(stream, plan, uses, inputs, layout, out, images);
        case Dtype::uint8:
            throw InvalidArgument("dtype: expected a floating type for gradients");
    }
}

}  // namespace comix::cuda::mixing
