// The logic of the mixing kernel: one item of an output.
//
// All pixels of an item that lie in one block column take the same entry of the plan, so what that
// entry means is worked out once for all lines and planes of it. Then they are read and written
// line by line: up to 16 bytes of each line at a time, as blocks and memory allow, and all lines of
// a plane before the first one is written.
#pragma once

#include "cuda/mixing/geometry.hpp"

namespace comix::cuda::mixing {

// Lines of an item: as many as are read before one is written.
constexpr int kMixLines = 4;

template <class T>
struct Mix {
    Axis rows, columns;
    Chunks chunks;
    Plan plan;
    std::int64_t inputs;
    const T* images;
    T* out;

    // Items are at most `elements` wide and have at most `planes` planes.
    Mix(const Plan& entries, std::int64_t n, const Layout& layout, const void* from, void* to,
        int elements, int planes)
        : rows(layout.height, entries.height),
          columns(layout.width, entries.width),
          chunks(layout, rows, entries.outputs, elements, kMixLines, planes),
          plan(entries),
          inputs(n),
          images(static_cast<const T*>(from)),
          out(static_cast<T*>(to)) {}
};

namespace detail {

// The block that one entry of the plan reads, for the lines of an item.
struct Source {
    std::int64_t begin;  // in mix.images: element 0 of the block, in the first of the lines
    int below;           // lines of the block after that one
    int full;            // elements of a line of the block
};

// The sources of a target block; the second one only counts in a blend.
struct Sources {
    Source first, second;
    float first_weight, second_weight;
    bool blended;
};

template <class T>
COMIX_HD Source source_of(const Mix<T>& mix, const Chunk& chunk, std::int64_t image, int block) {
    const int size = mix.chunks.pixel.value(), r = mix.columns.row_of(block);
    const Range row = mix.rows.range(r);
    const Range column = mix.columns.range(block - r * mix.columns.blocks());
    const int dy = smaller(chunk.dy, row.length - 1);
    return {chunk.offset(mix.chunks, image, row.start + dy) + column.start * size,
            row.length - 1 - dy, column.length * size};
}

template <class T>
COMIX_HD Sources sources_of(const Mix<T>& mix, const Chunk& chunk, int column) {
    const int blocks = mix.rows.blocks() * mix.columns.blocks();
    const int place = chunk.block_row * mix.columns.blocks() + column;
    const std::int64_t entry = 2 * (chunk.image * blocks + place);
    const std::int64_t image = clamped(mix.plan.source[entry], mix.inputs);
    const std::int64_t other = clamped(mix.plan.source[entry + 1], mix.inputs);
    const auto block = static_cast<int>(clamped(mix.plan.block[entry], blocks));
    const auto other_block = static_cast<int>(clamped(mix.plan.block[entry + 1], blocks));
    const float weight = mix.plan.weight[entry], other_weight = mix.plan.weight[entry + 1];

    Sources sources;
    const bool first_only = (image == other && block == other_block) || other_weight == 0.0F;
    const bool second_only = !first_only && weight == 0.0F;
    sources.blended = !first_only && !second_only;
    sources.first_weight = weight;
    sources.second_weight = other_weight;
    sources.first =
        source_of(mix, chunk, second_only ? other : image, second_only ? other_block : block);
    sources.second = sources.blended ? source_of(mix, chunk, other, other_block) : sources.first;
    return sources;
}

template <class T>
COMIX_HD T blend(const Sources& sources, const T& a, const T& b) {
    const Accumulator<T> wa = sources.first_weight, wb = sources.second_weight;
    return store<T>(wa * static_cast<Accumulator<T>>(a) + wb * static_cast<Accumulator<T>>(b));
}

// V elements of all lines and planes of an item: from `a` (and `b`, in a blend) on in the first of
// the lines, to `to`. All are aligned.
template <class T, int V>
COMIX_HD void mix_lines(const Mix<T>& mix, const Chunk& chunk, const Sources& sources, const T* a,
                        const T* b, T* to) {
    // Lines that the item does not have are read like its last one, and not written.
    const int last = chunk.lines - 1;
    const auto row = static_cast<unsigned>(mix.chunks.row);  // times 3 fits 32 bits
    unsigned from_a[kMixLines] = {}, from_b[kMixLines] = {};
    for (int k = 1; k < kMixLines; ++k) {
        from_a[k] = row * static_cast<unsigned>(smaller(k, smaller(last, sources.first.below)));
        from_b[k] = row * static_cast<unsigned>(smaller(k, smaller(last, sources.second.below)));
    }
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int plane = 0; plane < chunk.planes; ++plane) {
        Vector<T, V> values[kMixLines];
        for (int k = 0; k < kMixLines; ++k) values[k] = load<T, V>(a + from_a[k]);
        if (sources.blended) {
            Vector<T, V> others[kMixLines];
            for (int k = 0; k < kMixLines; ++k) others[k] = load<T, V>(b + from_b[k]);
            for (int k = 0; k < kMixLines; ++k)
                for (int e = 0; e < V; ++e)
                    values[k].element[e] =
                        blend(sources, values[k].element[e], others[k].element[e]);
        }
        for (int k = 0; k < kMixLines; ++k)
            if (k <= last) put(values[k], to + row * static_cast<unsigned>(k));
        a += mix.chunks.channel;
        b += mix.chunks.channel;
        to += mix.chunks.channel;
    }
}

// Elements begin..begin+most-1 of the lines of an item, as far as they lie in the block column of
// the first of them. Returns how many those were.
template <class T, int V>
COMIX_HD int mix_in_block(const Mix<T>& mix, const Chunk& chunk, int begin, int most) {
    const int size = mix.chunks.pixel.value();
    const int column = mix.columns.block_of(mix.chunks.pixel.quotient(begin));
    const Range target = mix.columns.range(column);
    const int offset = begin - target.start * size;
    const int count = smaller(most, target.length * size - offset);
    const Sources sources = sources_of(mix, chunk, column);
    const T* const a = mix.images + (sources.first.begin + offset);
    const T* const b = mix.images + (sources.second.begin + offset);
    T* const to = mix.out + chunk.offset(mix.chunks, chunk.image, chunk.y) + begin;
    if constexpr (V > 1) {
        // Lines and planes lie multiples of a vector apart, so the first one tells.
        if (count == V && offset + V <= smaller(sources.first.full, sources.second.full) &&
            aligned<T, V>(a) && aligned<T, V>(b)) {
            mix_lines<T, V>(mix, chunk, sources, a, b, to);
            return V;
        }
    }
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int e = 0; e < count; ++e) {
        // Where a source is a pixel narrower, its last one repeats.
        const int repeat_a = offset + e < sources.first.full ? 0 : size;
        const int repeat_b = offset + e < sources.second.full ? 0 : size;
        mix_lines<T, 1>(mix, chunk, sources, a + e - repeat_a, b + e - repeat_b, to + e);
    }
    return count;
}

}  // namespace detail

// Item `item` of mix.chunks, at most V elements wide. Items are independent.
template <class T, int V>
COMIX_HD void mix_item(const Mix<T>& mix, std::int64_t item) {
    const Chunk chunk(mix.chunks, mix.rows, item);
    if (chunk.lines < 1) return;  // of a block row with fewer groups of lines than others
    for (int done = 0; done < chunk.count;)
        done += detail::mix_in_block<T, V>(mix, chunk, chunk.begin + done, chunk.count - done);
}

}  // namespace comix::cuda::mixing
