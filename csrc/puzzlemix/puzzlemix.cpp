#include "puzzlemix/puzzlemix.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/threads.hpp"
#include "base/values.hpp"

namespace comix::puzzlemix {

namespace {

constexpr std::int64_t kValuesPerChunk = 1 << 15;  // some 20 microseconds

// Folds one edge into the costs of its two blocks and returns what stays on the edge. h[a][b] is
// the contrast when the first block shows image a and the second image b (1 the sample, 0 its
// partner).
double fold_edge(const double (&h)[2][2], double* first, double* second) {
    first[0] += (h[1][0] + h[1][1]) / 2;
    first[1] += (h[0][1] + h[0][0]) / 2;
    second[0] += (h[0][1] + h[1][1]) / 2;
    second[1] += (h[1][0] + h[0][0]) / 2;
    return (h[1][0] + h[0][1] - h[1][1] - h[0][0]) / 2;
}

}  // namespace

std::int64_t images_per_chunk(const Terms& terms) {
    return kValuesPerChunk / std::max<std::int64_t>(terms.pixels(), 1);
}

std::int64_t energies_per_chunk(const Terms& terms) {
    return kValuesPerChunk / std::max<std::int64_t>(terms.blocks() * (8 * terms.channels + 16), 1);
}

BatchBorders::BatchBorders(const Terms& terms)
    : geometry_(Axis(terms.height, terms.grid_height, terms.neighbour_size),
                Axis(terms.width, terms.grid_width, terms.neighbour_size), terms.channels) {
    // Every value is written before it is read: no zeroing.
    if (terms.gamma != 0.0)
        lines_.reset(new double[static_cast<std::size_t>(terms.batch * geometry_.size())]);
}

template <class T>
Measurer<T>::Measurer(const Terms& terms, const T* images, const BatchBorders& borders)
    : terms_(terms),
      images_(images),
      borders_(borders),
      scratch_(static_cast<std::size_t>(borders.geometry().scratch_size())) {}

template <class T>
bool Measurer<T>::measure(std::int64_t b) {
    const T* image = images_ + b * terms_.pixels();
    if (!all_finite(image, terms_.pixels())) return false;
    if (borders_.wanted())
        borders_.geometry().measure(image, terms_.deviation, borders_.of(b), scratch_.data());
    return true;
}

EnergyWriter::EnergyWriter(const Terms& terms, const BatchBorders& borders)
    : terms_(terms),
      borders_(borders),
      costs_(static_cast<std::size_t>(terms.blocks()) * 2),
      contrasts_(static_cast<std::size_t>(std::max(terms.grid_height, terms.grid_width)) * 4) {
    for (std::int64_t k = 0; k < terms.labels; ++k)
        share_.push_back(static_cast<double>(k) / static_cast<double>(terms.labels - 1));
}

// All edges between two neighbouring rows (columns) of blocks: `count` of them, the i-th from block
// first + i * step to the block `across` further; their weights lie weight_step apart.
struct EnergyWriter::Line {
    std::int64_t count, first, step, across, weight_step;
};

// contrast(x, y, out): along the line, when image x is shown on its first side and y on the other.
template <class Contrast>
void EnergyWriter::write_line(const Line& line, const Contrast& contrast, double* weight) {
    const double scale = terms_.beta * terms_.gamma;
    const auto along = [&](int x, int y) { return &contrasts_[(2 * x + y) * line.count]; };
    if (borders_.wanted())
        for (int x = 0; x < 2; ++x)
            for (int y = 0; y < 2; ++y) contrast(x, y, along(x, y));
    for (std::int64_t i = 0; i < line.count; ++i) {
        double h[2][2] = {};
        if (borders_.wanted())
            for (int x = 0; x < 2; ++x)
                for (int y = 0; y < 2; ++y) h[x][y] = scale * along(x, y)[i];
        double* cost = &costs_[static_cast<std::size_t>(2 * (line.first + i * line.step))];
        const double w = terms_.beta + fold_edge(h, cost, cost + 2 * line.across);
        // Zero up to rounding (gamma 1, blocks opposite in both images) must not look like a
        // negative weight: a hard problem instead of a minimum cut.
        const bool zero = std::abs(w) < 1e-12 * terms_.beta || (w < 0 && w > -terms_.rounding);
        weight[i * line.weight_step] = zero ? 0.0 : w;
    }
}

void EnergyWriter::write(std::int64_t b, double* unary, double* weight_v, double* weight_h) {
    const std::int64_t gh = terms_.grid_height, gw = terms_.grid_width, blocks = gh * gw;
    const std::int64_t partner = terms_.index[b];
    for (std::int64_t p = 0; p < blocks; ++p) {
        costs_[static_cast<std::size_t>(2 * p)] = terms_.saliency[partner * blocks + p];
        costs_[static_cast<std::size_t>(2 * p + 1)] = terms_.saliency[b * blocks + p];
    }
    const Borders& geometry = borders_.geometry();
    const double* of[2] = {};
    if (borders_.wanted()) {
        of[0] = borders_.of(partner);
        of[1] = borders_.of(b);
    }
    for (std::int64_t r = 0; r + 1 < gh; ++r)
        write_line(
            {gw, r * gw, 1, gw, 1},
            [&](int x, int y, double* out) { geometry.below(r, of[x], of[y], out); },
            weight_v + r * gw);
    for (std::int64_t c = 0; c + 1 < gw; ++c)
        write_line(
            {gh, c, gw, 1, gw - 1},
            [&](int x, int y, double* out) { geometry.right_of(c, of[x], of[y], out); },
            weight_h + c);

    const double* prior = terms_.prior + (terms_.each_prior ? b * terms_.labels : 0);
    for (std::int64_t p = 0; p < blocks; ++p) {
        const double k1 = costs_[static_cast<std::size_t>(2 * p)];
        const double k2 = costs_[static_cast<std::size_t>(2 * p + 1)];
        for (std::int64_t k = 0; k < terms_.labels; ++k) {
            const double t = share_[static_cast<std::size_t>(k)];
            *unary++ = (1 - t) * k1 + t * k2 + prior[k];
        }
    }
}

template <class T>
bool energy(const Terms& terms, const T* images, double* unary, double* weight_v, double* weight_h,
            int threads) {
    const std::int64_t gh = terms.grid_height, gw = terms.grid_width;
    const BatchBorders borders(terms);
    std::atomic<bool> finite{true};
    parallel_for_small(
        terms.batch, threads,
        [&] {
            return [&, measurer = Measurer<T>(terms, images, borders)](std::int64_t b) mutable {
                if (!measurer.measure(b)) finite.store(false, std::memory_order_relaxed);
            };
        },
        images_per_chunk(terms));
    if (!finite) return false;
    parallel_for_small(
        terms.batch, threads,
        [&] {
            return [&, writer = EnergyWriter(terms, borders)](std::int64_t b) mutable {
                writer.write(b, unary + b * gh * gw * terms.labels, weight_v + b * (gh - 1) * gw,
                             weight_h + b * gh * (gw - 1));
            };
        },
        energies_per_chunk(terms));
    return true;
}

template class Measurer<float>;
template class Measurer<double>;
template bool energy(const Terms&, const float*, double*, double*, double*, int);
template bool energy(const Terms&, const double*, double*, double*, double*, int);

}  // namespace comix::puzzlemix
