#include "puzzlemix/puzzlemix.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/blocks.hpp"
#include "base/threads.hpp"

namespace comix::puzzlemix {

namespace {

// One axis of the image: blocks, and equal cells inside each block.
struct Axis {
    std::int64_t pixels, blocks, cells;  // cells per block
    std::vector<std::int64_t> starts;    // [blocks * cells + 1] first pixel of each cell

    Axis(std::int64_t n, std::int64_t g, std::int64_t neighbour_size) : pixels(n), blocks(g) {
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
    // First pixel of cell k (0..cells) of block i.
    std::int64_t start(std::int64_t i, std::int64_t k) const {
        return starts[static_cast<std::size_t>(i * cells + k)];
    }
};

// Mean colours of the cells along the four sides of every block of one image.
class Borders {
  public:
    Borders(const Axis& rows, const Axis& columns, std::int64_t channels)
        : rows_(rows), columns_(columns), channels_(channels) {}

    std::int64_t size() const { return 2 * (vertical_size() + horizontal_size()); }

    // Sides of block (r, c): cells of its first / last row (side 0 / 1), or column (2 / 3); [C,
    // cells].
    const double* side(const double* image, std::int64_t r, std::int64_t c, int which) const {
        const std::int64_t block = r * columns_.blocks + c;
        if (which < 2) return image + which * vertical_size() + block * channels_ * columns_.cells;
        return image + 2 * vertical_size() + (which - 2) * horizontal_size() +
               block * channels_ * rows_.cells;
    }

    template <class T>
    void measure(const T* image, const double* deviation, double* out) const {
        for (std::int64_t r = 0; r < rows_.blocks; ++r) {
            for (std::int64_t c = 0; c < columns_.blocks; ++c) {
                for (int which = 0; which < 4; ++which) {
                    auto* cell = const_cast<double*>(side(out, r, c, which));
                    const std::int64_t count = which < 2 ? columns_.cells : rows_.cells;
                    for (std::int64_t channel = 0; channel < channels_; ++channel) {
                        const T* plane = image + channel * rows_.pixels * columns_.pixels;
                        for (std::int64_t t = 0; t < count; ++t) {
                            const std::int64_t last = which % 2;  // the far side of the block
                            const std::int64_t row = which < 2 ? last * (rows_.cells - 1) : t;
                            const std::int64_t column = which < 2 ? t : last * (columns_.cells - 1);
                            *cell++ = deviation[channel] * mean(plane, r, row, c, column);
                        }
                    }
                }
            }
        }
    }

    // Mean over cells and channels of the absolute difference across a border.
    double contrast(const double* a, const double* b, bool vertical) const {
        const std::int64_t n = channels_ * (vertical ? columns_.cells : rows_.cells);
        double sum = 0;
        for (std::int64_t e = 0; e < n; ++e) sum += std::abs(a[e] - b[e]);
        return sum / static_cast<double>(n);
    }

  private:
    std::int64_t vertical_size() const {
        return rows_.blocks * columns_.blocks * channels_ * columns_.cells;
    }
    std::int64_t horizontal_size() const {
        return rows_.blocks * columns_.blocks * channels_ * rows_.cells;
    }

    template <class T>
    double mean(const T* plane, std::int64_t r, std::int64_t i, std::int64_t c,
                std::int64_t j) const {
        const std::int64_t top = rows_.start(r, i), bottom = rows_.start(r, i + 1);
        const std::int64_t left = columns_.start(c, j), right = columns_.start(c, j + 1);
        double sum = 0;
        for (std::int64_t y = top; y < bottom; ++y) {
            const T* pixels = plane + y * columns_.pixels;
            double row = 0;  // rows add up side by side, not one after the other
            for (std::int64_t x = left; x < right; ++x) row += static_cast<double>(pixels[x]);
            sum += row;
        }
        return sum / static_cast<double>((bottom - top) * (right - left));
    }

