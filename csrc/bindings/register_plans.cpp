#include <pybind11/stl.h>

#include <optional>

#include "base/values.hpp"
#include "bindings/arrays.hpp"
#include "bindings/plan_output.hpp"
#include "bindings/register.hpp"
#include "mixing/plans.hpp"

namespace comix::bindings {

namespace {

using Indices = Array<std::int64_t>;
using Weights = Array<float>;

// The GIL stays: these passes take microseconds.

mixing::Plan plan_of(const Indices& source, const Indices* block, const Weights& weight) {
    const auto source_view = view<std::int64_t, 4>(source, "source");
    const auto weight_view = view<float, 4>(weight, "weight");
    const auto& shape = source_view.shape;
    require(shape[3] == 2, "source: expected two entries per block");
    require_shape<4>(weight_view.shape, shape, "weight");
    mixing::Plan plan{shape[0], shape[1], shape[2], source_view.data, nullptr, weight_view.data};
    if (block) {
        const auto block_view = view<std::int64_t, 4>(*block, "block");
        require_shape<4>(block_view.shape, shape, "block");
        plan.block = block_view.data;
    }
    return plan;
}

std::int64_t largest_source(const Indices& source, const Indices& block, const Weights& weight,
                            double tolerance) {
    return mixing::largest_source(plan_of(source, &block, weight), tolerance);
}

std::int64_t from_labels(const Indices& labels, std::int64_t inputs, Indices source, Indices block,
                         Weights weight) {
    const auto labels_view = view<std::int64_t, 5>(labels, "labels");
    const auto [partitions, outputs, height, width, two] = labels_view.shape;
    require(two == 2 && inputs >= 1 && inputs <= mixing::kLargestSource + 1,
            "labels: expected two per block, of 1 to 2^31 inputs");
    const auto out = plan_output(source, block, weight, {partitions * outputs, height, width, 2});
    return mixing::from_labels(labels_view.data, partitions, outputs, height * width, inputs, out);
}

bool from_mask(const Weights& mask, const Indices& index, const std::optional<Indices>& own,
               const std::optional<Indices>& partner, Indices source, Indices block,
               Weights weight) {
    const auto mask_view = view<float, 3>(mask, "mask");
    const auto index_view = view<std::int64_t, 1>(index, "index");
    const auto [batch, height, width] = mask_view.shape;
    require_shape<1>(index_view.shape, {batch}, "index");
    const auto moved = [&](const std::optional<Indices>& plan, const char* name) {
        if (!plan) return static_cast<const std::int64_t*>(nullptr);
        const auto plan_view = view<std::int64_t, 3>(*plan, name);
        require_shape<3>(plan_view.shape, mask_view.shape, name);
        return plan_view.data;
    };
    const auto* own_blocks = moved(own, "plan_own");
    const auto* partner_blocks = moved(partner, "plan_partner");
    const auto out = plan_output(source, block, weight, {batch, height, width, 2});
    return mixing::from_mask(mask_view.data, index_view.data, own_blocks, partner_blocks, batch,
                             height * width, out);
}

void require_sources(const mixing::Plan& plan, std::int64_t inputs) {
    const std::int64_t count = plan.outputs * plan.height * plan.width * 2;
    require(inputs >= 1 && all_within(plan.source, count, 0, inputs - 1),
            "source: expected values in 0.." + std::to_string(inputs - 1));
}

void plan_ratio(const Indices& source, const Weights& weight, Weights ratio) {
    const auto plan = plan_of(source, nullptr, weight);
    const auto out = output<float, 2>(ratio, "ratio");
    require_shape<2>(out.shape, {plan.outputs, out.shape[1]}, "ratio");
    require_sources(plan, out.shape[1]);
    mixing::ratio(plan, out.shape[1], out.data);
}

void mix_targets(const Indices& source, const Weights& weight, const Weights& targets,
                 Weights mixed) {
    const auto plan = plan_of(source, nullptr, weight);
    const auto targets_view = view<float, 2>(targets, "targets");
    const auto [inputs, classes] = targets_view.shape;
    const auto out = output<float, 2>(mixed, "mixed");
    require_shape<2>(out.shape, {plan.outputs, classes}, "mixed");
    require_sources(plan, inputs);
    mixing::mix_targets(plan, inputs, classes, targets_view.data, out.data);
}

void mix_classes(const Indices& source, const Weights& weight, const Indices& targets,
                 Weights mixed) {
    const auto plan = plan_of(source, nullptr, weight);
    const auto targets_view = view<std::int64_t, 1>(targets, "targets");
    const auto out = output<float, 2>(mixed, "mixed");
    const std::int64_t inputs = targets_view.size(), classes = out.shape[1];
    require_shape<2>(out.shape, {plan.outputs, classes}, "mixed");
    require_sources(plan, inputs);
    require(classes >= 1 && all_within(targets_view.data, inputs, 0, classes - 1),
            "targets: expected values in 0.." + std::to_string(classes - 1));
    mixing::mix_classes(plan, inputs, classes, targets_view.data, out.data);
}

}  // namespace

void register_plans(py::module_& module) {
    using py::arg;
    module.def("plan_largest_source", &largest_source, arg("source").noconvert(),
               arg("block").noconvert(), arg("weight").noconvert(), arg("tolerance"));
    module.def("plan_from_labels", &from_labels, arg("labels").noconvert(), arg("n_inputs"),
               arg("source").noconvert(), arg("block").noconvert(), arg("weight").noconvert());
    module.def("plan_from_mask", &from_mask, arg("mask").noconvert(), arg("index").noconvert(),
               arg("plan_own").noconvert().none(true), arg("plan_partner").noconvert().none(true),
               arg("source").noconvert(), arg("block").noconvert(), arg("weight").noconvert());
    module.def("plan_ratio", &plan_ratio, arg("source").noconvert(), arg("weight").noconvert(),
               arg("ratio").noconvert());
    module.def("mix_targets", &mix_targets, arg("source").noconvert(), arg("weight").noconvert(),
               arg("targets").noconvert(), arg("mixed").noconvert());
    module.def("mix_classes", &mix_classes, arg("source").noconvert(), arg("weight").noconvert(),
               arg("targets").noconvert(), arg("mixed").noconvert());
}

}  // namespace comix::bindings
