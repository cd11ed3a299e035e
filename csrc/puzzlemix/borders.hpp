// Local contrast across the borders of blocks: blocks are cut into cells, and the mean colours of
// the cells on the two sides of a border are compared.
//
// Only cells along borders are measured. Those of a whole row (or column) of blocks form a line
// [C, cells, blocks], so that the borders between two lines are compared side by side.
#pragma once

#include <cstdint>
#include <vector>

namespace comix::puzzlemix {

// One axis of the image: blocks, and equal cells inside each block.
struct Axis {
    std::int64_t pixels, blocks, cells;  // cells per block
    std::vector<std::int64_t> starts;    // [blocks * cells + 1] first pixel of each cell
    std::vector<double> sizes;           // [blocks * cells] pixels
    std::int64_t even_size = 0;          // that of all cells, 0: they differ

    Axis(std::int64_t n, std::int64_t g, std::int64_t neighbour_size);
    std::int64_t length() const { return blocks * cells; }
    // Where cell k of block i has its place in a line along this axis.
    std::int64_t place(std::int64_t channel, std::int64_t k, std::int64_t i) const {
        return (channel * cells + k) * blocks + i;
    }
    // First pixel of cell k of the axis.
    std::int64_t start(std::int64_t k) const { return starts[static_cast<std::size_t>(k)]; }
};

class Borders {
  public:
    Borders(Axis rows, Axis columns, std::int64_t channels);

    // What `measure` writes for one image, in doubles.
    std::int64_t size() const {
        return 2 * (rows_.blocks * row_line_ + columns_.blocks * column_line_);
    }
    // What `measure` needs to work in, in doubles.
    std::int64_t scratch_size() const;

    // Mean colours, times `deviation` [C], of the cells along all borders of an image [C, H, W].
    template <class T>
    void measure(const T* image, const double* deviation, double* lines, double* scratch) const;

    // Contrast [gw] between the blocks of row r and those below them, [gh] between the blocks of
    // column c and those right of them: the mean over cells and channels of the absolute
    // difference. `first` and `second`: what was measured of the image above or left, and of the
    // other one.
    void below(std::int64_t r, const double* first, const double* second, double* out) const;
    void right_of(std::int64_t c, const double* first, const double* second, double* out) const;

  private:
    // Cells of block row r along its upper (side 0) or lower (1) border: [C, cells, gw].
    std::int64_t row_line(std::int64_t r, int side) const { return (2 * r + side) * row_line_; }
    // Cells of block column c along its left (0) or right (1) border: [C, cells, gh].
    std::int64_t column_line(std::int64_t c, int side) const {
        return 2 * rows_.blocks * row_line_ + (2 * c + side) * column_line_;
    }
    template <class T>
    void measure_row(const T* plane, std::int64_t k, double factor, std::int64_t channel,
                     double* lines, double* means) const;
    template <class T>
    void measure_inner(const T* plane, std::int64_t k, double factor, std::int64_t channel,
                       double* lines) const;
    void contrast(const double* first, const double* second, const Axis& along, double* out) const;

    Axis rows_, columns_;
    std::int64_t channels_;
    std::int64_t row_line_, column_line_;  // sizes of one line
};

extern template void Borders::measure(const float*, const double*, double*, double*) const;
extern template void Borders::measure(const double*, const double*, double*, double*) const;

}  // namespace comix::puzzlemix
