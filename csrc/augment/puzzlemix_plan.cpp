#include "augment/puzzlemix_plan.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/index.hpp"
#include "base/threads.hpp"
#include "transport/kept_planner.hpp"

namespace comix::augment {

namespace {

using puzzlemix::Terms;

// The blocks that land where the masks show them, sample by sample.
class Moves {
  public:
    Moves(std::int64_t height, std::int64_t width, double eps)
        : planner_(height * width),
          shown_(at(height * width)),
          own_(at(height * width)),
          partner_(at(height * width)) {
        problem_.height = static_cast<int>(height);
        problem_.width = static_cast<int>(width);
        problem_.eps = eps;
        problem_.mask = shown_.data();
    }

    // mask and both block saliencies: [height, width].
    void solve(const float* mask, const double* own, const double* partner) {
        std::copy_n(mask, shown_.size(), shown_.begin());
        plan(own, own_);
        std::transform(mask, mask + shown_.size(), shown_.begin(),
                       [](float weight) { return static_cast<double>(1 - weight); });
        plan(partner, partner_);
    }
    const std::int64_t* own() const { return own_.data(); }
    const std::int64_t* partner() const { return partner_.data(); }

  private:
    void plan(const double* saliency, std::vector<std::int64_t>& blocks) {
        problem_.saliency = saliency;
        planner_->solve(problem_, transport::Method::exact, blocks.data());
    }

    transport::KeptPlanner planner_;
    transport::Problem problem_;
    std::vector<double> shown_;
    std::vector<std::int64_t> own_, partner_;
};

// mask [gh, gw] -> [gh * down, gw * across], every value repeated.
void spread(const float* mask, const Terms& terms, std::int64_t down, std::int64_t across,
            float* finer) {
    for (std::int64_t r = 0; r < terms.grid_height * down; ++r)
        for (std::int64_t c = 0; c < terms.grid_width * across; ++c)
            *finer++ = mask[r / down * terms.grid_width + c / across];
}

}  // namespace

template <class T, class S>
bool puzzlemix_plan(const PuzzleBatch<T, S>& batch, const mixing::PlanOutput& plan, int threads) {
    Terms terms = batch.terms;
    const std::int64_t height = batch.height(), width = batch.width(), moving = height * width;
    const std::int64_t pixels = terms.height * terms.width;
    if (batch.transport) transport::require_few(moving);
    const bool finer = moving != terms.blocks();
    std::vector<double> saliency(at(terms.batch * terms.blocks()));
    std::vector<double> finer_saliency(at(finer ? terms.batch * moving : 0));
    const double* const moved = finer ? finer_saliency.data() : saliency.data();
    terms.saliency = saliency.data();
    const puzzlemix::BatchBorders borders(terms);
    std::atomic<bool> usable{true};
    const auto note = [&](bool fine) {
        if (!fine) usable.store(false, std::memory_order_relaxed);
    };

    const auto measure = [&] {
        return [&, measurer = SampleMeasurer<T, S>(batch, borders, saliency.data()),
                fine = BlockSaliency<S>(terms, height, width)](std::int64_t b) mutable {
            note(measurer.measure(b));
            if (finer)
                note(fine.write(batch.saliency + b * pixels, finer_saliency.data() + b * moving));
        };
    };
    parallel_for_small(terms.batch, threads, measure, puzzlemix::images_per_chunk(terms));
    if (!usable) return false;

    const auto solve = [&] {
        return [&, masks = PuzzleMasks(terms, borders, batch.method),
                moves = Moves(height, width, batch.eps),
                finer_mask = std::vector<float>(at(finer ? moving : 0))](std::int64_t b) mutable {
            const float* mask = masks.solve(b);
            if (!mask) return note(false);
            if (finer) {
                spread(mask, terms, batch.finer_height, batch.finer_width, finer_mask.data());
                mask = finer_mask.data();
            }
            const std::int64_t partner = terms.index[b];
            if (!batch.transport)
                return mixing::mask_entries(b, mask, partner, nullptr, nullptr, moving, plan);
            moves.solve(mask, moved + b * moving, moved + partner * moving);
            mixing::mask_entries(b, mask, partner, moves.own(), moves.partner(), moving, plan);
        };
    };
    parallel_for_small(terms.batch, threads, solve,
                       gridcut::cuts_per_chunk(terms.blocks(), terms.labels));
    return usable;
}

template bool puzzlemix_plan(const PuzzleBatch<float, float>&, const mixing::PlanOutput&, int);
template bool puzzlemix_plan(const PuzzleBatch<float, double>&, const mixing::PlanOutput&, int);
template bool puzzlemix_plan(const PuzzleBatch<double, float>&, const mixing::PlanOutput&, int);
template bool puzzlemix_plan(const PuzzleBatch<double, double>&, const mixing::PlanOutput&, int);

}  // namespace comix::augment
