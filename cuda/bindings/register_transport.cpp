#include "cuda/bindings/device.hpp"
#include "cuda/bindings/register.hpp"
#include "cuda/transport/transport.hpp"

namespace comix::cuda::bindings {

namespace {

namespace py = pybind11;
using transport::Method;

Method plan_method(const std::string& name) {
    if (name == "exact") return Method::exact;
    if (name == "greedy") return Method::greedy;
    throw InvalidArgument("method: expected one of 'exact', 'greedy', got '" + name + "'");
}

// The maps of a batch, checked; use(batch) of their type.
template <class Use>
void with_batch(Address saliency, Address mask, const std::string& dtype, std::int64_t count,
                std::int64_t height, std::int64_t width, double eps, const Use& use) {
    require(dtype == "float32" || dtype == "float64",
            "dtype: expected float32 or float64, got '" + dtype + "'");
    require_sizes(count >= 0, "a number of maps");
    const std::int64_t blocks = std::int64_t{small(height, "height")} * small(width, "width");
    const auto run = [&](auto value) {
        using T = decltype(value);
        transport::Batch<T> batch;
        batch.count = count;
        batch.height = height;
        batch.width = width;
        batch.saliency = device_memory<const T>(saliency, count * blocks, "saliency");
        batch.mask = device_memory<const T>(mask, count * blocks, "mask");
        batch.eps = eps;
        const py::gil_scoped_release release;
        use(batch);
    };
    dtype == "float32" ? run(float{}) : run(double{});
}

void transport_plan(Address saliency, Address mask, const std::string& dtype, std::int64_t count,
                    std::int64_t height, std::int64_t width, double eps, const std::string& method,
                    Address scratch, Address plan, int device, Address stream) {
    const Method how = plan_method(method);
    auto* const result = device_memory<std::int64_t>(plan, count, "plan");
    with_batch(saliency, mask, dtype, count, height, width, eps, [&](const auto& batch) {
        const std::int64_t bytes = transport::plan_scratch_bytes(count, height, width, how);
        auto* const memory = device_memory<double>(scratch, bytes, "scratch");
        transport::transport_plan(stream_of(device, stream), batch, how, memory, result);
    });
}

std::int64_t transport_plan_scratch(std::int64_t count, std::int64_t height, std::int64_t width,
                                    const std::string& method) {
    return transport::plan_scratch_bytes(count, height, width, plan_method(method));
}

void transport_cost(Address plan, Address saliency, Address mask, const std::string& dtype,
                    std::int64_t count, std::int64_t height, std::int64_t width, double eps,
                    Address cost, int device, Address stream) {
    const auto* const given = device_memory<const std::int64_t>(plan, count, "plan");
    auto* const result = device_memory<double>(cost, count, "cost");
    with_batch(saliency, mask, dtype, count, height, width, eps, [&](const auto& batch) {
        transport::transport_cost(stream_of(device, stream), batch, given, result);
    });
}

}  // namespace

void register_transport(py::module_& module) {
    using py::arg;
    module.def("transport_plan", &transport_plan, py::kw_only(), arg("saliency"), arg("mask"),
               arg("dtype"), arg("count"), arg("height"), arg("width"), arg("eps"), arg("method"),
               arg("scratch"), arg("plan"), arg("device"), arg("stream"));
    module.def("transport_plan_scratch", &transport_plan_scratch, py::kw_only(), arg("count"),
               arg("height"), arg("width"), arg("method"));
    module.def("transport_cost", &transport_cost, py::kw_only(), arg("plan"), arg("saliency"),
               arg("mask"), arg("dtype"), arg("count"), arg("height"), arg("width"), arg("eps"),
               arg("cost"), arg("device"), arg("stream"));
}

}  // namespace comix::cuda::bindings
