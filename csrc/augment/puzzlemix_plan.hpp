// PuzzleMix for a whole batch: images and saliency maps in, a mix plan out.
//
// The steps are those of the domains below - block saliency and energy (puzzlemix), masks
// (gridcut), transport, plan (mixing) - and so are the numbers. Here one thread takes a sample
// through all of them, so that threads are woken twice per batch (every energy needs the partner
// measured) instead of once per step, and what one step writes the next one reads from its cache.
// Guarantee: masks are optima unless gamma > 1 (gridcut::Method::automatic), transport is optimal.
#pragma once

#include <cstdint>

#include "mixing/plans.hpp"
#include "puzzlemix/puzzlemix.hpp"

namespace comix::augment {

// T: of the images, S: of the saliency maps; float or double.
template <class T, class S>
struct PuzzleBatch {
    puzzlemix::Terms terms;       // all but the saliency
    const T* images = nullptr;    // [B, C, H, W]
    const S* saliency = nullptr;  // [B, H, W]
    bool transport = true;        // whether blocks move
    double eps = 0.8;
    // The blocks that move: this many per mask block, down and across.
    std::int64_t finer_height = 1, finer_width = 1;

    std::int64_t height() const { return terms.grid_height * (transport ? finer_height : 1); }
    std::int64_t width() const { return terms.grid_width * (transport ? finer_width : 1); }
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
