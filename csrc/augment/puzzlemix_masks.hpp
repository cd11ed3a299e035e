// PuzzleMix masks for a whole batch: images and saliency maps in, the weight of the own image out.
//
// The steps are those of the domains below - block saliency and energy (puzzlemix), cuts (gridcut)
// - and so are the numbers. Threads are woken twice: to measure all images, since every energy
// needs the partner's, and to cut. Guarantee: the cut method's (grid_cut.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/index.hpp"
#include "gridcut/grid_cut.hpp"
#include "puzzlemix/pool.hpp"
#include "puzzlemix/puzzlemix.hpp"

namespace comix::augment {

// T: of the images, S: of the saliency maps; float or double.
template <class T, class S>
struct MaskBatch {
    puzzlemix::Terms terms;                               // all but the saliency
    const T* images = nullptr;                            // [B, C, H, W]
    const S* saliency = nullptr;                          // [B, H, W]
    gridcut::Method method = gridcut::Method::automatic;  // optimal unless gamma > 1
};

// Writes the masks, [B, gh, gw]. False, and no masks, when a value is of no use (a pixel that is
// NaN or infinite, saliency below 0, energies that float64 cannot hold) or the method refuses.
template <class T, class S>
bool puzzlemix_masks(MaskBatch<T, S> batch, float* masks, int threads);

extern template bool puzzlemix_masks(MaskBatch<float, float>, float*, int);
extern template bool puzzlemix_masks(MaskBatch<float, double>, float*, int);
extern template bool puzzlemix_masks(MaskBatch<double, float>, float*, int);
extern template bool puzzlemix_masks(MaskBatch<double, double>, float*, int);

// One thread's way through the maps: their block saliency, rounded to their type and given in
// double.
template <class S>
class BlockSaliency {
  public:
    BlockSaliency(const puzzlemix::Terms& terms, std::int64_t grid_height, std::int64_t grid_width)
        : pooler_(terms.height, terms.width, grid_height, grid_width),
          pooled_(at(grid_height * grid_width)) {}

    bool write(const S* map, double* blocks) {
        const bool fine = pooler_.pool(map, pooled_.data());
        std::copy(pooled_.begin(), pooled_.end(), blocks);
        return fine;
    }

  private:
    puzzlemix::Pooler<S> pooler_;
    std::vector<S> pooled_;
};

// One thread's way through the samples: the borders of their images, and their block saliency.
template <class T, class S>
class SampleMeasurer {
  public:
    // saliency [B, gh, gw]
    SampleMeasurer(const MaskBatch<T, S>& batch, const puzzlemix::BatchBorders& borders,
                   double* saliency)
        : batch_(batch),
          measurer_(batch.terms, batch.images, borders),
          blocks_(batch.terms, batch.terms.grid_height, batch.terms.grid_width),
          saliency_(saliency) {}

    // False when a value of sample b is of no use.
    bool measure(std::int64_t b) {
        const bool finite = measurer_.measure(b);
        const S* map = batch_.saliency + b * batch_.terms.height * batch_.terms.width;
        return blocks_.write(map, saliency_ + b * batch_.terms.blocks()) && finite;
    }

  private:
    const MaskBatch<T, S>& batch_;
    puzzlemix::Measurer<T> measurer_;
    BlockSaliency<S> blocks_;
    double* saliency_;
};

// One thread's way through the masks, once all images are measured.
class PuzzleMasks {
  public:
    PuzzleMasks(const puzzlemix::Terms& terms, const puzzlemix::BatchBorders& borders,
                gridcut::Method method);
    // The mask of sample b, [gh, gw], until the next one; null when the energy overflows or the
    // method refuses.
    const float* solve(std::int64_t b);

  private:
    const puzzlemix::Terms& terms_;
    puzzlemix::EnergyWriter writer_;
    gridcut::GridCutter cutter_;
    gridcut::Options options_;
    std::vector<double> unary_, weight_v_, weight_h_, distance_;
    std::vector<gridcut::Label> labels_;
    std::vector<float> own_share_, mask_;
};

}  // namespace comix::augment
