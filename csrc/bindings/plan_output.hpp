// The arrays in which Python wants a mix plan written.
#pragma once

#include "bindings/arrays.hpp"
#include "mixing/plans.hpp"

namespace comix::bindings {

// source, block and weight of this shape, [B_out, gh, gw, 2].
inline mixing::PlanOutput plan_output(Array<std::int64_t>& source, Array<std::int64_t>& block,
                                      Array<float>& weight,
                                      const std::array<std::int64_t, 4>& shape) {
    const auto source_out = output<std::int64_t, 4>(source, "source");
    const auto block_out = output<std::int64_t, 4>(block, "block");
    const auto weight_out = output<float, 4>(weight, "weight");
    require_shape<4>(source_out.shape, shape, "source");
    require_shape<4>(block_out.shape, shape, "block");
    require_shape<4>(weight_out.shape, shape, "weight");
    return {source_out.data, block_out.data, weight_out.data};
}

}  // namespace comix::bindings
