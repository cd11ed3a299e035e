// The PuzzleMix energy (csrc/puzzlemix/puzzlemix.hpp) in three steps, each of independent items:
// mean colours of the cells along the sides of every block; the contrast of every edge, which
// gives its weight and what it adds to the costs of its two blocks; the unary costs.
//
// All sums run in the CPU's order, so edge weights are the CPU's bit for bit. Unary costs differ in
// the last digits of the prior (logarithm and power functions).
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/blocks.hpp"
#include "base/half.hpp"
#include "cuda/base/divisor.hpp"
#include "cuda/puzzlemix/puzzlemix.hpp"

namespace comix::cuda::puzzlemix {

// One axis of the image: blocks, and equal cells inside each block.
struct CellAxis {
    int pixels, blocks, cells;  // cells per block

    CellAxis(std::int64_t n, std::int64_t g, std::int64_t neighbour_size)
        : pixels(static_cast<int>(n)), blocks(static_cast<int>(g)) {
        const std::int64_t block = n / g;  // the smallest block
        cells = static_cast<int>(block / (neighbour_size < block ? neighbour_size : block));
    }
    // First pixel of cell k (0..cells) of block i.
    COMIX_HD std::int64_t start(std::int64_t i, std::int64_t k) const {
        const std::int64_t begin = block_start(i, pixels, blocks);
        return begin + block_start(k, block_start(i + 1, pixels, blocks) - begin, cells);
    }
};

struct Energy {
    Terms terms;
    CellAxis rows, columns;
    WideDivisor per_image, edges, blocks;  // cells, edges and blocks of one image
    double* sides;   // [B, gh, gw, 2 (first, last row), C, cells of a row] and the same for columns
    double* halves;  // [B, edges, 4] what an edge adds: to K1, K2 of its first and second block
    double* unary;   // [B, gh, gw, L]
    double* weight_v;  // [B, gh-1, gw]
    double* weight_h;  // [B, gh, gw-1]

    Energy(const Terms& given, void* scratch, double* costs, double* vertical, double* horizontal)
        : terms(given),
          rows(given.height, given.grid_height, given.neighbour_size),
          columns(given.width, given.grid_width, given.neighbour_size),
          per_image(cells_per_image(given, rows, columns)),
          edges(at_least_1(vertical_edges() + given.grid_height * (given.grid_width - 1))),
          blocks(given.grid_height * given.grid_width),
          sides(static_cast<double*>(scratch)),
          halves(sides + (given.gamma != 0 ? given.batch * per_image.value() : 0)),
          unary(costs),
          weight_v(vertical),
          weight_h(horizontal) {}

    static std::int64_t cells_per_image(const Terms& terms, const CellAxis& rows,
                                        const CellAxis& columns) {
        return terms.grid_height * terms.grid_width * terms.channels * 2 *
               (std::int64_t{rows.cells} + columns.cells);
    }
    std::int64_t scratch_bytes() const {
        const std::int64_t cells = terms.gamma != 0 ? per_image.value() : 0;
        return 8 * terms.batch * (cells + 4 * edges.value());
    }
    std::int64_t cell_items() const {
        return terms.gamma != 0 ? terms.batch * per_image.value() : 0;
    }
    std::int64_t edge_items() const {
        return terms.grid_height * terms.grid_width > 1 ? terms.batch * edges.value() : 0;
    }
    std::int64_t block_items() const { return terms.batch * blocks.value(); }

    COMIX_HD std::int64_t vertical_edges() const {
        return (terms.grid_height - 1) * terms.grid_width;
    }
    COMIX_HD double deviation(std::int64_t channel) const {
        return terms.deviation ? terms.deviation[channel] : terms.inline_deviation[channel];
    }
    // Cells [C, cells] of side `which` of a block: first / last row (0, 1) or column (2, 3).
    COMIX_HD std::int64_t side(std::int64_t block, int which) const {
        const std::int64_t row_side = terms.channels * columns.cells;
        const std::int64_t column_side = terms.channels * rows.cells;
        return block * 2 * (row_side + column_side) +
               (which < 2 ? which * row_side : 2 * row_side + (which - 2) * column_side);
    }

