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
                          double* lines, double* scratch) const {
    const std::int64_t top = rows_.start(k), bottom = rows_.start(k + 1);
    const std::int64_t count = columns_.length();
    std::fill(scratch, scratch + count, 0.0);
    for (std::int64_t y = top; y < bottom; ++y) {
        const T* pixels = plane + y * columns_.pixels;
        for (std::int64_t cell = 0; cell < count; ++cell)
            scratch[cell] += sum_of(pixels, columns_.start(cell), columns_.start(cell + 1));
    }
    const std::int64_t r = k / rows_.cells, i = k % rows_.cells;
    std::int64_t cell = 0;
    for (std::int64_t c = 0; c < columns_.blocks; ++c) {
        for (std::int64_t j = 0; j < columns_.cells; ++j, ++cell) {
            const std::int64_t width = columns_.start(cell + 1) - columns_.start(cell);
            const double mean =
                factor * (scratch[cell] / static_cast<double>((bottom - top) * width));
            const std::int64_t in_row = columns_.place(channel, j, c);
            if (i == 0) lines[row_line(r, 0) + in_row] = mean;
            if (i + 1 == rows_.cells) lines[row_line(r, 1) + in_row] = mean;
            const std::int64_t in_column = rows_.place(channel, i, r);
            if (j == 0) lines[column_line(c, 0) + in_column] = mean;
            if (j + 1 == columns_.cells) lines[column_line(c, 1) + in_column] = mean;
        }
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
