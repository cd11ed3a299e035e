#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "puzzlemix/pool.hpp"
#include "puzzlemix/puzzlemix.hpp"

namespace comix::bindings {

namespace {

template <class T>
bool puzzlemix_energy(const Array<T>& images, const Array<double>& saliency,
                      const Array<std::int64_t>& index, const Array<double>& prior,
                      const Array<double>& deviation, double beta, double gamma,
                      std::int64_t neighbour_size, double rounding, int threads,
                      Array<double> unary, Array<double> weight_v, Array<double> weight_h) {
    const auto images_view = view<T, 4>(images, "images");
    const auto saliency_view = view<double, 3>(saliency, "saliency");
    const auto index_view = view<std::int64_t, 1>(index, "index");
    const auto prior_view = view<double, 2>(prior, "prior");
    const auto deviation_view = view<double, 1>(deviation, "std");
    const auto unary_out = output<double, 4>(unary, "unary");
    const auto v_out = output<double, 3>(weight_v, "weight_v");
    const auto h_out = output<double, 3>(weight_h, "weight_h");

    const auto [batch, channels, height, width] = images_view.shape;
    const auto gh = saliency_view.shape[1], gw = saliency_view.shape[2];
    const auto labels = prior_view.shape[1];
    require(gh >= 1 && gh <= height && gw >= 1 && gw <= width,
            "grid: expected 1 to H x 1 to W blocks");
    require(channels >= 1 && labels >= 2 && neighbour_size >= 1,
            "expected channels >= 1, n_labels >= 2 and neigh_size >= 1");
    require_shape<3>(saliency_view.shape, {batch, gh, gw}, "saliency");
    require_shape<1>(index_view.shape, {batch}, "index");
    require(prior_view.shape[0] == 1 || prior_view.shape[0] == batch,
            "prior: expected one row, or one per image");
    require_shape<1>(deviation_view.shape, {channels}, "std");
    require_shape<4>(unary_out.shape, {batch, gh, gw, labels}, "unary");
    require_shape<3>(v_out.shape, {batch, gh - 1, gw}, "weight_v");
    require_shape<3>(h_out.shape, {batch, gh, gw - 1}, "weight_h");
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
    terms.saliency = saliency_view.data;
    terms.index = index_view.data;
    terms.prior = prior_view.data;
    terms.each_prior = prior_view.shape[0] > 1;
    terms.deviation = deviation_view.data;
    terms.beta = beta;
    terms.gamma = gamma;
    terms.neighbour_size = neighbour_size;
    terms.rounding = rounding;
    const py::gil_scoped_release release;  // only views from here on
    return puzzlemix::energy(terms, images_view.data, unary_out.data, v_out.data, h_out.data,
                             threads);
}

template <class T>
bool pool_saliency(const Array<T>& saliency, int threads, Array<T> pooled) {
    const auto maps = view<T, 3>(saliency, "saliency");
    const auto out = output<T, 3>(pooled, "pooled");
    const auto [batch, height, width] = maps.shape;
    const auto gh = out.shape[1], gw = out.shape[2];
    require(gh >= 1 && gh <= height && gw >= 1 && gw <= width,
            "grid: expected 1 to H x 1 to W blocks");
    require_shape<3>(out.shape, {batch, gh, gw}, "pooled");
    const py::gil_scoped_release release;  // only views from here on
    return puzzlemix::pool(maps.data, batch, height, width, gh, gw, out.data, threads);
}

template <class T>
void define(py::module_& module) {
    using py::arg;
    module.def("puzzlemix_energy", &puzzlemix_energy<T>, arg("images").noconvert(),
               arg("saliency").noconvert(), arg("index").noconvert(), arg("prior").noconvert(),
               arg("std").noconvert(), arg("beta"), arg("gamma"), arg("neigh_size"),
               arg("rounding"), arg("threads"), arg("unary").noconvert(),
               arg("weight_v").noconvert(), arg("weight_h").noconvert());
    module.def("pool_saliency", &pool_saliency<T>, arg("saliency").noconvert(), arg("threads"),
               arg("pooled").noconvert());
}

}  // namespace

void register_puzzlemix(py::module_& module) {
    define<float>(module);
    define<double>(module);
}

}  // namespace comix::bindings
