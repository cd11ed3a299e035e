#include <pybind11/stl.h>

#include <optional>

#include "base/threads.hpp"
#include "bindings/arrays.hpp"
#include "bindings/methods.hpp"
#include "bindings/register.hpp"
#include "comixup/batch.hpp"
#include "comixup/prior.hpp"
#include "comixup/spot.hpp"

namespace comix::bindings {

namespace {

using comixup::Partition;
using comixup::Settings;

// Partitions of one size, laid end to end.
class Partitions {
  public:
    Partitions(const Array<double>& cost, const std::optional<Array<double>>& compatibility,
               std::int64_t outputs)
        : cost_(view<double, 4>(cost, "cost")), outputs_(outputs) {
        const auto [count, inputs, height, width] = cost_.shape;
        require(inputs >= 1 && height >= 1 && width >= 1,
                "cost: expected at least one input and one block");
        require(inputs <= 32000, "cost: expected at most 32000 inputs per partition");
        if (!compatibility) return;
        const auto matrix = view<double, 3>(*compatibility, "compatibility");
        require_shape<3>(matrix.shape, {count, inputs, inputs}, "compatibility");
        compatibility_ = matrix.data;
    }

    std::int64_t size() const { return cost_.shape[0]; }
    std::int64_t inputs() const { return cost_.shape[1]; }
    std::int64_t height() const { return cost_.shape[2]; }
    std::int64_t width() const { return cost_.shape[3]; }
    std::int64_t outputs() const { return outputs_; }

    Partition operator[](std::int64_t i) const {
        Partition partition;
        partition.inputs = static_cast<int>(inputs());
        partition.outputs = static_cast<int>(outputs_);
        partition.height = static_cast<int>(height());
        partition.width = static_cast<int>(width());
        partition.cost = cost_.data + i * inputs() * height() * width();
        if (compatibility_) partition.compatibility = compatibility_ + i * inputs() * inputs();
        return partition;
    }

    void check_labels(const std::int64_t* labels, std::int64_t count, const char* name) const {
        for (std::int64_t k = 0; k < count; ++k)
            require(labels[k] >= 0 && labels[k] < inputs(),
                    std::string(name) + ": expected inputs in 0.." + std::to_string(inputs() - 1) +
                        ", got " + std::to_string(labels[k]));
    }

