#include <algorithm>
#include <cmath>
#include <optional>
#include <variant>

#include <pybind11/stl.h>

#include "base/threads.hpp"
#include "bindings/arrays.hpp"
#include "bindings/methods.hpp"
#include "bindings/register.hpp"
#include "gridcut/dominated.hpp"
#include "gridcut/grid_cut.hpp"

namespace comix::bindings {

namespace {

using gridcut::EdgeWeights;
using gridcut::GridProblem;
using Weights = std::variant<double, Array<double>>;  // one number, or [P, rows, columns]

// Views of a batch of problems that share the pairwise matrix.
class Batch {
  public:
    Batch(const Array<double>& unary, const Array<double>& pairwise, const Weights& weight_v,
          const Weights& weight_h)
        : unary_(view<double, 4>(unary, "unary")),
          pairwise_(view<double, 2>(pairwise, "pairwise")),
          vertical_(weights(weight_v, unary_.shape[1] - 1, unary_.shape[2], "weight_v")),
          horizontal_(weights(weight_h, unary_.shape[1], unary_.shape[2] - 1, "weight_h")) {
        const auto labels = unary_.shape[3];
        require(unary_.shape[1] > 0 && unary_.shape[2] > 0 && labels > 0,
                "unary: expected at least one site and one label");
        require(unary_.shape[1] * unary_.shape[2] < (std::int64_t{1} << 26),
                "unary: expected fewer than 2^26 sites");
        require_shape<2>(pairwise_.shape, {labels, labels}, "pairwise");
    }

    std::int64_t size() const { return unary_.shape[0]; }
    std::int64_t height() const { return unary_.shape[1]; }
    std::int64_t width() const { return unary_.shape[2]; }
    std::int64_t labels() const { return unary_.shape[3]; }
    std::int64_t sites() const { return height() * width(); }

    GridProblem problem(std::int64_t i) const {
        GridProblem problem;
        problem.height = static_cast<int>(height());
        problem.width = static_cast<int>(width());
        problem.labels = static_cast<int>(labels());
        problem.unary = unary_.data + i * sites() * labels();
        problem.pairwise = pairwise_.data;
        problem.weight_v = vertical_.of(i);
        problem.weight_h = horizontal_.of(i);
        return problem;
    }

  private:
    struct Stack {
        EdgeWeights first;
        std::int64_t stride = 0;  // from one problem to the next

        EdgeWeights of(std::int64_t i) const {
            return {first.data ? first.data + i * stride : nullptr, first.uniform};
        }
    };

    Stack weights(const Weights& given, std::int64_t rows, std::int64_t columns, const char* name) {
        if (const auto* number = std::get_if<double>(&given)) return {{nullptr, *number}, 0};
        const auto array = view<double, 3>(std::get<Array<double>>(given), name);
        require_shape<3>(array.shape, {size(), rows, columns}, name);
        // An empty array may have no memory; it has no edges either.
        if (array.size() == 0) return {{nullptr, 0.0}, 0};
        return {{array.data, 0.0}, rows * columns};
    }

