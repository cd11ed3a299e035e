#include "puzzlemix/borders.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/blocks.hpp"

namespace comix::puzzlemix {

namespace {

// Rows of a cell add up one by one, and so do the pixels of a row: the order is part of the result.
template <class T>
double sum_of(const T* pixels, std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (std::int64_t x = begin; x < end; ++x) sum += static_cast<double>(pixels[x]);
    return sum;
}

// The same for the cells of a row, whose width is known where they are compiled.
template <int Width, class T>
void add_cells(const T* pixels, std::int64_t cells, double* sums) {
    for (std::int64_t cell = 0; cell < cells; ++cell) {
        double sum = 0;
        for (int x = 0; x < Width; ++x) sum += static_cast<double>(pixels[cell * Width + x]);
        sums[cell] += sum;
    }
}

// Adds a row of pixels to the sums of its cells.
template <class T>
void add_row(const T* pixels, const Axis& columns, double* sums) {
    const std::int64_t cells = columns.length();
    switch (columns.even_size) {
        case 1:
            return add_cells<1>(pixels, cells, sums);
        case 2:
            return add_cells<2>(pixels, cells, sums);
        case 4:
            return add_cells<4>(pixels, cells, sums);
        default:
            for (std::int64_t cell = 0; cell < cells; ++cell)
                sums[cell] += sum_of(pixels, columns.start(cell), columns.start(cell + 1));
    }
}

}  // namespace

Axis::Axis(std::int64_t n, std::int64_t g, std::int64_t neighbour_size) : pixels(n), blocks(g) {
    const std::int64_t block = n / g;  // the smallest block
    cells = block / std::min(neighbour_size, block);
    for (std::int64_t i = 0; i < blocks; ++i) {
        const std::int64_t begin = block_start(i, pixels, blocks);
        const std::int64_t size = block_start(i + 1, pixels, blocks) - begin;
        for (std::int64_t k = 0; k < cells; ++k)
            starts.push_back(begin + block_start(k, size, cells));
    }
    starts.push_back(pixels);
    for (std::int64_t k = 0; k < length(); ++k)
        sizes.push_back(static_cast<double>(start(k + 1) - start(k)));
    const bool even = std::equal(sizes.begin() + 1, sizes.end(), sizes.begin());
    even_size = even ? start(1) : 0;
}

Borders::Borders(Axis rows, Axis columns, std::int64_t channels)
    : rows_(std::move(rows)),
      columns_(std::move(columns)),
      channels_(channels),
      row_line_(channels * columns_.length()),
      column_line_(channels * rows_.length()) {}

std::int64_t Borders::scratch_size() const {
    return columns_.length();
}

template <class T>
void Borders::measure(const T* image, const double* deviation, double* lines,
                      double* scratch) const {
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
        const T* plane = image + channel * rows_.pixels * columns_.pixels;
        for (std::int64_t k = 0; k < rows_.length(); ++k) {
            const std::int64_t in_block = k % rows_.cells;
            if (in_block == 0 || in_block + 1 == rows_.cells) {
                measure_row(plane, k, deviation[channel], channel, lines, scratch);
            } else {
                measure_inner(plane, k, deviation[channel], channel, lines);
            }
        }
    }
}

// A row of cells along a border between block rows: all its cells count.
template <class T>
void Borders::measure_row(const T* plane, std::int64_t k, double factor, std::int64_t channel,
                          double* lines, double* means) const {
    const std::int64_t top = rows_.start(k), bottom = rows_.start(k + 1);
    const std::int64_t count = columns_.length(), blocks = columns_.blocks, cells = columns_.cells;
    std::fill(means, means + count, 0.0);
    for (std::int64_t y = top; y < bottom; ++y)
        add_row(plane + y * columns_.pixels, columns_, means);
    const auto height = static_cast<double>(bottom - top);
    for (std::int64_t cell = 0; cell < count; ++cell)
        means[cell] =
            factor * (means[cell] / (height * columns_.sizes[static_cast<std::size_t>(cell)]));

    const std::int64_t r = k / rows_.cells, i = k % rows_.cells;
    for (int side = 0; side < 2; ++side) {
        if (i != side * (rows_.cells - 1)) continue;
        double* line = lines + row_line(r, side) + columns_.place(channel, 0, 0);
        for (std::int64_t j = 0; j < cells; ++j)
            for (std::int64_t c = 0; c < blocks; ++c) *line++ = means[c * cells + j];
    }
    double* left = lines + column_line(0, 0) + rows_.place(channel, i, r);
    for (std::int64_t c = 0; c < blocks; ++c, left += 2 * column_line_) {
        left[0] = means[c * cells];
        left[column_line_] = means[(c + 1) * cells - 1];
    }
}

// A row of cells inside block rows: only the first and the last cell of each block lie on a border.
template <class T>
void Borders::measure_inner(const T* plane, std::int64_t k, double factor, std::int64_t channel,
                            double* lines) const {
    const std::int64_t top = rows_.start(k), bottom = rows_.start(k + 1);
    const std::int64_t in_column = rows_.place(channel, k % rows_.cells, k / rows_.cells);
    for (std::int64_t c = 0; c < columns_.blocks; ++c) {
        for (int side = 0; side < 2; ++side) {
            const std::int64_t cell = c * columns_.cells + side * (columns_.cells - 1);
            const std::int64_t begin = columns_.start(cell), end = columns_.start(cell + 1);
            double sum = 0;
            for (std::int64_t y = top; y < bottom; ++y)
                sum += sum_of(plane + y * columns_.pixels, begin, end);
            lines[column_line(c, side) + in_column] =
                factor * (sum / static_cast<double>((bottom - top) * (end - begin)));
        }
    }
}

void Borders::below(std::int64_t r, const double* first, const double* second, double* out) const {
    contrast(first + row_line(r, 1), second + row_line(r + 1, 0), columns_, out);
}

void Borders::right_of(std::int64_t c, const double* first, const double* second,
                       double* out) const {
    contrast(first + column_line(c, 1), second + column_line(c + 1, 0), rows_, out);
}

// first, second [C, cells, blocks along the border]; out [blocks along the border]. Each sum runs
// over the channels and inside them over the cells; those of all blocks run side by side.
void Borders::contrast(const double* first, const double* second, const Axis& along,
                       double* out) const {
    const std::int64_t terms = channels_ * along.cells, blocks = along.blocks;
    std::fill(out, out + blocks, 0.0);
    for (std::int64_t e = 0; e < terms; ++e, first += blocks, second += blocks)
        for (std::int64_t i = 0; i < blocks; ++i) out[i] += std::abs(first[i] - second[i]);
    for (std::int64_t i = 0; i < blocks; ++i) out[i] /= static_cast<double>(terms);
}

template void Borders::measure(const float*, const double*, double*, double*) const;
template void Borders::measure(const double*, const double*, double*, double*) const;

}  // namespace comix::puzzlemix
