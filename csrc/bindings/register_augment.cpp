#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>

#include "augment/comixup_plan.hpp"
#include "augment/puzzlemix_plan.hpp"
#include "base/values.hpp"
#include "bindings/arrays.hpp"
#include "bindings/image_arrays.hpp"
#include "bindings/methods.hpp"
#include "bindings/plan_output.hpp"
#include "bindings/puzzlemix_terms.hpp"
#include "bindings/register.hpp"

namespace comix::bindings {

namespace {

using GivenBatch = std::optional<PlannedBatch::Given>;

// Checked while the GIL is held.
std::optional<PlannedBatch> planned(const GivenBatch& mixed, std::int64_t batch,
                                    std::int64_t height, std::int64_t width) {
    if (!mixed) return std::nullopt;
    const PlannedBatch result(*mixed);
    result.require_fit(batch, height, width);
    return result;
}

template <class T, class S>
void set_images(augment::MaskBatch<T, S>& all, const Array<T>& images, const Array<S>& saliency,
                const Array<std::int64_t>& index, const Array<double>& prior,
                const Array<double>& deviation, std::array<std::int64_t, 2> grid, double beta,
                double gamma, std::int64_t neighbour_size, double rounding) {
    const auto images_view = view<T, 4>(images, "images");
    const auto saliency_view = view<S, 3>(saliency, "saliency");
    all.terms = puzzlemix_terms(images_view, index, prior, deviation, grid[0], grid[1], beta, gamma,
                                neighbour_size, rounding);
    require_shape<3>(saliency_view.shape, {all.terms.batch, all.terms.height, all.terms.width},
                     "saliency");
    all.images = images_view.data;
    all.saliency = saliency_view.data;
}

template <class T, class S>
bool puzzlemix_masks(const Array<T>& images, const Array<S>& saliency,
                     const Array<std::int64_t>& index, const Array<double>& prior,
                     const Array<double>& deviation, std::array<std::int64_t, 2> grid, double beta,
                     double gamma, std::int64_t neighbour_size, double rounding,
                     const std::string& method, int threads, Array<float> mask) {
    augment::MaskBatch<T, S> all;
    set_images(all, images, saliency, index, prior, deviation, grid, beta, gamma, neighbour_size,
               rounding);
    all.method = cut_method(method);
    const auto out = output<float, 3>(mask, "mask");
    require_shape<3>(out.shape, {all.terms.batch, grid[0], grid[1]}, "mask");
    const py::gil_scoped_release release;  // only views from here on
    return augment::puzzlemix_masks(all, out.data, threads);
}

// The plan is [B, gh, gw, 2] times `finer` blocks that move per mask block; with finer (0, 0)
// nothing moves.
template <class T, class S>
bool puzzlemix_plan(const Array<T>& images, const Array<S>& saliency,
                    const Array<std::int64_t>& index, const Array<double>& prior,
                    const Array<double>& deviation, std::array<std::int64_t, 2> grid,
                    std::array<std::int64_t, 2> finer, double beta, double gamma,
                    std::int64_t neighbour_size, double rounding, double eps, int threads,
                    Array<std::int64_t> source, Array<std::int64_t> block, Array<float> weight,
                    const GivenBatch& mixed) {
    augment::PuzzleBatch<T, S> all;
    set_images(all, images, saliency, index, prior, deviation, grid, beta, gamma, neighbour_size,
               rounding);
    const std::int64_t batch = all.terms.batch, height = all.terms.height, width = all.terms.width;
    all.transport = finer[0] > 0 || finer[1] > 0;
    if (all.transport) {
        require(finer[0] >= 1 && finer[1] >= 1 && finer[0] <= height && finer[1] <= width,
                "finer: expected at least one block");
        require_grid(grid[0] * finer[0], grid[1] * finer[1], height, width);
        all.finer_height = finer[0];
        all.finer_width = finer[1];
    }
    all.eps = eps;
    const auto out = plan_output(source, block, weight, {batch, all.height(), all.width(), 2});
    const auto pending = planned(mixed, batch, height, width);
    const py::gil_scoped_release release;  // only views from here on
    const bool fine = augment::puzzlemix_plan(all, out, threads);
    if (fine && pending)
        pending->mix({batch, all.height(), all.width(), out.source, out.block, out.weight},
                     threads);
    return fine;
}

// init: what all partitions start from, laid end to end. The largest source of the plan, or -1.
template <class S>
std::int64_t comixup_plan(const Array<S>& saliency, const Array<double>& prior,
                          const Array<std::int64_t>& init, std::array<std::int64_t, 2> grid,
                          std::int64_t partition, std::int64_t starts,
                          std::array<std::int64_t, 2> window, double omega, double beta,
                          double gamma, double tau, int sweeps, const std::string& threshold,
                          int threads, Array<std::int64_t> source, Array<std::int64_t> block,
                          Array<float> weight, const GivenBatch& mixed) {
    const auto maps = view<S, 3>(saliency, "saliency");
    const auto prior_view = view<double, 1>(prior, "prior");
    const auto init_view = view<std::int64_t, 1>(init, "init");
    augment::CoMixupBatch<S> all;
    all.batch = maps.shape[0];
    all.height = maps.shape[1];
    all.width = maps.shape[2];
    require_grid(grid[0], grid[1], all.height, all.width);
    require(partition >= 1 && starts >= 1 && sweeps >= 1,
            "expected partition, restarts and sweeps of at least 1");
    require(std::min(partition, all.batch) <= 32000,
            "cost: expected at most 32000 inputs per partition");
    require(window[0] >= 1 && window[0] <= all.height && window[1] >= 1 && window[1] <= all.width,
            "window: expected one that fits the map");
    all.grid_height = grid[0];
    all.grid_width = grid[1];
    all.partition = partition;
    all.starts = starts;
    all.window_height = window[0];
    all.window_width = window[1];
    all.omega = omega;
    require_shape<1>(prior_view.shape, {all.batch}, "prior");
    require(starts <= init_view.size(), "init: expected all starts");
    require_shape<1>(init_view.shape, {all.batch * starts * all.blocks()}, "init");
    for (std::int64_t begin = 0; begin < all.batch; begin += partition) {
        const std::int64_t n = std::min(partition, all.batch - begin);
        require(all_within(init_view.data + begin * starts * all.blocks(),
                           n * starts * all.blocks(), 0, n - 1),
                "init: expected inputs in 0.." + std::to_string(n - 1));
    }
    all.saliency = maps.data;
    all.prior = prior_view.data;
    all.init = init_view.data;
    all.settings.beta = beta;
    all.settings.gamma = gamma;
    all.settings.tau = tau;
    all.settings.sweeps = sweeps;
    all.settings.threshold = threshold_of(threshold);
    const auto out = plan_output(source, block, weight, {all.batch, grid[0], grid[1], 2});
    const auto pending = planned(mixed, all.batch, all.height, all.width);
    const py::gil_scoped_release release;  // only views from here on
    const std::int64_t largest = augment::comixup_plan(all, out, threads);
    if (largest >= 0 && pending)
        pending->mix({all.batch, grid[0], grid[1], out.source, out.block, out.weight}, threads);
    return largest;
}

template <class S>
void define(py::module_& module) {
    using py::arg;
    module.def("comixup_plan", &comixup_plan<S>, arg("saliency").noconvert(),
               arg("prior").noconvert(), arg("init").noconvert(), arg("grid"), arg("partition"),
               arg("starts"), arg("window"), arg("omega"), arg("beta"), arg("gamma"), arg("tau"),
               arg("sweeps"), arg("threshold"), arg("threads"), arg("source").noconvert(),
               arg("block").noconvert(), arg("weight").noconvert(),
               arg("mixed").noconvert().none(true));
}

template <class T, class S>
void define_puzzlemix(py::module_& module) {
    using py::arg;
    module.def("puzzlemix_masks", &puzzlemix_masks<T, S>, arg("images").noconvert(),
               arg("saliency").noconvert(), arg("index").noconvert(), arg("prior").noconvert(),
               arg("std").noconvert(), arg("grid"), arg("beta"), arg("gamma"), arg("neigh_size"),
               arg("rounding"), arg("method"), arg("threads"), arg("mask").noconvert());
    module.def("puzzlemix_plan", &puzzlemix_plan<T, S>, arg("images").noconvert(),
               arg("saliency").noconvert(), arg("index").noconvert(), arg("prior").noconvert(),
               arg("std").noconvert(), arg("grid"), arg("finer"), arg("beta"), arg("gamma"),
               arg("neigh_size"), arg("rounding"), arg("eps"), arg("threads"),
               arg("source").noconvert(), arg("block").noconvert(), arg("weight").noconvert(),
               arg("mixed").noconvert().none(true));
}

}  // namespace

void register_augment(py::module_& module) {
    define<float>(module);
    define<double>(module);
    define_puzzlemix<float, float>(module);
    define_puzzlemix<float, double>(module);
    define_puzzlemix<double, float>(module);
    define_puzzlemix<double, double>(module);
}

}  // namespace comix::bindings