  private:
    static std::int64_t at_least_1(std::int64_t n) { return n < 1 ? 1 : n; }
};

namespace detail {

template <class T>
COMIX_HD double colour(const T& value) {
    if constexpr (std::is_same_v<T, std::uint8_t>) {
        return static_cast<float>(value) / 255.0F;  // as the conversion to float32 would
    } else {
        return static_cast<double>(value);
    }
}

}  // namespace detail

// One cell of one side of one block: items of terms.batch * per_image.
template <class T>
COMIX_HD void measure_cell(const Energy& energy, const T* images, std::int64_t item) {
    const Terms& terms = energy.terms;
    const std::int64_t b = energy.per_image.quotient(item);
    std::int64_t rest = item - b * energy.per_image.value();
    const std::int64_t size = energy.side(1, 0);  // cells per block
    const std::int64_t block = rest / size;
    rest -= block * size;
    int which = 3;
    while (which > 0 && rest < energy.side(0, which)) --which;
    rest -= energy.side(0, which);
    const std::int64_t cells = which < 2 ? energy.columns.cells : energy.rows.cells;
    const std::int64_t channel = rest / cells, t = rest - channel * cells;
    const std::int64_t r = block / terms.grid_width, c = block - r * terms.grid_width;
    const std::int64_t last = which % 2;  // the far side of the block
    const std::int64_t i = which < 2 ? last * (energy.rows.cells - 1) : t;
    const std::int64_t j = which < 2 ? t : last * (energy.columns.cells - 1);

    const std::int64_t top = energy.rows.start(r, i), bottom = energy.rows.start(r, i + 1);
    const std::int64_t left = energy.columns.start(c, j), right = energy.columns.start(c, j + 1);
    const T* plane = images + b * terms.image + channel * terms.channel;
    double sum = 0;
    for (std::int64_t y = top; y < bottom; ++y) {
        double row = 0;  // rows add up side by side, as on the CPU
        for (std::int64_t x = left; x < right; ++x)
            row += detail::colour(plane[y * terms.row + x * terms.pixel]);
        sum += row;
    }
    energy.sides[item] =
        energy.deviation(channel) * (sum / static_cast<double>((bottom - top) * (right - left)));
}

// One edge of one image, vertical ones first: items of terms.batch * edges.
COMIX_HD inline void weigh_edge(const Energy& energy, std::int64_t item) {
    const Terms& terms = energy.terms;
    const std::int64_t b = energy.edges.quotient(item), edge = item - b * energy.edges.value();
    const bool vertical = edge < energy.vertical_edges();
    const std::int64_t number = vertical ? edge : edge - energy.vertical_edges();
    const std::int64_t across = vertical ? terms.grid_width : terms.grid_width - 1;
    const std::int64_t r = number / across, c = number - r * across;
    const std::int64_t first = r * terms.grid_width + c;
    const std::int64_t second = first + (vertical ? terms.grid_width : 1);
    std::int64_t partner = terms.index[b];
    partner = partner < 0 ? 0 : partner < terms.batch ? partner : terms.batch - 1;

    // h[a][b]: contrast when the first block shows image a and the second image b (1 the sample, 0
    // its partner).
    double h[2][2] = {};
    if (terms.gamma != 0.0) {
        const std::int64_t n =
            terms.channels * (vertical ? energy.columns.cells : energy.rows.cells);
        const std::int64_t of[2] = {partner * energy.per_image.value(),
                                    b * energy.per_image.value()};
        for (int x = 0; x < 2; ++x) {
            for (int y = 0; y < 2; ++y) {
                const double* one = energy.sides + of[x] + energy.side(first, vertical ? 1 : 3);
                const double* two = energy.sides + of[y] + energy.side(second, vertical ? 0 : 2);
                double sum = 0;
                for (std::int64_t e = 0; e < n; ++e) sum += std::fabs(one[e] - two[e]);
                h[x][y] = terms.beta * terms.gamma * (sum / static_cast<double>(n));
            }
        }
    }
    double* halves = energy.halves + 4 * item;
    halves[0] = (h[1][0] + h[1][1]) / 2;
    halves[1] = (h[0][1] + h[0][0]) / 2;
    halves[2] = (h[0][1] + h[1][1]) / 2;
    halves[3] = (h[1][0] + h[0][0]) / 2;
    double weight = terms.beta + (h[1][0] + h[0][1] - h[1][1] - h[0][0]) / 2;
    // Zero up to rounding must not look like a negative weight.
    if (std::fabs(weight) < 1e-12 * terms.beta || (weight < 0 && weight > -terms.slack)) weight = 0;
    if (vertical) {
        energy.weight_v[b * energy.vertical_edges() + number] = weight;
    } else {
        energy.weight_h[b * (energy.edges.value() - energy.vertical_edges()) + number] = weight;
    }
}

// One block of one image: items of terms.batch * blocks.
COMIX_HD inline void add_unary(const Energy& energy, std::int64_t item) {
    const Terms& terms = energy.terms;
    const std::int64_t b = energy.blocks.quotient(item), p = item - b * energy.blocks.value();
    const std::int64_t w = terms.grid_width, r = p / w, c = p - r * w;
    std::int64_t partner = terms.index[b];
    partner = partner < 0 ? 0 : partner < terms.batch ? partner : terms.batch - 1;
    double cost[2] = {terms.saliency[partner * energy.blocks.value() + p],
                      terms.saliency[b * energy.blocks.value() + p]};
    // In the order in which the CPU visits the edges.
    const double* halves = energy.halves + 4 * b * energy.edges.value();
    const double* right = halves + 4 * (energy.vertical_edges() + r * (w - 1) + c);
    const auto add = [&](bool present, const double* half) {
        if (!present) return;
        cost[0] += half[0];
        cost[1] += half[1];
    };
    add(r > 0, halves + 4 * (p - w) + 2);
    add(r + 1 < terms.grid_height, halves + 4 * p);
    add(c > 0, right - 4 + 2);
    add(c + 1 < w, right);

    // -log of the binomial probability of label k when each share is the sample's with chance lam.
    const double lam = terms.lam ? terms.lam[b] : terms.uniform_lam;
    const auto n = static_cast<double>(terms.labels - 1);
    double choose = 1;
    for (std::int64_t k = 0; k < terms.labels; ++k) {
        const auto label = static_cast<double>(k);
        const double probability = choose * std::pow(lam, n - label) * std::pow(1 - lam, label);
        const double t = label / n;
        energy.unary[item * terms.labels + k] =
            (1 - t) * cost[0] + t * cost[1] - terms.eta * std::log(probability + 1e-8);
        choose = choose * (n - label) / (label + 1);
    }
}

}  // namespace comix::cuda::puzzlemix
