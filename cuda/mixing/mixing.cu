#include <type_traits>

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

// Calls run(Width<V>()) for the V elements that are moved at once.
template <int V>
using Width = std::integral_constant<int, V>;

template <class T, class Run>
void with_width(const Plan& plan, const Layout& layout, const void* from, const void* to,
                const Run& run) {
    const int bytes = bytes_at_once<T>(layout, plan.width, from, to);
    if (bytes == 16) return run(Width<16 / sizeof(T)>());
    if constexpr (sizeof(T) < 8)
        if (bytes == 8) return run(Width<8 / sizeof(T)>());
    if constexpr (sizeof(T) < 4)
        if (bytes == 4) return run(Width<4 / sizeof(T)>());
    run(Width<1>());
}

template <class T>
void mix_typed(const Stream& stream, const Plan& plan, std::int64_t inputs, const Layout& layout,
               const void* images, void* out) {
    with_width<T>(plan, layout, images, out, [&](auto width) {
        launch_mix<T, decltype(width)::value>(stream, plan, inputs, layout, images, out);
    });
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
    with_width<T>(plan, layout, out, images, [&](auto width) {
        launch_transpose<T, decltype(width)::value>(stream, plan, uses, inputs, layout, out,
                                                    images);
    });
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
