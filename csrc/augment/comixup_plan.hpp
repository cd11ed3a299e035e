// Co-Mixup for a whole batch: saliency maps and draws in, a mix plan out.
//
// The batch is cut into consecutive partitions, the last one may be smaller. The steps are those of
// the domains below - block saliency (puzzlemix), salient spots, compatibility and labels (comixup)
// - and so are the numbers.
#pragma once

#include <cstdint>

#include "comixup/comixup.hpp"
#include "mixing/plans.hpp"

namespace comix::augment {

// S: of the saliency maps, float or double.
template <class S>
struct CoMixupBatch {
    std::int64_t batch = 0, height = 0, width = 0;  // maps
    std::int64_t grid_height = 0, grid_width = 0;
    std::int64_t partition = 1;                        // images mixed jointly, at most
    std::int64_t starts = 1;                           // per partition
    std::int64_t window_height = 1, window_width = 1;  // pixels, of a salient spot
    double omega = 0;                                  // of the compatibility
    const S* saliency = nullptr;                       // [B, H, W]
    const double* prior = nullptr;                     // [B], what showing an input costs extra
    const std::int64_t* init = nullptr;  // per partition of n: [starts, n, gh, gw], 0..n-1
    comixup::Settings settings;

    std::int64_t blocks() const { return grid_height * grid_width; }
};

// Writes the plan, [B, gh, gw, 2]: its sources are the labels, counted in the whole batch. False,
// and no plan, when a value is of no use: saliency below 0, a cost that is NaN or infinite.
template <class S>
std::int64_t comixup_plan(const CoMixupBatch<S>& batch, const mixing::PlanOutput& plan,
                          int threads);

extern template std::int64_t comixup_plan(const CoMixupBatch<float>&, const mixing::PlanOutput&,
                                          int);
extern template std::int64_t comixup_plan(const CoMixupBatch<double>&, const mixing::PlanOutput&,
                                          int);

}  // namespace comix::augment
