#include "mixing/mixing.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/blocks.hpp"
#include "base/half.hpp"
#include "base/threads.hpp"

namespace comix::mixing {

namespace {

template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
T store(Accumulator<T> value) {
    if constexpr (std::is_same_v<T, std::uint8_t>) {
        return static_cast<T>(std::clamp(value + 0.5F, 0.0F, 255.0F));
    } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        return T::from(value);
    } else {
        return value;
    }
}

// The pixels of a block.
struct Extent {
    std::int64_t top, left, height, width;
};

Extent extent_of(std::int64_t block, const Plan& plan, const Layout& layout) {
    const std::int64_t r = block / plan.width, c = block % plan.width;
    const std::int64_t top = block_start(r, layout.height, plan.height);
    const std::int64_t left = block_start(c, layout.width, plan.width);
    return {top, left, block_start(r + 1, layout.height, plan.height) - top,
            block_start(c + 1, layout.width, plan.width) - left};
}

// Visits the runs of memory of a target block: visit(target offset, row dy, channel or 0, run). In
// NCHW a run is one row of one channel, in NHWC one row of all channels.
template <class Visit>
void for_each_run(const Layout& layout, const Extent& target, const Visit& visit) {
    const std::int64_t planes = layout.channels_last() ? 1 : layout.channels;
    for (std::int64_t plane = 0; plane < planes; ++plane)
        for (std::int64_t dy = 0; dy < target.height; ++dy) visit(plane, dy);
}

std::int64_t offset_in(const Layout& layout, const Extent& extent, std::int64_t plane,
                       std::int64_t dy) {
    return plane * layout.channel + (extent.top + std::min(dy, extent.height - 1)) * layout.row +
           extent.left * layout.pixel;
}

template <class T>
void mix_block(const Layout& layout, const Extent& target, const T* const images[2],
               const Extent sources[2], const float weight[2], T* out) {
    const bool same = images[0] == images[1] && sources[0].top == sources[1].top &&
                      sources[0].left == sources[1].left;
    const int only = same || weight[1] == 0.0F ? 0 : weight[0] == 0.0F ? 1 : -1;
    // Elements of a run, and of the part of it that each source can fill.
    const std::int64_t run = target.width * layout.pixel;
    const std::int64_t full[2] = {std::min(target.width, sources[0].width) * layout.pixel,
                                  std::min(target.width, sources[1].width) * layout.pixel};
    // Where a source is one pixel short, its last pixel repeats.
    const auto clamped = [&](int k, std::int64_t e) { return e < full[k] ? e : e - layout.pixel; };

    for_each_run(layout, target, [&](std::int64_t plane, std::int64_t dy) {
        T* to = out + offset_in(layout, target, plane, dy);
        if (only >= 0) {
            const T* from = images[only] + offset_in(layout, sources[only], plane, dy);
            std::memcpy(to, from, static_cast<std::size_t>(full[only]) * sizeof(T));
            for (std::int64_t e = full[only]; e < run; ++e) to[e] = from[clamped(only, e)];
            return;
        }
        const T* a = images[0] + offset_in(layout, sources[0], plane, dy);
        const T* b = images[1] + offset_in(layout, sources[1], plane, dy);
        const Accumulator<T> wa = weight[0], wb = weight[1];
        const std::int64_t shared = std::min(full[0], full[1]);
        const auto blend = [&](const T& x, const T& y) {
            return store<T>(wa * static_cast<Accumulator<T>>(x) +
                            wb * static_cast<Accumulator<T>>(y));
        };
        for (std::int64_t e = 0; e < shared; ++e) to[e] = blend(a[e], b[e]);
        for (std::int64_t e = shared; e < run; ++e)
            to[e] = blend(a[clamped(0, e)], b[clamped(1, e)]);
    });
}

template <class T>
void mix_typed(const Plan& plan, const Layout& layout, const void* images, void* out, int threads) {
    const std::int64_t blocks = plan.height * plan.width;
    parallel_for(plan.outputs, threads, [&] {
        return [&](std::int64_t o) {
            for (std::int64_t b = 0; b < blocks; ++b) {
                const std::int64_t entry = (o * blocks + b) * 2;
                const T* inputs[2];
                Extent sources[2];
                for (int k = 0; k < 2; ++k) {
                    inputs[k] =
                        static_cast<const T*>(images) + plan.source[entry + k] * layout.image;
                    sources[k] = extent_of(plan.block[entry + k], plan, layout);
                }
                mix_block<T>(layout, extent_of(b, plan, layout), inputs, sources,
                             plan.weight + entry, static_cast<T*>(out) + o * layout.image);
            }
        };
    });
}

// Channels are independent, so threads over channels never meet.
template <class T>
void transpose_typed(const Plan& plan, const Layout& layout, const void* out, void* images,
                     int threads) {
    const std::int64_t blocks = plan.height * plan.width;
    parallel_for(layout.channels, threads, [&] {
        return [&](std::int64_t channel) {
            for (std::int64_t entry = 0; entry < plan.outputs * blocks * 2; ++entry) {
                const T weight = plan.weight[entry];
                if (weight == T{0}) continue;
                const std::int64_t o = entry / (2 * blocks), b = entry / 2 % blocks;
                const Extent target = extent_of(b, plan, layout);
                const Extent source = extent_of(plan.block[entry], plan, layout);
                for (std::int64_t dy = 0; dy < target.height; ++dy) {
                    const T* from = static_cast<const T*>(out) + o * layout.image +
                                    offset_in(layout, target, channel, dy);
                    T* to = static_cast<T*>(images) + plan.source[entry] * layout.image +
                            offset_in(layout, source, channel, dy);
                    for (std::int64_t dx = 0; dx < target.width; ++dx)
                        to[std::min(dx, source.width - 1)] += weight * from[dx];
                }
            }
        };
    });
}

}  // namespace

void Plan::check(std::int64_t inputs) const {
    const std::int64_t blocks = height * width;
    for (std::int64_t e = 0; e < outputs * blocks * 2; ++e) {
        if (source[e] < 0 || source[e] >= inputs)
            throw InvalidArgument("source: expected values in 0.." + std::to_string(inputs - 1) +
                                  ", got " + std::to_string(source[e]));
        if (block[e] < 0 || block[e] >= blocks)
            throw InvalidArgument("block: expected values in 0.." + std::to_string(blocks - 1) +
                                  ", got " + std::to_string(block[e]));
    }
}

void mix(const Plan& plan, Dtype dtype, const Layout& layout, const void* images, void* out,
         int threads) {
    switch (dtype) {
        case Dtype::float32:
            return mix_typed<float>(plan, layout, images, out, threads);
        case Dtype::float64:
            return mix_typed<double>(plan, layout, images, out, threads);
        case Dtype::float16:
            return mix_typed<Float16>(plan, layout, images, out, threads);
        case Dtype::bfloat16:
            return mix_typed<BFloat16>(plan, layout, images, out, threads);
        case Dtype::uint8:
            return mix_typed<std::uint8_t>(plan, layout, images, out, threads);
    }
}

void mix_transpose(const Plan& plan, Dtype dtype, const Layout& layout, const void* out,
                   void* images, int threads) {
    require(dtype == Dtype::float32 || dtype == Dtype::float64,
            "dtype: expected float32 or float64 for gradients");
    if (dtype == Dtype::float32) return transpose_typed<float>(plan, layout, out, images, threads);
    transpose_typed<double>(plan, layout, out, images, threads);
}

}  // namespace comix::mixing
