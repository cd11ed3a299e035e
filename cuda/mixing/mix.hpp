// The logic of the mixing kernel: one chunk of an output.
#pragma once

#include "cuda/mixing/geometry.hpp"

namespace comix::cuda::mixing {

template <class T>
struct Mix {
    Chunks chunks;
    Axis rows, columns;
    Plan plan;
    std::int64_t inputs;
    const T* images;
    T* out;

    Mix(const Plan& entries, std::int64_t n, const Layout& layout, const void* from, void* to,
        int elements)
        : chunks(layout, entries.outputs, elements),
          rows(layout.height, entries.height),
          columns(layout.width, entries.width),
          plan(entries),
          inputs(n),
          images(static_cast<const T*>(from)),
          out(static_cast<T*>(to)) {}
};

namespace detail {

// What one entry of the plan reads for the line of a chunk.
template <class T>
struct Source {
    const T* line;  // element 0 of the line of its image
    Range column;   // of its block
};

// The sources of a target block; the second one only counts in a blend.
template <class T>
struct Sources {
    Source<T> first, second;
    float first_weight, second_weight;
    bool blended;
};

template <class T>
COMIX_HD Source<T> source_of(const Mix<T>& mix, const Chunk& chunk, std::int64_t image, int block,
                             int dy) {
    const int r = mix.columns.row_of(block);
    const Range row = mix.rows.range(r);
    const int y = row.start + smaller(dy, row.length - 1);
    return {mix.images + chunk.offset(mix.chunks, image, y),
            mix.columns.range(block - r * mix.columns.blocks())};
}

template <class T>
COMIX_HD Sources<T> sources_of(const Mix<T>& mix, const Chunk& chunk, int column) {
    const int blocks = mix.rows.blocks() * mix.columns.blocks();
    const int r = mix.rows.block_of(chunk.y), dy = chunk.y - mix.rows.start(r);
    const std::int64_t entry = 2 * (chunk.image * blocks + r * mix.columns.blocks() + column);
    const std::int64_t image = clamped(mix.plan.source[entry], mix.inputs);
    const std::int64_t other = clamped(mix.plan.source[entry + 1], mix.inputs);
    const auto block = static_cast<int>(clamped(mix.plan.block[entry], blocks));
    const auto other_block = static_cast<int>(clamped(mix.plan.block[entry + 1], blocks));
    const float weight = mix.plan.weight[entry], other_weight = mix.plan.weight[entry + 1];

    Sources<T> sources;
    const bool first_only = (image == other && block == other_block) || other_weight == 0.0F;
    const bool second_only = !first_only && weight == 0.0F;
    sources.blended = !first_only && !second_only;
    sources.first_weight = weight;
    sources.second_weight = other_weight;
    sources.first =
        source_of(mix, chunk, second_only ? other : image, second_only ? other_block : block, dy);
    sources.second =
        sources.blended ? source_of(mix, chunk, other, other_block, dy) : sources.first;
    return sources;
}

template <class T>
COMIX_HD T blend(const Sources<T>& sources, const T& a, const T& b) {
    const Accumulator<T> wa = sources.first_weight, wb = sources.second_weight;
    return store<T>(wa * static_cast<Accumulator<T>>(a) + wb * static_cast<Accumulator<T>>(b));
}

// One element of a line.
template <class T>
COMIX_HD T mix_element(const Mix<T>& mix, const Chunk& chunk, int element) {
    const int size = mix.chunks.pixel.value(), x = mix.chunks.pixel.quotient(element);
    const int column = mix.columns.block_of(x), dx = x - mix.columns.start(column);
    const Sources<T> sources = sources_of(mix, chunk, column);
    const auto value = [&](const Source<T>& source) {
        const int from = source.column.start + smaller(dx, source.column.length - 1);
        return source.line[element + (from - x) * size];
    };
    if (!sources.blended) return value(sources.first);
    return blend(sources, value(sources.first), value(sources.second));
}

// A full chunk inside one block that its sources fill: V elements at once. False: it is not one.
template <class T, int V>
COMIX_HD bool mix_vector(const Mix<T>& mix, const Chunk& chunk) {
    const int size = mix.chunks.pixel.value();
    const int column = mix.columns.block_of(mix.chunks.pixel.quotient(chunk.begin));
    const Range target = mix.columns.range(column);
    const int offset = chunk.begin - target.start * size;
    if (chunk.count < V || offset + V > target.length * size) return false;
    const Sources<T> sources = sources_of(mix, chunk, column);
    if (offset + V > sources.first.column.length * size ||
        offset + V > sources.second.column.length * size)
        return false;
    const auto values = [&](const Source<T>& source) {
        return load<T, V>(source.line + source.column.start * size + offset);
    };
    Vector<T, V> a = values(sources.first);
    if (sources.blended) {
        const Vector<T, V> b = values(sources.second);
        for (int e = 0; e < V; ++e) a.element[e] = blend(sources, a.element[e], b.element[e]);
    }
    put(a, mix.out + chunk.offset(mix.chunks));
    return true;
}

}  // namespace detail

// Chunk `item` of mix.chunks, V elements wide. Chunks are independent.
template <class T, int V>
COMIX_HD void mix_chunk(const Mix<T>& mix, std::int64_t item) {
    const Chunk chunk(mix.chunks, item);
    if constexpr (V > 1) {
        if (detail::mix_vector<T, V>(mix, chunk)) return;
    }
    T* const to = mix.out + chunk.offset(mix.chunks);
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int e = 0; e < chunk.count; ++e) to[e] = detail::mix_element(mix, chunk, chunk.begin + e);
}

}  // namespace comix::cuda::mixing
