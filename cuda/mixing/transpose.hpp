// The logic of the transposed mixing kernel: one item of an input gathers from all outputs that use
// it, in the order of the plan's entries and then of the outputs' pixels.
//
// An item is four lines of one plane. As in the mixing kernel, what a use means is worked out once
// for all of them - where each of their pixels has one taker in every use, as it has but for the
// last lines and columns of blocks that differ in size. There it is done line by line.
#pragma once

#include "cuda/mixing/geometry.hpp"

namespace comix::cuda::mixing {

constexpr int kGatherLines = 4;

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
          chunks(layout, rows, inputs, elements, kGatherLines, 1),
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

// Up to here every pixel of a source block has exactly one taker in a target block.
COMIX_HD inline int taken_once(int source, int target) {
    return source < target ? source - 1 : target;
}

// Adds to V elements at `offset` of a source block what the line `from` of a target block gives.
template <class T, int V>
COMIX_HD void add_line(Accumulator<T> (&sums)[V], Accumulator<T> weight, const T* from, int offset,
                       int size, int source, int target) {
    if (V > 1 && offset + V <= taken_once(source, target) * size && aligned<T, V>(from + offset)) {
        const Vector<T, V> values = load<T, V>(from + offset);
        for (int e = 0; e < V; ++e)
            sums[e] += weight * static_cast<Accumulator<T>>(values.element[e]);
        return;
    }
    // Blocks differ by a pixel at most: its own offset takes a pixel, and the last one is taken by
    // what is beyond, too.
    const int own = target * size, last = (source - 1) * size;
    for (int e = 0; e < V; ++e) {
        const int i = offset + e;
        if (i < own) sums[e] += weight * static_cast<Accumulator<T>>(from[i]);
        if (source < target && i >= last)
            sums[e] += weight * static_cast<Accumulator<T>>(from[i + size]);
    }
}

// The uses of the block of an input that lies in block column `column` of a chunk's block row.
struct List {
    std::int64_t begin, end;
};

template <class T>
COMIX_HD List uses_of(const Transpose<T>& transpose, const Chunk& chunk, int column) {
    const std::int64_t list = chunk.image * transpose.blocks.value() +
                              chunk.block_row * transpose.columns.blocks() + column;
    return {transpose.uses.starts[list], transpose.uses.starts[list + 1]};
}

// A block of an output that takes one of an input.
struct Use {
    std::int64_t output;
    Range row, column;
    float weight;
};

template <class T>
COMIX_HD Use use_of(const Transpose<T>& transpose, std::int64_t i) {
    const std::int64_t entry = transpose.uses.order[i], place = entry / 2;
    const std::int64_t output = transpose.blocks.quotient(place);
    const auto block = static_cast<int>(place - output * transpose.blocks.value());
    const int r = transpose.columns.row_of(block);
    return {output, transpose.rows.range(r),
            transpose.columns.range(block - r * transpose.columns.blocks()),
            transpose.plan.weight[entry]};
}

// V elements of a chunk's line `line` (0 is its first) from element `begin` on, all in block
// column `column`.
template <class T, int V>
COMIX_HD void gather_line(const Transpose<T>& transpose, const Chunk& chunk, int line, int begin,
                          int column) {
    const Chunks& chunks = transpose.chunks;
    const int height = transpose.rows.range(chunk.block_row).length, dy = chunk.dy + line;
    const Range source = transpose.columns.range(column);
    const int offset = begin - source.start * chunks.pixel.value();
    Accumulator<T> sums[V] = {};
    const List list = uses_of(transpose, chunk, column);
    for (std::int64_t i = list.begin; i < list.end; ++i) {
        const Use use = use_of(transpose, i);
        const Range lines = takers(dy, height, use.row.length);
        const T* from = transpose.out +
                        chunk.offset(chunks, use.output, use.row.start + lines.start) +
                        use.column.start * chunks.pixel.value();
        for (int n = 0; n < lines.length; ++n, from += chunks.row)
            add_line<T, V>(sums, use.weight, from, offset, chunks.pixel.value(), source.length,
                           use.column.length);
    }
    Vector<T, V> result;
    for (int e = 0; e < V; ++e) result.element[e] = store<T>(sums[e]);
    put(result, transpose.images + chunk.offset(chunks, chunk.image, chunk.y + line) + begin);
}

// All lines of a chunk that lies in block column `column`, at once. False, and nothing is written,
// where a pixel has no taker or several in some use, or what would be read is not aligned.
template <class T, int V>
COMIX_HD bool gather_lines(const Transpose<T>& transpose, const Chunk& chunk, int column) {
    const Chunks& chunks = transpose.chunks;
    const int size = chunks.pixel.value();
    const int height = transpose.rows.range(chunk.block_row).length;
    const Range source = transpose.columns.range(column);
    const int offset = chunk.begin - source.start * size;
    const auto row = static_cast<unsigned>(chunks.row);  // times 3 fits 32 bits
    Accumulator<T> sums[kGatherLines][V] = {};
    const List list = uses_of(transpose, chunk, column);
    for (std::int64_t i = list.begin; i < list.end; ++i) {
        const Use use = use_of(transpose, i);
        const T* const from = transpose.out +
                              chunk.offset(chunks, use.output, use.row.start + chunk.dy) +
                              (use.column.start * size + offset);
        if (chunk.dy + chunk.lines > taken_once(height, use.row.length) ||
            offset + V > taken_once(source.length, use.column.length) * size ||
            !aligned<T, V>(from))
            return false;
        // Lines that the chunk does not have are read like its last one, and not written.
        Vector<T, V> values[kGatherLines];
        for (int k = 0; k < kGatherLines; ++k)
            values[k] = load<T, V>(from + row * static_cast<unsigned>(smaller(k, chunk.lines - 1)));
        const Accumulator<T> weight = use.weight;
        for (int k = 0; k < kGatherLines; ++k)
            for (int e = 0; e < V; ++e)
                sums[k][e] += weight * static_cast<Accumulator<T>>(values[k].element[e]);
    }
    T* const to = transpose.images + chunk.offset(chunks, chunk.image, chunk.y) + chunk.begin;
    for (int k = 0; k < kGatherLines; ++k) {
        Vector<T, V> result;
        for (int e = 0; e < V; ++e) result.element[e] = store<T>(sums[k][e]);
        if (k < chunk.lines) put(result, to + row * static_cast<unsigned>(k));
    }
    return true;
}

}  // namespace detail

// Item `item` of transpose.chunks, at most V elements wide. Items are independent.
template <class T, int V>
COMIX_HD void gather_item(const Transpose<T>& transpose, std::int64_t item) {
    const Divisor& pixel = transpose.chunks.pixel;
    const Chunk chunk(transpose.chunks, transpose.rows, item);
    if (chunk.lines < 1) return;  // of a block row with fewer groups of lines than others
    const int column = transpose.columns.block_of(pixel.quotient(chunk.begin));
    const bool vector =
        chunk.count == V && chunk.begin + V <= transpose.columns.start(column + 1) * pixel.value();
    if (vector && detail::gather_lines<T, V>(transpose, chunk, column)) return;
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int line = 0; line < chunk.lines; ++line) {
        if constexpr (V > 1) {
            if (vector) {
                detail::gather_line<T, V>(transpose, chunk, line, chunk.begin, column);
                continue;
            }
        }
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
        for (int begin = chunk.begin; begin < chunk.begin + chunk.count; ++begin)
            detail::gather_line<T, 1>(transpose, chunk, line, begin,
                                      transpose.columns.block_of(pixel.quotient(begin)));
    }
}

}  // namespace comix::cuda::mixing