    View<const double, 4> unary_;
    View<const double, 2> pairwise_;
    Stack vertical_, horizontal_;
};

void check_labels(const std::int64_t* labels, std::int64_t count, std::int64_t limit,
                  const char* name) {
    for (std::int64_t k = 0; k < count; ++k)
        if (labels[k] < 0 || labels[k] >= limit)
            throw InvalidArgument(std::string(name) + ": expected labels in 0.." +
                                  std::to_string(limit - 1) + ", got " + std::to_string(labels[k]));
}

void grid_cut(const Array<double>& unary, const Array<double>& pairwise, const Weights& weight_v,
              const Weights& weight_h, const std::string& method,
              const std::optional<Array<std::int64_t>>& init, int max_sweeps, int threads,
              Array<std::int64_t> labels, Array<double> energy, Array<bool> optimal) {
    const Batch batch(unary, pairwise, weight_v, weight_h);
    gridcut::Options options;
    options.method = cut_method(method);
    options.max_sweeps = max_sweeps;
    const auto labels_out = output<std::int64_t, 3>(labels, "labels");
    const auto energy_out = output<double, 1>(energy, "energy");
    const auto optimal_out = output<bool, 1>(optimal, "optimal");
    require_shape<3>(labels_out.shape, {batch.size(), batch.height(), batch.width()}, "labels");
    require_shape<1>(energy_out.shape, {batch.size()}, "energy");
    require_shape<1>(optimal_out.shape, {batch.size()}, "optimal");
    const std::int64_t* start = nullptr;
    if (init) {
        const auto init_view = view<std::int64_t, 3>(*init, "init");
        require_shape<3>(init_view.shape, labels_out.shape, "init");
        check_labels(init_view.data, init_view.size(), batch.labels(), "init");
        start = init_view.data;
    }

    const py::gil_scoped_release release;  // only views from here on
    const auto sites = static_cast<std::size_t>(batch.sites());
    const auto make_worker = [&] {
        return [&, cutter = gridcut::GridCutter(), dominated = gridcut::DominatedCosts(),
                scratch = std::vector<gridcut::Label>(sites)](std::int64_t i) mutable {
            const auto offset = static_cast<std::size_t>(i) * sites;
            if (start)
                for (std::size_t p = 0; p < sites; ++p)
                    scratch[p] = static_cast<gridcut::Label>(start[offset + p]);
            const GridProblem problem = batch.problem(i);
            // Stopped early, labels may still be dominated ones, and then their costs count.
            const GridProblem solved = max_sweeps > 0 ? problem : dominated.lowered(problem);
            optimal_out[i] = cutter.solve(solved, options, start != nullptr, scratch.data());
            std::copy(scratch.begin(), scratch.end(), labels_out.data + offset);
            energy_out[i] = gridcut::grid_energy(problem, labels_out.data + offset);
        };
    };
    parallel_for_small(batch.size(), threads, make_worker,
                       gridcut::cuts_per_chunk(batch.sites(), batch.labels()));
}

void grid_energy(const Array<std::int64_t>& labels, const Array<double>& unary,
                 const Array<double>& pairwise, const Weights& weight_v, const Weights& weight_h,
                 Array<double> energy) {
    const Batch batch(unary, pairwise, weight_v, weight_h);
    const auto labels_view = view<std::int64_t, 3>(labels, "labels");
    const auto energy_out = output<double, 1>(energy, "energy");
    require_shape<3>(labels_view.shape, {batch.size(), batch.height(), batch.width()}, "labels");
    require_shape<1>(energy_out.shape, {batch.size()}, "energy");
    check_labels(labels_view.data, labels_view.size(), batch.labels(), "labels");
    const py::gil_scoped_release release;  // only views from here on
    for (std::int64_t i = 0; i < batch.size(); ++i) {
        energy_out[i] =
            gridcut::grid_energy(batch.problem(i), labels_view.data + i * batch.sites());
        require(std::isfinite(energy_out[i]),
                "costs: expected an energy that float64 can hold, got one that overflows");
    }
}

}  // namespace

void register_gridcut(py::module_& module) {
    using py::arg;
    module.def("grid_cut", &grid_cut, arg("unary").noconvert(), arg("pairwise").noconvert(),
               arg("weight_v").noconvert(), arg("weight_h").noconvert(), arg("method"),
               arg("init").noconvert(), arg("max_sweeps"), arg("threads"),
               arg("labels").noconvert(), arg("energy").noconvert(), arg("optimal").noconvert());
    module.def("grid_energy", &grid_energy, arg("labels").noconvert(), arg("unary").noconvert(),
               arg("pairwise").noconvert(), arg("weight_v").noconvert(),
               arg("weight_h").noconvert(), arg("energy").noconvert());
}

}  // namespace comix::bindings
