#include "cuda/bindings/device.hpp"
#include "cuda/bindings/register.hpp"
#include "cuda/comixup/comixup.hpp"

namespace comix::cuda::bindings {

namespace {

namespace py = pybind11;
using comixup::Threshold;

Threshold threshold_of(const std::string& name) {
    if (name == "hard") return Threshold::hard;
    if (name == "soft") return Threshold::soft;
    if (name == "hard_official") return Threshold::hard_official;
    throw InvalidArgument("threshold: expected one of 'hard', 'soft', 'hard_official', got '" +
                          name + "'");
}

comixup::CutMethod method_of(const std::string& name) {
    if (name == "auto" || name == "expansion") return comixup::CutMethod::expansion;
    if (name == "swap") return comixup::CutMethod::swap;
    if (name == "exact") return comixup::CutMethod::exact;
    throw InvalidArgument("method: expected one of 'expansion', 'swap', 'exact', 'auto', got '" +
                          name + "'");
}

// Checks everything that the kernels rely on, values apart.
comixup::Partitions partitions_of(Address cost, Address compatibility, std::int64_t partitions,
                                  std::int64_t inputs, std::int64_t outputs, std::int64_t height,
                                  std::int64_t width) {
    require_sizes(partitions >= 0, "a number of partitions");
    comixup::Partitions parts;
    parts.count = partitions;
    parts.inputs = small(inputs, "inputs");
    parts.outputs = small(outputs, "outputs");
    parts.height = small(height, "height");
    parts.width = small(width, "width");
    const std::int64_t blocks = height * width;
    require(2 * blocks < std::int64_t{1} << 31, "cost: expected fewer than 2^30 blocks");
    parts.cost = device_memory<const double>(cost, partitions * inputs * blocks, "cost");
    parts.compatibility = device_memory<const double>(compatibility, 0, "compatibility");
    return parts;
}

void comixup_objective(Address labels, Address cost, Address compatibility, std::int64_t partitions,
                       std::int64_t inputs, std::int64_t outputs, std::int64_t height,
                       std::int64_t width, double beta, double gamma, double tau,
                       const std::string& threshold, Address scratch, Address objective, int device,
                       Address stream) {
    const auto parts =
        partitions_of(cost, compatibility, partitions, inputs, outputs, height, width);
    const std::int64_t blocks = height * width;
    const comixup::ObjectiveSettings settings{beta, gamma, tau, threshold_of(threshold)};
    const auto* given =
        device_memory<const std::int64_t>(labels, partitions * outputs * blocks * 2, "labels");
    auto* memory = device_memory<double>(scratch, partitions, "scratch");
    auto* result = device_memory<double>(objective, partitions, "objective");
    const py::gil_scoped_release release;
    comixup::objective(stream_of(device, stream), parts, settings, given, memory, result);
}

void comixup_labels(Address init, Address cost, Address compatibility, std::int64_t partitions,
                    std::int64_t starts, std::int64_t inputs, std::int64_t outputs,
                    std::int64_t height, std::int64_t width, double beta, double gamma, double tau,
                    std::int64_t sweeps, const std::string& threshold, bool resolve_duplicates,
                    const std::string& select, const std::string& method, Address scratch,
                    Address labels, Address objective, int device, Address stream) {
    const auto parts =
        partitions_of(cost, compatibility, partitions, inputs, outputs, height, width);
    require_sizes(starts >= 1, "at least one start");
    const comixup::CutMethod cuts = method_of(method);
    require(select == "best" || select == "last",
            "select: expected 'best' or 'last', got '" + select + "'");
    const comixup::ObjectiveSettings settings{beta, gamma, tau, threshold_of(threshold)};
    const comixup::Iteration iteration{small(sweeps, "sweeps"), resolve_duplicates,
                                       select == "best", cuts};
    const std::int64_t cells = partitions * starts * outputs * height * width;
    const auto* given = device_memory<const std::int64_t>(init, cells, "init");
    auto* memory = device_memory<double>(
        scratch, comixup::labels_scratch_bytes(parts, starts, cuts) > 0 ? 1 : 0, "scratch");
    auto* result = device_memory<std::int64_t>(labels, 2 * cells, "labels");
    auto* values = device_memory<double>(objective, partitions * starts, "objective");
    const py::gil_scoped_release release;
    comixup::solve_labels(stream_of(device, stream), parts, starts, settings, iteration, given,
                          memory, result, values);
}

std::int64_t comixup_labels_scratch(std::int64_t partitions, std::int64_t starts,
                                    std::int64_t inputs, std::int64_t outputs, std::int64_t height,
                                    std::int64_t width, bool compatibility,
                                    const std::string& method) {
    // Only whether there is a matrix counts.
    static const double present = 1.0;
    auto parts = partitions_of(0, 0, 0, inputs, outputs, height, width);
    parts.count = partitions;
    parts.compatibility = compatibility ? &present : nullptr;
    return comixup::labels_scratch_bytes(parts, starts, method_of(method));
}

void salient_spots(Address saliency, const std::string& dtype, std::int64_t count,
                   std::int64_t height, std::int64_t width, std::int64_t window_height,
                   std::int64_t window_width, Address scratch, Address spots, int device,
                   Address stream) {
    require(dtype == "float32" || dtype == "float64",
            "dtype: expected float32 or float64, got '" + dtype + "'");
    require_sizes(count >= 0 && height >= 1 && width >= 1, "at least one pixel");
    auto* memory = device_memory<double>(scratch, count, "scratch");
    auto* result = device_memory<std::int64_t>(spots, 2 * count, "spots");
    const auto find = [&](const auto* maps) {
        const py::gil_scoped_release release;
        comixup::salient_spots(stream_of(device, stream), maps, count, height, width, window_height,
                               window_width, memory, result);
    };
    const std::int64_t pixels = count * height * width;
    if (dtype == "float32") return find(device_memory<const float>(saliency, pixels, "saliency"));
    find(device_memory<const double>(saliency, pixels, "saliency"));
}

}  // namespace

void register_comixup(py::module_& module) {
    using py::arg;
    module.def("comixup_objective", &comixup_objective, py::kw_only(), arg("labels"), arg("cost"),
               arg("compatibility"), arg("partitions"), arg("inputs"), arg("outputs"),
               arg("height"), arg("width"), arg("beta"), arg("gamma"), arg("tau"), arg("threshold"),
               arg("scratch"), arg("objective"), arg("device"), arg("stream"));
    module.def("comixup_objective_scratch", &comixup::objective_scratch_bytes, py::kw_only(),
               arg("partitions"), arg("inputs"), arg("outputs"));
    module.def("comixup_labels", &comixup_labels, py::kw_only(), arg("init"), arg("cost"),
               arg("compatibility"), arg("partitions"), arg("starts"), arg("inputs"),
               arg("outputs"), arg("height"), arg("width"), arg("beta"), arg("gamma"), arg("tau"),
               arg("sweeps"), arg("threshold"), arg("resolve_duplicates"), arg("select"),
               arg("method"), arg("scratch"), arg("labels"), arg("objective"), arg("device"),
               arg("stream"));
    module.def("comixup_labels_scratch", &comixup_labels_scratch, py::kw_only(), arg("partitions"),
               arg("starts"), arg("inputs"), arg("outputs"), arg("height"), arg("width"),
               arg("compatibility"), arg("method"));
    module.def("salient_spots", &salient_spots, py::kw_only(), arg("saliency"), arg("dtype"),
               arg("count"), arg("height"), arg("width"), arg("window_height"), arg("window_width"),
               arg("scratch"), arg("spots"), arg("device"), arg("stream"));
    module.def("salient_spots_scratch", &comixup::spot_scratch_bytes, py::kw_only(), arg("count"),
               arg("height"), arg("window_height"));
}

}  // namespace comix::cuda::bindings
