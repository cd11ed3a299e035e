#include "mixing/mixing.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/blocks.hpp"
#include "base/half.hpp"
#include "base/threads.hpp"
#include "base/values.hpp"
#include "mixing/runs.hpp"

namespace comix::mixing {

namespace {

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

// Where the blocks of an image lie, looked up instead of divided out for every entry of a plan.
struct Place {
    std::int64_t offset, height, width;  // elements from the start of the image; pixels
};

std::vector<Place> places_of(const Plan& plan, const Layout& layout) {
    std::vector<Place> places;
    places.reserve(static_cast<std::size_t>(plan.height * plan.width));
    for (std::int64_t b = 0; b < plan.height * plan.width; ++b) {
        const Extent extent = extent_of(b, plan, layout);
        places.push_back({offset_in(layout, extent, 0, 0), extent.height, extent.width});
    }
    return places;
}

// The one entry that a block needs, or -1: both.
int only_source(const std::int64_t* source, const std::int64_t* block, const float* weight) {
    if (weight[1] == 0.0F || (source[0] == source[1] && block[0] == block[1])) return 0;
    return weight[0] == 0.0F ? 1 : -1;
}

// A block of an output, or neighbouring ones of a block row whose sources are neighbours too.
template <class T>
struct Segment {
    T* to;
    const T* from[2];  // the two sources; whole blocks use the first only
    Blend<T> blend;
    bool whole;
    std::int64_t height, width;        // pixels
    std::int64_t rows[2], columns[2];  // of the sources
    bool short_of(int k) const { return rows[k] < height || columns[k] < width; }
    // A source is a pixel smaller than the target.
    bool clamped() const { return short_of(0) || (!whole && short_of(1)); }

