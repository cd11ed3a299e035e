#include "puzzlemix/borders.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/blocks.hpp"

namespace comix::puzzlemix {

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
    return std::max({columns_.pixels, columns_.length(), rows_.length()});
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
    const std::int64_t width = columns_.pixels;
    // Whole rows add up side by side.
    for (std::int64_t x = 0; x < width; ++x)
        scratch[x] = static_cast<double>(plane[top * width + x]);
    for (std::int64_t y = top + 1; y < bottom; ++y)
        for (std::int64_t x = 0; x < width; ++x)
            scratch[x] += static_cast<double>(plane[y * width + x]);

    const std::int64_t r = k / rows_.cells, in_block = k % rows_.cells;
    double* const upper = lines + row_line(r, 0) + channel * columns_.length();
    double* const lower = lines + row_line(r, 1) + channel * columns_.length();
    std::int64_t x = 0, cell = 0;
    for (std::int64_t c = 0; c < columns_.blocks; ++c) {
        double* const left = lines + column_line(c, 0) + channel * rows_.length();
        double* const right = lines + column_line(c, 1) + channel * rows_.length();
        for (std::int64_t j = 0; j < columns_.cells; ++j, ++cell) {
            const std::int64_t begin = x, end = columns_.start(cell + 1);
            double sum = 0;
            for (; x < end; ++x) sum += scratch[x];
            const double mean =
                factor * (sum / static_cast<double>((bottom - top) * (end - begin)));
            if (in_block == 0) upper[cell] = mean;
            if (in_block + 1 == rows_.cells) lower[cell] = mean;
            if (j == 0) left[k] = mean;
            if (j + 1 == columns_.cells) right[k] = mean;
        }
    }
}

// A row of cells inside block rows: only the first and the last cell of each block lie on a border.
template <class T>
void Borders::measure_inner(const T* plane, std::int64_t k, double factor, std::int64_t channel,
                            double* lines) const {
    const std::int64_t top = rows_.start(k), bottom = rows_.start(k + 1);
    const std::int64_t width = columns_.pixels;
    for (std::int64_t c = 0; c < columns_.blocks; ++c) {
        for (int side = 0; side < 2; ++side) {
            const std::int64_t cell = c * columns_.cells + side * (columns_.cells - 1);
            const std::int64_t begin = columns_.start(cell), end = columns_.start(cell + 1);
            double sum = 0;
            for (std::int64_t y = top; y < bottom; ++y) {
                double row = 0;  // rows add up side by side, not one after the other
                for (std::int64_t x = begin; x < end; ++x)
                    row += static_cast<double>(plane[y * width + x]);
                sum += row;
            }
            lines[column_line(c, side) + channel * rows_.length() + k] =
                factor * (sum / static_cast<double>((bottom - top) * (end - begin)));
        }
    }
}

void Borders::below(std::int64_t r, const double* first, const double* second, double* out,
                    double* scratch) const {
    contrast(first + row_line(r, 1), second + row_line(r + 1, 0), columns_, out, scratch);
}

void Borders::right_of(std::int64_t c, const double* first, const double* second, double* out,
                       double* scratch) const {
    contrast(first + column_line(c, 1), second + column_line(c + 1, 0), rows_, out, scratch);
}

// first, second [C, cells along the border]; out [blocks along the border].
void Borders::contrast(const double* first, const double* second, const Axis& along, double* out,
                       double* scratch) const {
    const std::int64_t length = along.length();
    for (std::int64_t t = 0; t < length; ++t) scratch[t] = std::abs(first[t] - second[t]);
    for (std::int64_t channel = 1; channel < channels_; ++channel) {
        first += length;
        second += length;
        for (std::int64_t t = 0; t < length; ++t) scratch[t] += std::abs(first[t] - second[t]);
    }
    const auto count = static_cast<double>(channels_ * along.cells);
    for (std::int64_t i = 0; i < along.blocks; ++i) {
        double sum = 0;
        for (std::int64_t t = i * along.cells; t < (i + 1) * along.cells; ++t) sum += scratch[t];
        out[i] = sum / count;
    }
}

template void Borders::measure(const float*, const double*, double*, double*) const;
template void Borders::measure(const double*, const double*, double*, double*) const;

}  // namespace comix::puzzlemix
