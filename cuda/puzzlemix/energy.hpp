// The PuzzleMix energy (csrc/puzzlemix/puzzlemix.hpp) in two steps: mean colours of the cells along
// the borders of blocks, which are independent items; then a team per pair writes its energy: the
// contrast of every edge gives its weight and what it adds to the costs of its two blocks.
//
// All sums run in the CPU's order, so edge weights are the CPU's bit for bit. Unary costs differ in
// the last digits of the prior (logarithm and power functions).
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/half.hpp"
#include "cuda/base/divisor.hpp"
#include "cuda/base/team.hpp"
#include "cuda/puzzlemix/puzzlemix.hpp"

namespace comix::cuda::puzzlemix {

// One axis of the image: blocks (base/blocks.hpp), equal cells inside each block, and the cells of
// all blocks numbered through.
struct CellAxis {
    int pixels;
    WideDivisor blocks, cells;  // how many; cells per block

    struct Span {
        std::int64_t first, end;
    };

    CellAxis(std::int64_t n, std::int64_t g, std::int64_t neighbour_size)
        : pixels(static_cast<int>(n)), blocks(g), cells(cells_of(n / g, neighbour_size)) {}

    COMIX_HD std::int64_t count() const { return blocks.value() * cells.value(); }
    // Cells of a block that lie along its two borders.
    COMIX_HD std::int64_t outer() const { return cells.value() < 2 ? 1 : 2; }
    // Pixels of the k-th cell of block i.
    COMIX_HD Span span(std::int64_t i, std::int64_t k) const {
        const std::int64_t first = start(i, pixels, blocks);
        const std::int64_t size = start(i + 1, pixels, blocks) - first;
        return {first + start(k, size, cells), first + start(k + 1, size, cells)};
    }

  private:
    // `size`: of the smallest block.
    static std::int64_t cells_of(std::int64_t size, std::int64_t neighbour_size) {
        return size / (neighbour_size < size ? neighbour_size : size);
    }
    // block_start()
    COMIX_HD static std::int64_t start(std::int64_t i, std::int64_t n, const WideDivisor& parts) {
        return parts.quotient(i * n + parts.value() - 1);
    }
};

struct Energy {
    Terms terms;
    CellAxis rows, columns;
    WideDivisor ring, blocks, channels;  // cells along the borders of a block; blocks
    WideDivisor across;                  // edges between the blocks of a row, at least 1
    double* cells;     // [B, C, rows.count(), columns.count()], written along borders of blocks
    double* halves;    // [B, edges, 4] what an edge adds: to K1, K2 of its first and second block
    double* prior;     // [B, L]
    double* unary;     // [B, gh, gw, L]
    double* pairwise;  // [L, L]
    double* weight_v;  // [B, gh-1, gw]
    double* weight_h;  // [B, gh, gw-1]
    float* shown;      // [L]

    Energy(const Terms& given, void* scratch, const Result& result)
        : terms(given),
          rows(given.height, given.grid_height, given.neighbour_size),
          columns(given.width, given.grid_width, given.neighbour_size),
          ring(rows.outer() * columns.cells.value() +
               (rows.cells.value() - rows.outer()) * columns.outer()),
          blocks(given.grid_height * given.grid_width),
          channels(given.channels),
          across(given.grid_width > 1 ? given.grid_width - 1 : 1),
          cells(static_cast<double*>(scratch)),
          halves(cells + cells_kept()),
          prior(halves + 4 * terms.batch * edges()),
          unary(result.unary),
          pairwise(result.pairwise),
          weight_v(result.weight_v),
          weight_h(result.weight_h),
          shown(result.shown) {}

    std::int64_t scratch_bytes() const {
        return 8 * (cells_kept() + terms.batch * (4 * edges() + terms.labels));
    }
    std::int64_t cells_kept() const { return terms.gamma != 0 ? terms.batch * per_image() : 0; }
    std::int64_t cell_items() const {
        const std::int64_t planes = terms.batch * terms.channels;
        return terms.gamma != 0 ? planes * blocks.value() * ring.value() : 0;
    }