    // Whether `next` continues this segment to the right. All rows of all planes lie at the same
    // distances from the first one, so the first one tells.
    bool continued_by(const Segment& next, std::int64_t pixel) const {
        if (whole != next.whole || clamped() || next.clamped()) return false;
        const std::int64_t run = width * pixel;
        if (from[0] + run != next.from[0]) return false;
        return whole || (from[1] + run == next.from[1] && blend.first == next.blend.first &&
                         blend.second == next.blend.second);
    }
    void extend(const Segment& next) {
        width += next.width;
        for (int k = 0; k < 2; ++k) columns[k] = width;
    }
};

template <class T>
Segment<T> segment_of(const Plan& plan, const Layout& layout, const std::vector<Place>& places,
                      const T* images, T* output, std::int64_t o, std::int64_t b) {
    const std::int64_t entry = (o * plan.height * plan.width + b) * 2;
    const float* weight = plan.weight + entry;
    const int only = only_source(plan.source + entry, plan.block + entry, weight);
    const Place& target = places[static_cast<std::size_t>(b)];
    Segment<T> segment;
    segment.to = output + target.offset;
    segment.height = target.height;
    segment.width = target.width;
    segment.whole = only >= 0;
    segment.blend = {weight[0], weight[1]};
    const int first = only == 1 ? 1 : 0;
    for (int k = 0; k < 2; ++k) {
        const std::int64_t e = entry + (k ^ first);
        const Place& place = places[static_cast<std::size_t>(plan.block[e])];
        segment.from[k] = images + plan.source[e] * layout.image + place.offset;
        segment.rows[k] = place.height;
        segment.columns[k] = place.width;
    }
    return segment;
}

// Where a source is a pixel smaller, its last row or column repeats.
template <class T>
void mix_clamped(const Layout& layout, const Segment<T>& segment, std::int64_t planes) {
    for (std::int64_t plane = 0; plane < planes; ++plane) {
        for (std::int64_t dy = 0; dy < segment.height; ++dy) {
            T* to = segment.to + plane * layout.channel + dy * layout.row;
            const T* from[2];
            std::int64_t full[2];  // elements that the source has
            for (int k = 0; k < 2; ++k) {
                from[k] = segment.from[k] + plane * layout.channel +
                          std::min(dy, segment.rows[k] - 1) * layout.row;
                full[k] = std::min(segment.width, segment.columns[k]) * layout.pixel;
            }
            const auto clamped = [&](int k, std::int64_t e) {
                return from[k][e < full[k] ? e : e - layout.pixel];
            };
            const std::int64_t run = segment.width * layout.pixel;
            for (std::int64_t e = 0; e < run; ++e)
                to[e] = segment.whole ? clamped(0, e) : segment.blend(clamped(0, e), clamped(1, e));
        }
    }
}

template <class T>
void mix_segment(const Layout& layout, const Segment<T>& segment, std::int64_t planes) {
    if (segment.clamped()) return mix_clamped(layout, segment, planes);
    const Rows rows{planes, segment.height, layout.channel, layout.row};
    const std::int64_t run = segment.width * layout.pixel;
    if (segment.whole) return copy_rows(rows, segment.from[0], segment.to, run);
    blend_rows(rows, segment.from[0], segment.from[1], segment.blend, segment.to, run);
}

// One output of a plan whose blocks all have the same size and are Run elements wide.
template <int Run, class T>
void mix_even(const Plan& plan, const Layout& layout, const std::vector<Place>& places,
              const T* images, T* output, std::int64_t o) {
    const Rows rows{layout.channels_last() ? 1 : layout.channels, layout.height / plan.height,
                    layout.channel, layout.row};
    const std::int64_t blocks = plan.height * plan.width;
    const std::int64_t *source = plan.source + o * blocks * 2, *block = plan.block + o * blocks * 2;
    const float* weight = plan.weight + o * blocks * 2;
    for (std::int64_t b = 0; b < blocks; ++b, source += 2, block += 2, weight += 2) {
        const auto from = [&](int k) {
            return images + source[k] * layout.image +
                   places[static_cast<std::size_t>(block[k])].offset;
        };
        T* to = output + places[static_cast<std::size_t>(b)].offset;
        const int only = only_source(source, block, weight);
        if (only >= 0) {
            copy_exactly<Run>(rows, from(only), to);
        } else {
            blend_exactly<Run>(rows, from(0), from(1), Blend<T>{weight[0], weight[1]}, to);
        }
    }
}

// Any plan.
template <class T>
void mix_any(const Plan& plan, const Layout& layout, const std::vector<Place>& places,
             const T* images, T* output, std::int64_t o) {
    const std::int64_t planes = layout.channels_last() ? 1 : layout.channels;
    for (std::int64_t r = 0; r < plan.height; ++r) {
        const auto segment_at = [&](std::int64_t c) {
            return segment_of(plan, layout, places, images, output, o, r * plan.width + c);
        };
        Segment<T> segment = segment_at(0);
        for (std::int64_t c = 1; c < plan.width; ++c) {
            const Segment<T> next = segment_at(c);
            if (segment.continued_by(next, layout.pixel)) {
                segment.extend(next);
            } else {
                mix_segment(layout, segment, planes);
                segment = next;
            }
        }
        mix_segment(layout, segment, planes);
    }
}

template <class T>
using MixOne = void (*)(const Plan&, const Layout&, const std::vector<Place>&, const T*, T*,
                        std::int64_t);

template <class T>
MixOne<T> kernel_for(const Plan& plan, const Layout& layout) {
    const bool even = layout.height % plan.height == 0 && layout.width % plan.width == 0;
    if (!even) return mix_any<T>;
    switch (layout.width / plan.width * layout.pixel) {
        case 1:
            return mix_even<1, T>;
        case 2:
            return mix_even<2, T>;
        case 4:
            return mix_even<4, T>;
        case 8:
            return mix_even<8, T>;
        case 16:
            return mix_even<16, T>;
        default:
            return mix_any<T>;
    }
}

template <class T>
void mix_typed(const Plan& plan, const Layout& layout, const void* images, void* out, int threads) {
    constexpr std::int64_t bytes_per_chunk = 1 << 17;  // some 20 microseconds of copying
    const std::vector<Place> places = places_of(plan, layout);
    const MixOne<T> mix_one = kernel_for<T>(plan, layout);
    const auto make_worker = [&] {
        return [&](std::int64_t o) {
            mix_one(plan, layout, places, static_cast<const T*>(images),
                    static_cast<T*>(out) + o * layout.image, o);
        };
    };
    const auto bytes =
        static_cast<std::int64_t>(sizeof(T)) * std::max<std::int64_t>(layout.image, 1);
    parallel_for_small(plan.outputs, threads, make_worker, bytes_per_chunk / bytes);
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
    const std::int64_t blocks = height * width, count = outputs * blocks * 2;
    if (all_within(source, count, 0, inputs - 1) && all_within(block, count, 0, blocks - 1)) return;
    const auto require_range = [](const char* name, std::int64_t value, std::int64_t end) {
        if (value < 0 || value >= end)
            throw InvalidArgument(std::string(name) + ": expected values in 0.." +
                                  std::to_string(end - 1) + ", got " + std::to_string(value));
    };
    for (std::int64_t e = 0; e < count; ++e) {
        require_range("source", source[e], inputs);
        require_range("block", block[e], blocks);
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
