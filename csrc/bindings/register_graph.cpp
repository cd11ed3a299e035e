#include <algorithm>
#include <optional>

#include <pybind11/stl.h>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "gridcut/graph_cut.hpp"

namespace comix::bindings {

namespace {

// unary [N, L], pairwise [L, L], edges [E, 2], weights [E]; labels [N] hold the start and receive
// the result. Returns its energy.
double graph_cut(const Array<double>& unary, const Array<double>& pairwise,
                 const Array<std::int64_t>& edges, const Array<double>& weights,
                 const std::string& method, int max_sweeps, Array<std::int64_t> labels) {
    const auto unary_view = view<double, 2>(unary, "unary");
    const auto pairwise_view = view<double, 2>(pairwise, "pairwise");
    const auto edges_view = view<std::int64_t, 2>(edges, "edges");
    const auto weights_view = view<double, 1>(weights, "weights");
    const auto labels_out = output<std::int64_t, 1>(labels, "labels");
    const auto [sites, n_labels] = unary_view.shape;
    require(sites >= 1 && n_labels >= 1, "unary: expected at least one site and one label");
    require(sites < (std::int64_t{1} << 26) && n_labels <= 65535,
            "unary: expected fewer than 2^26 sites and at most 65535 labels");
    require(weights_view.size() < (std::int64_t{1} << 28), "weights: expected fewer than 2^28");
    require_shape<2>(pairwise_view.shape, {n_labels, n_labels}, "pairwise");
    require_shape<2>(edges_view.shape, {weights_view.size(), 2}, "edges");
    require_shape<1>(labels_out.shape, {sites}, "labels");
    require(method == "expansion" || method == "swap",
            "method: expected one of 'expansion', 'swap', got '" + method + "'");
    for (std::int64_t e = 0; e < weights_view.size(); ++e) {
        const std::int64_t p = edges_view.data[2 * e], q = edges_view.data[2 * e + 1];
        if (p < 0 || q < 0 || p >= sites || q >= sites || p == q)
            throw InvalidArgument("edges: expected two different sites in 0.." +
                                  std::to_string(sites - 1) + ", got (" + std::to_string(p) + ", " +
                                  std::to_string(q) + ")");
    }
    std::vector<gridcut::Label> start(static_cast<std::size_t>(sites));
    for (std::int64_t p = 0; p < sites; ++p) {
        if (labels_out.data[p] < 0 || labels_out.data[p] >= n_labels)
            throw InvalidArgument("init: expected labels in 0.." + std::to_string(n_labels - 1) +
                                  ", got " + std::to_string(labels_out.data[p]));
        start[static_cast<std::size_t>(p)] = static_cast<gridcut::Label>(labels_out.data[p]);
    }

    const py::gil_scoped_release release;  // only views from here on
    const gridcut::GraphProblem problem{static_cast<int>(sites), static_cast<int>(n_labels),
                                        weights_view.size(),     unary_view.data,
                                        pairwise_view.data,      edges_view.data,
                                        weights_view.data};
    gridcut::GraphCutter cutter;
    if (method == "swap") {
        cutter.swap(problem, max_sweeps, start.data());
    } else {
        cutter.expansion(problem, max_sweeps, start.data());
    }
    std::copy(start.begin(), start.end(), labels_out.data);
    return gridcut::graph_energy(problem, labels_out.data);
}

}  // namespace

void register_graph(py::module_& module) {
    using py::arg;
    module.def("graph_cut", &graph_cut, arg("unary").noconvert(), arg("pairwise").noconvert(),
               arg("edges").noconvert(), arg("weights").noconvert(), arg("method"),
               arg("max_sweeps"), arg("labels").noconvert());
}

}  // namespace comix::bindings
