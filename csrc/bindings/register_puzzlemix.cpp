#include "bindings/arrays.hpp"
#include "bindings/puzzlemix_terms.hpp"
#include "bindings/register.hpp"
#include "puzzlemix/pool.hpp"

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
    const auto unary_out = output<double, 4>(unary, "unary");
    const auto v_out = output<double, 3>(weight_v, "weight_v");
    const auto h_out = output<double, 3>(weight_h, "weight_h");

    const auto gh = saliency_view.shape[1], gw = saliency_view.shape[2];
    auto terms = puzzlemix_terms(images_view, index, prior, deviation, gh, gw, beta, gamma,
                                 neighbour_size, rounding);
    require_shape<3>(saliency_view.shape, {terms.batch, gh, gw}, "saliency");
    require_shape<4>(unary_out.shape, {terms.batch, gh, gw, terms.labels}, "unary");
    require_shape<3>(v_out.shape, {terms.batch, gh - 1, gw}, "weight_v");
    require_shape<3>(h_out.shape, {terms.batch, gh, gw - 1}, "weight_h");
    terms.saliency = saliency_view.data;
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
    require_grid(gh, gw, height, width);
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