    Axis rows_, columns_;
    std::int64_t channels_;
};

// Folds one edge into the costs of its two blocks and returns what stays on the edge. h[a][b] is
// the contrast when the first block shows image a and the second image b (1 the sample, 0 its
// partner).
double fold_edge(const double h[2][2], double* first, double* second) {
    first[0] += (h[1][0] + h[1][1]) / 2;
    first[1] += (h[0][1] + h[0][0]) / 2;
    second[0] += (h[0][1] + h[1][1]) / 2;
    second[1] += (h[1][0] + h[0][0]) / 2;
    return (h[1][0] + h[0][1] - h[1][1] - h[0][0]) / 2;
}

}  // namespace

template <class T>
void energy(const Terms& terms, const T* images, double* unary, double* weight_v, double* weight_h,
            int threads) {
    const std::int64_t gh = terms.grid_height, gw = terms.grid_width, blocks = gh * gw;
    const Borders borders(Axis(terms.height, gh, terms.neighbour_size),
                          Axis(terms.width, gw, terms.neighbour_size), terms.channels);
    std::vector<double> sides(static_cast<std::size_t>(terms.batch * borders.size()));
    if (terms.gamma != 0.0) {
        parallel_for(terms.batch, threads, [&] {
            return [&](std::int64_t b) {
                borders.measure(images + b * terms.channels * terms.height * terms.width,
                                terms.deviation, sides.data() + b * borders.size());
            };
        });
    }

    parallel_for(terms.batch, threads, [&] {
        std::vector<double> costs(static_cast<std::size_t>(blocks) * 2);  // [blocks] of K1, K2
        return [&, costs](std::int64_t b) mutable {
            const std::int64_t partner = terms.index[b];
            for (std::int64_t p = 0; p < blocks; ++p) {
                costs[static_cast<std::size_t>(2 * p)] = terms.saliency[partner * blocks + p];
                costs[static_cast<std::size_t>(2 * p + 1)] = terms.saliency[b * blocks + p];
            }
            const double* of[2] = {sides.data() + partner * borders.size(),
                                   sides.data() + b * borders.size()};
            const auto edge = [&](std::int64_t r, std::int64_t c, bool vertical) {
                const std::int64_t r2 = r + vertical, c2 = c + !vertical;
                double h[2][2] = {};
                if (terms.gamma != 0.0) {
                    for (int x = 0; x < 2; ++x)
                        for (int y = 0; y < 2; ++y)
                            h[x][y] = terms.beta * terms.gamma *
                                      borders.contrast(
                                          borders.side(of[x], r, c, vertical ? 1 : 3),
                                          borders.side(of[y], r2, c2, vertical ? 0 : 2), vertical);
                }
                const double weight =
                    terms.beta + fold_edge(h, &costs[static_cast<std::size_t>(2 * (r * gw + c))],
                                           &costs[static_cast<std::size_t>(2 * (r2 * gw + c2))]);
                // Zero up to rounding (gamma 1, opposite images) must not look like a negative
                // weight.
                return std::abs(weight) < 1e-12 * terms.beta ? 0.0 : weight;
            };
            for (std::int64_t r = 0; r + 1 < gh; ++r)
                for (std::int64_t c = 0; c < gw; ++c)
                    weight_v[(b * (gh - 1) + r) * gw + c] = edge(r, c, true);
            for (std::int64_t r = 0; r < gh; ++r)
                for (std::int64_t c = 0; c + 1 < gw; ++c)
                    weight_h[(b * gh + r) * (gw - 1) + c] = edge(r, c, false);

            const std::int64_t labels = terms.labels;
            for (std::int64_t p = 0; p < blocks; ++p) {
                for (std::int64_t k = 0; k < labels; ++k) {
                    const double t = static_cast<double>(k) / static_cast<double>(labels - 1);
                    unary[(b * blocks + p) * labels + k] =
                        (1 - t) * costs[static_cast<std::size_t>(2 * p)] +
                        t * costs[static_cast<std::size_t>(2 * p + 1)] +
                        terms.prior[b * labels + k];
                }
            }
        };
    });
}

template void energy(const Terms&, const float*, double*, double*, double*, int);
template void energy(const Terms&, const double*, double*, double*, double*, int);

}  // namespace comix::puzzlemix