    COMIX_HD std::int64_t per_channel() const { return rows.count() * columns.count(); }
    COMIX_HD std::int64_t per_image() const { return terms.channels * per_channel(); }
    COMIX_HD std::int64_t vertical_edges() const {
        return (terms.grid_height - 1) * terms.grid_width;
    }
    COMIX_HD std::int64_t edges() const {
        return vertical_edges() + terms.grid_height * (terms.grid_width - 1);
    }
    COMIX_HD double deviation(std::int64_t channel) const {
        return terms.deviation ? terms.deviation[channel] : terms.inline_deviation[channel];
    }
    COMIX_HD double saliency(std::int64_t block) const {
        return terms.saliency ? terms.saliency[block]
                              : static_cast<double>(terms.single_saliency[block]);
    }
    COMIX_HD std::int64_t partner(std::int64_t b) const {
        const std::int64_t index = terms.index[b];
        return index < 0 ? 0 : index < terms.batch ? index : terms.batch - 1;
    }
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

// One cell along a border of one block, in one channel of one image: items of cell_items().
template <class T>
COMIX_HD void measure_cell(const Energy& energy, const T* images, std::int64_t item) {
    const Terms& terms = energy.terms;
    const std::int64_t block = energy.ring.quotient(item);
    const std::int64_t place = item - block * energy.ring.value();
    const std::int64_t plane = energy.blocks.quotient(block);
    const std::int64_t p = block - plane * energy.blocks.value();
    const std::int64_t r = energy.columns.blocks.quotient(p), c = p - r * terms.grid_width;
    // Its row and column in the block: the first and the last row, then the ends of those between.
    const std::int64_t high = energy.rows.cells.value(), wide = energy.columns.cells.value();
    const std::int64_t side = place - energy.rows.outer() * wide, ends = energy.columns.outer();
    const bool last = place >= wide;
    const std::int64_t i = side >= 0 ? 1 + (side >> (ends - 1)) : last ? high - 1 : 0;
    const std::int64_t j = side >= 0 ? (side & (ends - 1)) * (wide - 1) : place - (last ? wide : 0);

    const std::int64_t b = energy.channels.quotient(plane);
    const std::int64_t channel = plane - b * terms.channels;
    const CellAxis::Span down = energy.rows.span(r, i), right = energy.columns.span(c, j);
    const T* pixels = images + b * terms.image + channel * terms.channel;
    double sum = 0;
    for (std::int64_t y = down.first; y < down.end; ++y) {
        double line = 0;  // rows add up side by side, as on the CPU
        for (std::int64_t x = right.first; x < right.end; ++x)
            line += detail::colour(pixels[y * terms.row + x * terms.pixel]);
        sum += line;
    }
    const std::int64_t area = (down.end - down.first) * (right.end - right.first);
    energy.cells[plane * energy.per_channel() + (r * high + i) * energy.columns.count() + c * wide +
                 j] = energy.deviation(channel) * (sum / static_cast<double>(area));
}

namespace detail {

// One edge of pair b, vertical ones first.
COMIX_HD inline void weigh_edge(const Energy& energy, std::int64_t b, std::int64_t edge) {
    const Terms& terms = energy.terms;
    const std::int64_t edges_v = energy.vertical_edges();
    const bool vertical = edge < edges_v;
    const std::int64_t number = vertical ? edge : edge - edges_v;
    const WideDivisor& across = vertical ? energy.columns.blocks : energy.across;
    const std::int64_t r = across.quotient(number), c = number - r * across.value();

    // h[a][b]: contrast when the first block shows image a and the second image b (1 the sample, 0
    // its partner).
    double h[2][2] = {};
    if (terms.gamma != 0.0) {
        // Cells along the border, of the first block; those of the second lie `over` further.
        const std::int64_t per_row = energy.columns.count();
        const std::int64_t high = energy.rows.cells.value(), wide = energy.columns.cells.value();
        const std::int64_t first = vertical ? (r + 1) * high * per_row - per_row + c * wide
                                            : r * high * per_row + (c + 1) * wide - 1;
        const std::int64_t over = vertical ? per_row : 1, along = vertical ? 1 : per_row;
        const std::int64_t cells = vertical ? wide : high;
        const double* partner = energy.cells + energy.partner(b) * energy.per_image() + first;
        const double* own = energy.cells + b * energy.per_image() + first;
        for (std::int64_t channel = 0; channel < terms.channels; ++channel) {
            for (std::int64_t e = 0; e < cells * along; e += along) {
                const double one[2] = {partner[e], own[e]};
                const double two[2] = {partner[e + over], own[e + over]};
                for (int x = 0; x < 2; ++x)
                    for (int y = 0; y < 2; ++y) h[x][y] += std::fabs(one[x] - two[y]);
            }
            partner += energy.per_channel();
            own += energy.per_channel();
        }
        const auto n = static_cast<double>(terms.channels * cells);
        for (auto& row : h)
            for (double& sum : row) sum = terms.beta * terms.gamma * (sum / n);
    }
    double* halves = energy.halves + 4 * (b * energy.edges() + edge);
    halves[0] = (h[1][0] + h[1][1]) / 2;
    halves[1] = (h[0][1] + h[0][0]) / 2;
    halves[2] = (h[0][1] + h[1][1]) / 2;
    halves[3] = (h[1][0] + h[0][0]) / 2;
    double weight = terms.beta + (h[1][0] + h[0][1] - h[1][1] - h[0][0]) / 2;
    // Zero up to rounding must not look like a negative weight.
    if (std::fabs(weight) < 1e-12 * terms.beta || (weight < 0 && weight > -terms.slack)) weight = 0;
    if (vertical) {
        energy.weight_v[b * edges_v + number] = weight;
    } else {
        energy.weight_h[b * (energy.edges() - edges_v) + number] = weight;
    }
}

// -log of the binomial probability of label k when each share is the sample's with chance lam.
COMIX_HD inline double prior(const Terms& terms, std::int64_t b, std::int64_t k) {
    const double lam = terms.lam ? terms.lam[b] : terms.uniform_lam;
    const auto n = static_cast<double>(terms.labels - 1), label = static_cast<double>(k);
    double choose = 1;
    for (std::int64_t l = 0; l < k; ++l)
        choose = choose * (n - static_cast<double>(l)) / static_cast<double>(l + 1);
    const double probability = choose * std::pow(lam, n - label) * std::pow(1 - lam, label);
    return terms.eta * std::log(probability + 1e-8);
}

// The costs of block p of pair b.
COMIX_HD inline void add_unary(const Energy& energy, std::int64_t b, std::int64_t p) {
    const Terms& terms = energy.terms;
    const std::int64_t w = terms.grid_width, blocks = energy.blocks.value();
    const std::int64_t r = energy.columns.blocks.quotient(p), c = p - r * w;
    double cost[2] = {energy.saliency(energy.partner(b) * blocks + p),
                      energy.saliency(b * blocks + p)};
    // In the order in which the CPU visits the edges.
    const double* halves = energy.halves + 4 * b * energy.edges();
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

    const auto n = static_cast<double>(terms.labels - 1);
    double* unary = energy.unary + (b * blocks + p) * terms.labels;
    for (std::int64_t k = 0; k < terms.labels; ++k) {
        const double t = static_cast<double>(k) / n;
        unary[k] = (1 - t) * cost[0] + t * cost[1] - energy.prior[b * terms.labels + k];
    }
}

// What all pairs share: label k shows the partner to the share k / (L-1).
COMIX_HD inline void write_labels(const Energy& energy, std::int64_t entry) {
    const std::int64_t labels = energy.terms.labels, i = entry / labels, j = entry - i * labels;
    const auto n = static_cast<double>(labels - 1);
    const double difference = static_cast<double>(i) / n - static_cast<double>(j) / n;
    energy.pairwise[entry] = difference * difference;
    if (i == 0) energy.shown[j] = static_cast<float>(1 - static_cast<double>(j) / n);
}

}  // namespace detail

// The energy of pair b, once the cells of all images are measured.
template <class Team>
COMIX_HD void write_energy(Team& team, const Energy& energy, std::int64_t b) {
    const Terms& terms = energy.terms;
    const std::int64_t edges = energy.edges(), blocks = energy.blocks.value();
    team.phase([&](int thread) {
        for (std::int64_t edge = thread; edge < edges; edge += team.size())
            detail::weigh_edge(energy, b, edge);
        // Threads from the other end, which have the fewest edges.
        const int other = team.size() - 1 - thread;
        for (std::int64_t k = other; k < terms.labels; k += team.size())
            energy.prior[b * terms.labels + k] = detail::prior(terms, b, k);
        for (std::int64_t k = other; k < terms.labels * terms.labels && b == 0; k += team.size())
            detail::write_labels(energy, k);
    });
    team.phase([&](int thread) {
        for (std::int64_t p = thread; p < blocks; p += team.size()) detail::add_unary(energy, b, p);
    });
}

}  // namespace comix::cuda::puzzlemix