  private:
    View<const double, 4> cost_;
    const double* compatibility_ = nullptr;
    std::int64_t outputs_;
};

void comixup_labels(const Array<double>& cost, const std::optional<Array<double>>& compatibility,
                    const Array<std::int64_t>& init, double beta, double gamma, double tau,
                    int sweeps, const std::string& threshold, bool resolve_duplicates,
                    const std::string& select, const std::string& method, int threads,
                    Array<std::int64_t> labels) {
    const auto init_view = view<std::int64_t, 5>(init, "init");  // [P, R, m, gh, gw]
    const std::int64_t starts = init_view.shape[1], outputs = init_view.shape[2];
    const Partitions partitions(cost, compatibility, outputs);
    const auto count = partitions.size(), height = partitions.height(), width = partitions.width();
    require(starts >= 1 && outputs >= 1, "init: expected at least one start and one output");
    require(sweeps >= 1, "sweeps: expected at least 1");
    require_shape<5>(init_view.shape, {count, starts, outputs, height, width}, "init");
    partitions.check_labels(init_view.data, init_view.size(), "init");
    const auto labels_out = output<std::int64_t, 5>(labels, "labels");
    require_shape<5>(labels_out.shape, {count, outputs, height, width, 2}, "labels");

    Settings settings;
    settings.beta = beta;
    settings.gamma = gamma;
    settings.tau = tau;
    settings.sweeps = sweeps;
    settings.threshold = threshold_of(threshold);
    settings.resolve_duplicates = resolve_duplicates;
    require(select == "best" || select == "last",
            "select: expected one of 'best', 'last', got '" + select + "'");
    settings.select = select == "best" ? comixup::Select::best : comixup::Select::last;
    settings.method = cut_method(method);

    const py::gil_scoped_release release;  // only views from here on
    const std::int64_t cells = outputs * height * width;
    std::vector<comixup::Task> tasks;
    for (std::int64_t p = 0; p < count; ++p)
        tasks.push_back(
            {partitions[p], init_view.data + p * starts * cells, labels_out.data + p * cells * 2});
    comixup::solve_batch(tasks, starts, settings, threads);
}

void comixup_objective(const Array<std::int64_t>& labels, const Array<double>& cost,
                       const std::optional<Array<double>>& compatibility, double beta, double gamma,
                       double tau, const std::string& threshold, Array<double> objective) {
    const auto labels_view = view<std::int64_t, 5>(labels, "labels");  // [P, m, gh, gw, 2]
    const std::int64_t outputs = labels_view.shape[1];
    const Partitions partitions(cost, compatibility, outputs);
    require_shape<5>(labels_view.shape,
                     {partitions.size(), outputs, partitions.height(), partitions.width(), 2},
                     "labels");
    partitions.check_labels(labels_view.data, labels_view.size(), "labels");
    const auto out = comix::bindings::output<double, 1>(objective, "objective");
    require_shape<1>(out.shape, {partitions.size()}, "objective");
    Settings settings;
    settings.beta = beta;
    settings.gamma = gamma;
    settings.tau = tau;
    settings.threshold = threshold_of(threshold);
    const py::gil_scoped_release release;  // only views from here on
    const std::int64_t cells = outputs * partitions.height() * partitions.width();
    for (std::int64_t p = 0; p < partitions.size(); ++p)
        out[p] = comixup::objective(partitions[p], settings, labels_view.data + p * cells * 2);
}

// Amounts [P, n] of every partition.
void comixup_prior(const Array<double>& amounts, double weight, Array<double> prior) {
    const auto amounts_view = view<double, 2>(amounts, "amounts");
    const auto out = output<double, 2>(prior, "prior");
    require_shape<2>(out.shape, amounts_view.shape, "prior");
    const auto [count, n] = amounts_view.shape;
    for (std::int64_t p = 0; p < count; ++p)
        comixup::prior(amounts_view.data + p * n, n, weight, out.data + p * n);
}

template <class T>
void salient_spots(const Array<T>& saliency, std::int64_t window_height, std::int64_t window_width,
                   int threads, Array<std::int64_t> spots) {
    const auto maps = view<T, 3>(saliency, "saliency");
    // Plain names: lambdas capture structured bindings from C++20 on only.
    const std::int64_t count = maps.shape[0], height = maps.shape[1], width = maps.shape[2];
    require(
        window_height >= 1 && window_height <= height && window_width >= 1 && window_width <= width,
        "window: expected one that fits the map");
    const auto out = output<std::int64_t, 2>(spots, "spots");
    require_shape<2>(out.shape, {count, 2}, "spots");
    const std::int64_t pixels = height * width;
    const py::gil_scoped_release release;  // only views from here on
    parallel_for_small(
        count, threads,
        [&] {
            return [&, finder = comixup::SpotFinder<T>()](std::int64_t i) mutable {
                const auto spot =
                    finder.find(maps.data + i * pixels, height, width, window_height, window_width);
                out.data[2 * i] = spot.row;
                out.data[2 * i + 1] = spot.column;
            };
        },
        comixup::spots_per_chunk(pixels));
}

template <class T>
void define(py::module_& module) {
    using py::arg;
    module.def("salient_spots", &salient_spots<T>, arg("saliency").noconvert(),
               arg("window_height"), arg("window_width"), arg("threads"), arg("spots").noconvert());
}

}  // namespace

void register_comixup(py::module_& module) {
    using py::arg;
    define<float>(module);
    define<double>(module);
    module.def("comixup_prior", &comixup_prior, arg("amounts").noconvert(), arg("weight"),
               arg("prior").noconvert());
    module.def("comixup_labels", &comixup_labels, arg("cost").noconvert(),
               arg("compatibility").noconvert(), arg("init").noconvert(), arg("beta"), arg("gamma"),
               arg("tau"), arg("sweeps"), arg("threshold"), arg("resolve_duplicates"),
               arg("select"), arg("method"), arg("threads"), arg("labels").noconvert());
    module.def("comixup_objective", &comixup_objective, arg("labels").noconvert(),
               arg("cost").noconvert(), arg("compatibility").noconvert(), arg("beta"), arg("gamma"),
               arg("tau"), arg("threshold"), arg("objective").noconvert());
}

}  // namespace comix::bindings
