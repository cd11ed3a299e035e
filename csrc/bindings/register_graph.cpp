#include <algorithm>
#include <optional>

#include <pybind11/stl.h>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "gridcut/graph_cut.hpp"

namespace comix::bindings {

namespace {

// The arguments all calls share, checked: unary [N, L], pairwise [L, L] or one per edge [E, L, L],
// edges [E, 2], weights [E]; labels [N] hold the start and receive the result.
struct Graph {
    Graph(const Array<double>& unary, const Array<double>& pairwise,
          const Array<std::int64_t>& edges, const Array<double>& weights,
          Array<std::int64_t>& labels) {
        const auto unary_view = view<double, 2>(unary, "unary");
        const auto edges_view = view<std::int64_t, 2>(edges, "edges");
        const auto weights_view = view<double, 1>(weights, "weights");
        const auto labels_view = output<std::int64_t, 1>(labels, "labels");
        const auto [sites, n_labels] = unary_view.shape;
        const std::int64_t n_edges = weights_view.size();
        require(sites >= 1 && n_labels >= 1, "unary: expected at least one site and one label");
        require(sites < (std::int64_t{1} << 26) && n_labels <= 65535,
                "unary: expected fewer than 2^26 sites and at most 65535 labels");
        require(n_edges < (std::int64_t{1} << 28), "weights: expected fewer than 2^28");
        problem.own_pairwise = pairwise.ndim() == 3;
        if (problem.own_pairwise) {
            const auto own = view<double, 3>(pairwise, "pairwise");
            require_shape<3>(own.shape, {n_edges, n_labels, n_labels}, "pairwise");
            problem.pairwise = own.data;
        } else {
            const auto shared = view<double, 2>(pairwise, "pairwise");
            require_shape<2>(shared.shape, {n_labels, n_labels}, "pairwise");
            problem.pairwise = shared.data;
        }
        require_shape<2>(edges_view.shape, {n_edges, 2}, "edges");
        require_shape<1>(labels_view.shape, {sites}, "labels");
        for (std::int64_t e = 0; e < n_edges; ++e) {
            const std::int64_t p = edges_view.data[2 * e], q = edges_view.data[2 * e + 1];
            if (p < 0 || q < 0 || p >= sites || q >= sites || p == q)
                throw InvalidArgument("edges: expected two different sites in 0.." +
                                      std::to_string(sites - 1) + ", got (" + std::to_string(p) +
                                      ", " + std::to_string(q) + ")");
        }
        for (std::int64_t p = 0; p < sites; ++p) {
            if (labels_view.data[p] < 0 || labels_view.data[p] >= n_labels)
                throw InvalidArgument("init: expected labels in 0.." +
                                      std::to_string(n_labels - 1) + ", got " +
                                      std::to_string(labels_view.data[p]));
            labels_of.push_back(static_cast<gridcut::Label>(labels_view.data[p]));
        }
        problem.sites = static_cast<int>(sites);
        problem.labels = static_cast<int>(n_labels);
        problem.edges = n_edges;
        problem.unary = unary_view.data;
        problem.edge = edges_view.data;
        problem.weight = weights_view.data;
        result = labels_view.data;
    }

    void finish() const { std::copy(labels_of.begin(), labels_of.end(), result); }

    gridcut::GraphProblem problem;
    std::vector<gridcut::Label> labels_of;
    std::int64_t* result = nullptr;
};

// Returns whether all moves were submodular.
bool graph_cut(const Array<double>& unary, const Array<double>& pairwise,
               const Array<std::int64_t>& edges, const Array<double>& weights,
               const std::string& method, int max_sweeps, Array<std::int64_t> labels) {
    Graph graph(unary, pairwise, edges, weights, labels);
    require(method == "expansion" || method == "swap",
            "method: expected one of 'expansion', 'swap', got '" + method + "'");

    const py::gil_scoped_release release;  // only views from here on
    gridcut::GraphCutter cutter;
    if (method == "swap") {
        cutter.swap(graph.problem, max_sweeps, graph.labels_of.data());
    } else {
        cutter.expansion(graph.problem, max_sweeps, graph.labels_of.data());
    }
    graph.finish();
    return cutter.submodular();
}

// One move: an expansion of label `first`, or a swap of `first` and `second`. Returns whether it
// was submodular.
bool graph_move(const Array<double>& unary, const Array<double>& pairwise,
                const Array<std::int64_t>& edges, const Array<double>& weights, std::int64_t first,
                std::optional<std::int64_t> second, Array<std::int64_t> labels) {
    Graph graph(unary, pairwise, edges, weights, labels);
    for (const std::int64_t label : {first, second.value_or(first)})
        if (label < 0 || label >= graph.problem.labels)
            throw InvalidArgument("label: expected 0.." + std::to_string(graph.problem.labels - 1) +
                                  ", got " + std::to_string(label));

    const py::gil_scoped_release release;  // only views from here on
    gridcut::GraphCutter cutter;
    const auto a = static_cast<gridcut::Label>(first);
    if (second) {
        cutter.swap_move(graph.problem, a, static_cast<gridcut::Label>(*second),
                         graph.labels_of.data());
    } else {
        cutter.expansion_move(graph.problem, a, graph.labels_of.data());
    }
    graph.finish();
    return cutter.submodular();
}

}  // namespace

void register_graph(py::module_& module) {
    using py::arg;
    module.def("graph_cut", &graph_cut, arg("unary").noconvert(), arg("pairwise").noconvert(),
               arg("edges").noconvert(), arg("weights").noconvert(), arg("method"),
               arg("max_sweeps"), arg("labels").noconvert());
    module.def("graph_move", &graph_move, arg("unary").noconvert(), arg("pairwise").noconvert(),
               arg("edges").noconvert(), arg("weights").noconvert(), arg("first"), arg("second"),
               arg("labels").noconvert());
}

}  // namespace comix::bindings
