// The terms of PuzzleMix energies from the arrays that Python gives, checked.
#pragma once

#include "bindings/arrays.hpp"
#include "puzzlemix/puzzlemix.hpp"

namespace comix::bindings {

inline void require_grid(std::int64_t gh, std::int64_t gw, std::int64_t height,
                         std::int64_t width) {
    require(gh >= 1 && gh <= height && gw >= 1 && gw <= width,
            "grid: expected 1 to H x 1 to W blocks");
}

// All but the saliency. images [B, C, H, W], index [B], prior [1, L] or [B, L], deviation [C].
template <class T>
puzzlemix::Terms puzzlemix_terms(const View<const T, 4>& images, const Array<std::int64_t>& index,
                                 const Array<double>& prior, const Array<double>& deviation,
                                 std::int64_t gh, std::int64_t gw, double beta, double gamma,
                                 std::int64_t neighbour_size, double rounding) {
    const auto index_view = view<std::int64_t, 1>(index, "index");
    const auto prior_view = view<double, 2>(prior, "prior");
    const auto deviation_view = view<double, 1>(deviation, "std");
    const auto [batch, channels, height, width] = images.shape;
    const auto [rows, labels] = prior_view.shape;
    require_grid(gh, gw, height, width);
    require(channels >= 1 && labels >= 2 && neighbour_size >= 1,
            "expected channels >= 1, n_labels >= 2 and neigh_size >= 1");
    require_shape<1>(index_view.shape, {batch}, "index");
    require(rows == 1 || rows == batch, "prior: expected one row, or one per image");
    require_shape<1>(deviation_view.shape, {channels}, "std");
    for (std::int64_t b = 0; b < batch; ++b)
        require(index_view[b] >= 0 && index_view[b] < batch,
                "index: expected values in 0.." + std::to_string(batch - 1) + ", got " +
                    std::to_string(index_view[b]));

    puzzlemix::Terms terms;
    terms.batch = batch;
    terms.channels = channels;
    terms.height = height;
    terms.width = width;
    terms.grid_height = gh;
    terms.grid_width = gw;
    terms.labels = labels;
    terms.index = index_view.data;
    terms.prior = prior_view.data;
    terms.each_prior = rows > 1;
    terms.deviation = deviation_view.data;
    terms.beta = beta;
    terms.gamma = gamma;
    terms.neighbour_size = neighbour_size;
    terms.rounding = rounding;
    return terms;
}

}  // namespace comix::bindings
