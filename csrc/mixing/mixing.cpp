#include "mixing/mixing.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

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

std::int64_t offset_in(const Layout& layout, const Extent& extent, std::int64_t plane,
                       std::int64_t dy) {
    return plane * layout.channel + (extent.top + std::min(dy, extent.height - 1)) * layout.row +
           extent.left * layout.pixel;
}

// Neighbouring target blocks of one block row that come from neighbouring source blocks with the
// same weights: one run of memory per row (and channel, in NCHW).
template <class T>
struct Segment {
    Extent target;
    const T* images[2];  // the two inputs
    Extent sources[2];
    float weight[2];
    int only;  // the one source that is needed, or -1: both

    // Whether `next` continues this segment to the right. Blocks of other sizes than their sources
    // stand alone.
    bool continued_by(const Segment& next) const {
        const auto follows = [&](int k) {
            return images[k] == next.images[k] && sources[k].top == next.sources[k].top &&
                   sources[k].left + sources[k].width == next.sources[k].left &&
                   sources[k].height == next.sources[k].height && fits(k) && next.fits(k);
        };
        if (only != next.only) return false;
        if (only >= 0) return follows(only);
        return weight[0] == next.weight[0] && weight[1] == next.weight[1] && follows(0) &&
               follows(1);
    }
    bool fits(int k) const { return sources[k].width == target.width; }
    void extend(const Segment& next) {
        target.width += next.target.width;
        for (Extent& source : sources) source.width += next.target.width;
    }
};

template <class T>
void mix_run(const Layout& layout, const Segment<T>& segment, std::int64_t plane, std::int64_t dy,
             T* out) {
    const auto from = [&](int k) {
        return segment.images[k] + offset_in(layout, segment.sources[k], plane, dy);
    };
    // Elements of the run, and of the part of it that each source can fill.
    const std::int64_t run = segment.target.width * layout.pixel;
    const auto full = [&](int k) {
        return std::min(segment.target.width, segment.sources[k].width) * layout.pixel;
    };
    // Where a source is one pixel short, its last pixel repeats.
    const auto clamped = [&](int k, std::int64_t e) { return e < full(k) ? e : e - layout.pixel; };
    T* to = out + offset_in(layout, segment.target, plane, dy);
    if (segment.only >= 0) {
        const T* a = from(segment.only);
        std::memcpy(to, a, static_cast<std::size_t>(full(segment.only)) * sizeof(T));
        for (std::int64_t e = full(segment.only); e < run; ++e) to[e] = a[clamped(segment.only, e)];
        return;
    }
    const T *a = from(0), *b = from(1);
    const Accumulator<T> wa = segment.weight[0], wb = segment.weight[1];
    const auto blend = [&](const T& x, const T& y) {
        return store<T>(wa * static_cast<Accumulator<T>>(x) + wb * static_cast<Accumulator<T>>(y));
    };
    const std::int64_t shared = std::min(full(0), full(1));
    for (std::int64_t e = 0; e < shared; ++e) to[e] = blend(a[e], b[e]);
    for (std::int64_t e = shared; e < run; ++e) to[e] = blend(a[clamped(0, e)], b[clamped(1, e)]);
}

// The segments of block row r of output o.
template <class T>
void find_segments(const Plan& plan, const Layout& layout, const T* images, std::int64_t o,
                   std::int64_t r, std::vector<Segment<T>>& segments) {
    segments.clear();
    for (std::int64_t b = r * plan.width; b < (r + 1) * plan.width; ++b) {
        const std::int64_t entry = (o * plan.height * plan.width + b) * 2;
        Segment<T> segment;
        segment.target = extent_of(b, plan, layout);
        for (int k = 0; k < 2; ++k) {
            segment.images[k] = images + plan.source[entry + k] * layout.image;
            segment.sources[k] = extent_of(plan.block[entry + k], plan, layout);
            segment.weight[k] = plan.weight[entry + k];
        }
        const bool same = plan.source[entry] == plan.source[entry + 1] &&
                          plan.block[entry] == plan.block[entry + 1];
        segment.only = same || segment.weight[1] == 0.0F ? 0 : segment.weight[0] == 0.0F ? 1 : -1;
        if (!segments.empty() && segments.back().continued_by(segment)) {
            segments.back().extend(segment);
        } else {
            segments.push_back(segment);
        }
    }
}

template <class T>
void mix_typed(const Plan& plan, const Layout& layout, const void* images, void* out, int threads) {
    constexpr std::int64_t bytes_per_chunk = 1 << 17;  // some 20 microseconds of copying
    const std::int64_t planes = layout.channels_last() ? 1 : layout.channels;
    const auto make_worker = [&] {
        return [&, segments = std::vector<Segment<T>>()](std::int64_t o) mutable {
            T* output = static_cast<T*>(out) + o * layout.image;
            for (std::int64_t r = 0; r < plan.height; ++r) {
                find_segments(plan, layout, static_cast<const T*>(images), o, r, segments);
                const std::int64_t rows = segments.front().target.height;
                for (std::int64_t plane = 0; plane < planes; ++plane)
                    for (std::int64_t dy = 0; dy < rows; ++dy)
                        for (const auto& segment : segments)
                            mix_run(layout, segment, plane, dy, output);
            }
        };
    };
    const auto bytes =
        static_cast<std::int64_t>(sizeof(T)) * std::max<std::int64_t>(layout.image, 1);
    parallel_for(plan.outputs, threads, make_worker, bytes_per_chunk / bytes);
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
