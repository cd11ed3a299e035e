#include "cuda/bindings/device.hpp"
#include "cuda/bindings/register.hpp"
#include "cuda/gridcut/gridcut.hpp"

namespace comix::cuda::bindings {

namespace {

namespace py = pybind11;
using gridcut::Batch;

gridcut::Method method_of(const std::string& name) {
    using gridcut::Method;
    if (name == "expansion") return Method::expansion;
    if (name == "swap") return Method::swap;
    if (name == "exact") return Method::exact;
    require(name == "auto",
            "method: expected one of 'expansion', 'swap', 'exact', 'auto', got '" + name + "'");
    return Method::automatic;
}

// Checks everything that the kernels rely on, values apart.
Batch batch_of(std::int64_t problems, std::int64_t height, std::int64_t width, std::int64_t labels,
               Address unary, Address pairwise, Address weight_v, double uniform_v,
               Address weight_h, double uniform_h) {
    require_sizes(problems >= 0, "a number of problems");
    Batch batch;
    batch.problems = problems;
    batch.height = small(height, "height");
    batch.width = small(width, "width");
    batch.labels = small(labels, "labels");
    require(height * width < std::int64_t{1} << 26, "unary: expected fewer than 2^26 sites");
    const std::int64_t sites = height * width;
    batch.unary = device_memory<const double>(unary, problems * sites * labels, "unary");
    batch.pairwise = device_memory<const double>(pairwise, labels * labels, "pairwise");
    batch.weight_v = {device_memory<const double>(weight_v, 0, "weight_v"), uniform_v};
    batch.weight_h = {device_memory<const double>(weight_h, 0, "weight_h"), uniform_h};
    return batch;
}

void grid_energy(Address labels, Address unary, Address pairwise, Address weight_v,
                 double uniform_v, Address weight_h, double uniform_h, std::int64_t problems,
                 std::int64_t height, std::int64_t width, std::int64_t n_labels, Address energy,
                 int device, Address stream) {
    const Batch batch = batch_of(problems, height, width, n_labels, unary, pairwise, weight_v,
                                 uniform_v, weight_h, uniform_h);
    const auto* given =
        device_memory<const std::int64_t>(labels, problems * height * width, "labels");
    auto* result = device_memory<double>(energy, problems, "energy");
    const py::gil_scoped_release release;
    gridcut::grid_energy(stream_of(device, stream), batch, given, result);
}

void grid_cut(Address unary, Address pairwise, Address weight_v, double uniform_v, Address weight_h,
              double uniform_h, std::int64_t problems, std::int64_t height, std::int64_t width,
              std::int64_t n_labels, const std::string& method, Address init,
              std::int64_t max_sweeps, Address scratch, Address labels, Address optimal, int device,
              Address stream) {
    const Batch batch = batch_of(problems, height, width, n_labels, unary, pairwise, weight_v,
                                 uniform_v, weight_h, uniform_h);
    require(max_sweeps >= 0 && max_sweeps < std::int64_t{1} << 31,
            "max_sweeps: expected 0..2^31-1, got " + std::to_string(max_sweeps));
    const gridcut::CutSettings settings{method_of(method), static_cast<int>(max_sweeps)};
    const std::int64_t sites = problems * height * width;
    const auto* start = device_memory<const std::int64_t>(init, 0, "init");
    const bool spills = gridcut::grid_cut_scratch_bytes(problems, batch.height, batch.width,
                                                        batch.labels, settings.method) > 0;
    auto* memory = device_memory<double>(scratch, spills, "scratch");
    auto* result = device_memory<std::int64_t>(labels, sites, "labels");
    auto* proven = device_memory<std::uint8_t>(optimal, problems, "optimal");
    const py::gil_scoped_release release;
    gridcut::grid_cut(stream_of(device, stream), batch, settings, start, memory, result, proven);
}

std::int64_t grid_cut_scratch(std::int64_t problems, std::int64_t height, std::int64_t width,
                              std::int64_t n_labels, const std::string& method) {
    return gridcut::grid_cut_scratch_bytes(problems, small(height, "height"), small(width, "width"),
                                           small(n_labels, "labels"), method_of(method));
}

}  // namespace

void register_gridcut(py::module_& module) {
    using py::arg;
    module.def("grid_cut", &grid_cut, py::kw_only(), arg("unary"), arg("pairwise"), arg("weight_v"),
               arg("uniform_v"), arg("weight_h"), arg("uniform_h"), arg("problems"), arg("height"),
               arg("width"), arg("n_labels"), arg("method"), arg("init"), arg("max_sweeps"),
               arg("scratch"), arg("labels"), arg("optimal"), arg("device"), arg("stream"));
    module.def("grid_cut_scratch", &grid_cut_scratch, py::kw_only(), arg("problems"), arg("height"),
               arg("width"), arg("n_labels"), arg("method"));
    module.def("grid_energy", &grid_energy, py::kw_only(), arg("labels"), arg("unary"),
               arg("pairwise"), arg("weight_v"), arg("uniform_v"), arg("weight_h"),
               arg("uniform_h"), arg("problems"), arg("height"), arg("width"), arg("n_labels"),
               arg("energy"), arg("device"), arg("stream"));
}

}  // namespace comix::cuda::bindings
