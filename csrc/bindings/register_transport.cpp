#include "base/threads.hpp"
#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "transport/transport.hpp"

namespace comix::bindings {

namespace {

using transport::Method;
using transport::Problem;

constexpr std::int64_t kBlocksPerChunk = 1024;  // some 20 microseconds of planning

Method plan_method(const std::string& name) {
    if (name == "exact") return Method::exact;
    if (name == "greedy") return Method::greedy;
    throw InvalidArgument("method: expected one of 'exact', 'greedy', got '" + name + "'");
}

// The b-th problem of a batch.
Problem problem_of(const View<const double, 3>& saliency, const View<const double, 3>& mask,
                   double eps, std::int64_t b) {
    const std::int64_t blocks = saliency.shape[1] * saliency.shape[2];
    Problem problem;
    problem.height = static_cast<int>(saliency.shape[1]);
    problem.width = static_cast<int>(saliency.shape[2]);
    problem.saliency = saliency.data + b * blocks;
    problem.mask = mask.data + b * blocks;
    problem.eps = eps;
    return problem;
}

void check_sizes(const View<const double, 3>& saliency, const View<const double, 3>& mask) {
    require_shape<3>(mask.shape, saliency.shape, "mask");
    require(saliency.shape[1] > 0 && saliency.shape[2] > 0,
            "saliency: expected at least one block");
    require(saliency.shape[1] * saliency.shape[2] <= 16384,
            "saliency: expected at most 16384 blocks (128 x 128) to move");
}

void transport_plan(const Array<double>& saliency, const Array<double>& mask, double eps,
                    const std::string& method, int threads, Array<std::int64_t> plan) {
    const auto saliency_view = view<double, 3>(saliency, "saliency");
    const auto mask_view = view<double, 3>(mask, "mask");
    check_sizes(saliency_view, mask_view);
    const auto plan_out = output<std::int64_t, 3>(plan, "plan");
    require_shape<3>(plan_out.shape, saliency_view.shape, "plan");
    const Method how = plan_method(method);

    const py::gil_scoped_release release;  // only views from here on
    const auto make_worker = [&] {
        return [&, planner = transport::Planner()](std::int64_t b) mutable {
            const Problem problem = problem_of(saliency_view, mask_view, eps, b);
            planner.solve(problem, how, plan_out.data + b * problem.blocks());
        };
    };
    const std::int64_t blocks = saliency_view.shape[1] * saliency_view.shape[2];
    parallel_for(saliency_view.shape[0], threads, make_worker, kBlocksPerChunk / blocks);
}

void transport_cost(const Array<std::int64_t>& plan, const Array<double>& saliency,
                    const Array<double>& mask, double eps, Array<double> cost) {
    const auto plan_view = view<std::int64_t, 3>(plan, "plan");
    const auto saliency_view = view<double, 3>(saliency, "saliency");
    const auto mask_view = view<double, 3>(mask, "mask");
    check_sizes(saliency_view, mask_view);
    require_shape<3>(plan_view.shape, saliency_view.shape, "plan");
    const auto cost_out = output<double, 1>(cost, "cost");
    require_shape<1>(cost_out.shape, {saliency_view.shape[0]}, "cost");
    const std::int64_t blocks = saliency_view.shape[1] * saliency_view.shape[2];
    for (std::int64_t k = 0; k < plan_view.size(); ++k)
        require(plan_view.data[k] >= 0 && plan_view.data[k] < blocks,
                "plan: expected blocks in 0.." + std::to_string(blocks - 1) + ", got " +
                    std::to_string(plan_view.data[k]));
    const py::gil_scoped_release release;  // only views from here on
    for (std::int64_t b = 0; b < saliency_view.shape[0]; ++b)
        cost_out[b] = transport::plan_cost(problem_of(saliency_view, mask_view, eps, b),
                                           plan_view.data + b * blocks);
}

}  // namespace

void register_transport(py::module_& module) {
    using py::arg;
    module.def("transport_plan", &transport_plan, arg("saliency").noconvert(),
               arg("mask").noconvert(), arg("eps"), arg("method"), arg("threads"),
               arg("plan").noconvert());
    module.def("transport_cost", &transport_cost, arg("plan").noconvert(),
               arg("saliency").noconvert(), arg("mask").noconvert(), arg("eps"),
               arg("cost").noconvert());
}

}  // namespace comix::bindings
