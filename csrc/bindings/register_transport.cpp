#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "base/threads.hpp"
#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "transport/kept_planner.hpp"
#include "transport/transport.hpp"

namespace comix::bindings {

namespace {

using transport::Method;
using transport::Problem;

// How much planning is worth waking a second thread for, and how much of it a thread takes at once.
struct Work {
    std::int64_t least_blocks, chunk_blocks;
};

Method plan_method(const std::string& name) {
    if (name == "exact") return Method::exact;
    if (name == "greedy") return Method::greedy;
    throw InvalidArgument("method: expected one of 'exact', 'greedy', got '" + name + "'");
}

Work work_of(Method method) {
    // Some 15 nanoseconds per block; the contest takes up to twenty times as long.
    return method == Method::exact ? Work{8192, 1024} : Work{4096, 256};
}

// Block maps [B, gh, gw] of float32 or float64, as they came.
class Maps {
  public:
    Maps(const py::array& array, const char* name) : name_(name) {
        if (py::isinstance<Array<float>>(array)) {
            const auto floats = view<float, 3>(py::reinterpret_borrow<Array<float>>(array), name);
            floats_ = floats.data;
            shape_ = floats.shape;
        } else if (py::isinstance<Array<double>>(array)) {
            const auto doubles =
                view<double, 3>(py::reinterpret_borrow<Array<double>>(array), name);
            doubles_ = doubles.data;
            shape_ = doubles.shape;
        } else {
            throw py::type_error(std::string(name) +
                                 ": expected a contiguous array of float32 or float64");
        }
    }

    const std::array<std::int64_t, 3>& shape() const { return shape_; }
    std::int64_t blocks() const { return shape_[1] * shape_[2]; }

    // InvalidArgument unless all values are finite and lie in 0..most.
    void check_values(double most) const {
        floats_ ? check_values(floats_, most) : check_values(doubles_, most);
    }

    // The b-th map in float64; `space` [blocks] holds it where it must be converted.
    const double* map(std::int64_t b, double* space) const {
        if (doubles_) return doubles_ + b * blocks();
        std::copy_n(floats_ + b * blocks(), blocks(), space);
        return space;
    }

  private:
    template <class T>
    void check_values(const T* values, double most) const {
        const std::int64_t count = shape_[0] * blocks();
        const T high = static_cast<T>(
            std::min<double>(most, static_cast<double>(std::numeric_limits<T>::max())));
        int strange = 0;
        for (std::int64_t k = 0; k < count; ++k)
            strange |= static_cast<int>(!(values[k] >= 0)) | static_cast<int>(!(values[k] <= high));
        if (strange) explain(values, count, most);
    }

    template <class T>
    [[noreturn]] void explain(const T* values, std::int64_t count, double most) const {
        const auto odd =
            std::count_if(values, values + count, [](T value) { return !std::isfinite(value); });
        if (odd > 0)
            throw InvalidArgument(name_ + ": expected finite values, got " + std::to_string(odd) +
                                  " value(s) that are NaN or infinite");
        const auto [low, high] = std::minmax_element(values, values + count);
        char text[96];
        std::snprintf(text, sizeof text, ": expected values in 0..%g, got %g", most,
                      static_cast<double>(*low < 0 ? *low : *high));
        throw InvalidArgument(name_ + text);
    }

    std::string name_;
    const float* floats_ = nullptr;
    const double* doubles_ = nullptr;
    std::array<std::int64_t, 3> shape_{};
};

// The problems of a batch, each converted when it is its turn; one object per thread.
class Problems {
  public:
    Problems(const Maps& saliency, const Maps& mask, double eps)
        : saliency_(saliency),
          mask_(mask),
          space_(static_cast<std::size_t>(2 * saliency.blocks())) {
        problem_.height = static_cast<int>(saliency.shape()[1]);
        problem_.width = static_cast<int>(saliency.shape()[2]);
        problem_.eps = eps;
    }

    const Problem& operator[](std::int64_t b) {
        problem_.saliency = saliency_.map(b, space_.data());
        problem_.mask = mask_.map(b, space_.data() + saliency_.blocks());
        return problem_;
    }

  private:
    const Maps &saliency_, &mask_;
    std::vector<double> space_;
    Problem problem_;
};

void check(const Maps& saliency, const Maps& mask) {
    require_shape<3>(mask.shape(), saliency.shape(), "mask");
    if (saliency.blocks() < 1) throw InvalidArgument("saliency: expected at least one block");
    transport::require_few(saliency.blocks());
    saliency.check_values(std::numeric_limits<double>::infinity());
    mask.check_values(1);
}

void transport_plan(const py::array& saliency, const py::array& mask, double eps,
                    const std::string& method, int threads, Array<std::int64_t> plan) {
    const Maps saliency_maps(saliency, "saliency"), mask_maps(mask, "mask");
    const auto plan_out = output<std::int64_t, 3>(plan, "plan");
    require_shape<3>(plan_out.shape, saliency_maps.shape(), "plan");
    const Method how = plan_method(method);

    const py::gil_scoped_release release;  // only views from here on
    check(saliency_maps, mask_maps);
    const std::int64_t count = saliency_maps.shape()[0], blocks = saliency_maps.blocks();
    const Work work = work_of(how);
    if (count * blocks < work.least_blocks) threads = 1;
    const auto make_worker = [&] {
        return [&, planner = transport::KeptPlanner(blocks),
                problems = Problems(saliency_maps, mask_maps, eps)](std::int64_t b) mutable {
            planner->solve(problems[b], how, plan_out.data + b * blocks);
        };
    };
    parallel_for(count, threads, make_worker, work.chunk_blocks / blocks);
}

void transport_cost(const Array<std::int64_t>& plan, const py::array& saliency,
                    const py::array& mask, double eps, Array<double> cost) {
    const auto plan_view = view<std::int64_t, 3>(plan, "plan");
    const Maps saliency_maps(saliency, "saliency"), mask_maps(mask, "mask");
    const auto cost_out = output<double, 1>(cost, "cost");
    require_shape<3>(plan_view.shape, saliency_maps.shape(), "plan");
    require_shape<1>(cost_out.shape, {plan_view.shape[0]}, "cost");

    const py::gil_scoped_release release;  // only views from here on
    check(saliency_maps, mask_maps);
    const std::int64_t blocks = saliency_maps.blocks();
    if (plan_view.size() > 0) {
        const auto [low, high] =
            std::minmax_element(plan_view.data, plan_view.data + plan_view.size());
        if (*low < 0 || *high >= blocks)
            throw InvalidArgument("plan: expected values in 0.." + std::to_string(blocks - 1) +
                                  ", got " + std::to_string(*low < 0 ? *low : *high));
    }
    Problems problems(saliency_maps, mask_maps, eps);
    for (std::int64_t b = 0; b < plan_view.shape[0]; ++b)
        cost_out[b] = transport::plan_cost(problems[b], plan_view.data + b * blocks);
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
