// The logic of the transposed mixing kernel: one chunk of an input gathers from all outputs that
// use it, in the order of the plan's entries and then of the outputs' pixels.
#pragma once

#include "cuda/mixing/geometry.hpp"

namespace comix::cuda::mixing {

template <class T>
struct Transpose {
    Axis rows, columns;
    Chunks chunks;
    Plan plan;
    WideDivisor blocks;  // of the grid
    Uses uses;
    const T* out;
    T* images;

    Transpose(const Plan& entries, const Uses& lists, std::int64_t inputs, const Layout& layout,
              const void* from, void* to, int elements)
        : rows(layout.height, entries.height),
          columns(layout.width, entries.width),
          chunks(layout, rows, inputs, elements, 1, 1),
          plan(entries),
          blocks(entries.height * entries.width),
          uses(lists),
          out(static_cast<const T*>(from)),
          images(static_cast<T*>(to)) {}
};

namespace detail {

// The pixels of a target block that take source pixel `offset` of `length`: its own offset, and
// the last one takes what is beyond, too.
COMIX_HD inline Range takers(int offset, int length, int target) {
    if (offset >= target) return {0, 0};
    return {offset, offset == length - 1 ? target - offset : 1};
}

// Adds to V elements at `offset` of a source block what the line `from` of a target block gives.
template <class T, int V>
COMIX_HD void add_line(Accumulator<T> (&sums)[V], Accumulator<T> weight, const T* from, int offset,
                       const Divisor& pixel, int source, int target) {
    const int size = pixel.value();
    // Up to here every pixel of the source has exactly one taker.
    const int simple = source < target ? source - 1 : target;
    if (offset + V <= simple * size) {
        const Vector<T, V> values = load_any<T, V>(from + offset);
        for (int e = 0; e < V; ++e)
            sums[e] += weight * static_cast<Accumulator<T>>(values.element[e]);
        return;
    }
    for (int e = 0; e < V; ++e) {
        const int x = pixel.quotient(offset + e), part = offset + e - x * size;
        const Range range = takers(x, source, target);
        for (int dx = range.start; dx < range.start + range.length; ++dx)
            sums[e] += weight * static_cast<Accumulator<T>>(from[dx * size + part]);
    }
}

// V elements from element `begin` of the chunk's line on, all in block column `column`.
template <class T, int V>
COMIX_HD void gather(const Transpose<T>& transpose, const Chunk& chunk, int begin, int column) {
    const Chunks& chunks = transpose.chunks;
    const int size = chunks.pixel.value(), r = transpose.rows.block_of(chunk.y);
    const Range row = transpose.rows.range(r), source = transpose.columns.range(column);
    const int dy = chunk.y - row.start, offset = begin - source.start * size;
    const std::int64_t list =
        chunk.image * transpose.blocks.value() + r * transpose.columns.blocks() + column;
    Accumulator<T> sums[V] = {};
    const std::int64_t end = transpose.uses.starts[list + 1];
    for (std::int64_t i = transpose.uses.starts[list]; i < end; ++i) {
        const std::int64_t entry = transpose.uses.order[i], place = entry / 2;
        const std::int64_t output = transpose.blocks.quotient(place);
        const auto block = static_cast<int>(place - output * transpose.blocks.value());
        const int target_r = transpose.columns.row_of(block);
        const Range target_row = transpose.rows.range(target_r);
        const Range target = transpose.columns.range(block - target_r * transpose.columns.blocks());
        const Range lines = takers(dy, row.length, target_row.length);
        const T* from = transpose.out +
                        chunk.offset(chunks, output, target_row.start + lines.start) +
                        target.start * size;
        for (int n = 0; n < lines.length; ++n, from += chunks.row)
            add_line<T, V>(sums, transpose.plan.weight[entry], from, offset, chunks.pixel,
                           source.length, target.length);
    }
    Vector<T, V> result;
    for (int e = 0; e < V; ++e) result.element[e] = store<T>(sums[e]);
    put(result, transpose.images + chunk.offset(chunks, chunk.image, chunk.y) + begin);
}

}  // namespace detail

// Chunk `item` of transpose.chunks, V elements wide. Chunks are independent.
template <class T, int V>
COMIX_HD void gather_chunk(const Transpose<T>& transpose, std::int64_t item) {
    const Divisor& pixel = transpose.chunks.pixel;
    const Chunk chunk(transpose.chunks, transpose.rows, item);
    if (chunk.lines < 1) return;
    if constexpr (V > 1) {
        const int column = transpose.columns.block_of(pixel.quotient(chunk.begin));
        if (chunk.count == V &&
            chunk.begin + V <= transpose.columns.start(column + 1) * pixel.value())
            return detail::gather<T, V>(transpose, chunk, chunk.begin, column);
    }
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int e = 0; e < chunk.count; ++e) {
        const int begin = chunk.begin + e;
        detail::gather<T, 1>(transpose, chunk, begin,
                             transpose.columns.block_of(pixel.quotient(begin)));
    }
}

}  // namespace comix::cuda::mixing
