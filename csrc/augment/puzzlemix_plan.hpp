// PuzzleMix for a whole batch: images and saliency maps in, a mix plan out.
//
// Masks as in puzzlemix_masks.hpp, transport, plan (mixing). One thread takes a sample through all
// steps, so that threads are woken twice per batch (every energy needs the partner
// measured) instead of once per step, and what one step writes the next one reads from its cache.
// Guarantee: masks are optima unless gamma > 1 (gridcut::Method::automatic), transport is optimal.
#pragma once

#include <cstdint>

#include "augment/puzzlemix_masks.hpp"
#include "mixing/plans.hpp"

namespace comix::augment {

template <class T, class S>
struct PuzzleBatch : MaskBatch<T, S> {
    bool transport = true;  // whether blocks move
    double eps = 0.8;
    // The blocks that move: this many per mask block, down and across.
    std::int64_t finer_height = 1, finer_width = 1;

    std::int64_t height() const { return this->terms.grid_height * (transport ? finer_height : 1); }
    std::int64_t width() const { return this->terms.grid_width * (transport ? finer_width : 1); }
};

// Writes the plan, [B, height(), width(), 2]. False, and no plan, when a value is of no use: a
// pixel that is NaN or infinite, saliency below 0, energies that float64 cannot hold.
template <class T, class S>
bool puzzlemix_plan(const PuzzleBatch<T, S>& batch, const mixing::PlanOutput& plan, int threads);

extern template bool puzzlemix_plan(const PuzzleBatch<float, float>&, const mixing::PlanOutput&,
                                    int);
extern template bool puzzlemix_plan(const PuzzleBatch<float, double>&, const mixing::PlanOutput&,
                                    int);
extern template bool puzzlemix_plan(const PuzzleBatch<double, float>&, const mixing::PlanOutput&,
                                    int);
extern template bool puzzlemix_plan(const PuzzleBatch<double, double>&, const mixing::PlanOutput&,
                                    int);

}  // namespace comix::augment
