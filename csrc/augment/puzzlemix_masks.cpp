#include "augment/puzzlemix_masks.hpp"

#include <atomic>

#include "base/errors.hpp"
#include "base/threads.hpp"
#include "base/values.hpp"

namespace comix::augment {

namespace {

gridcut::EdgeWeights edges(const std::vector<double>& weights) {
    return {weights.empty() ? nullptr : weights.data(), 0.0};
}

}  // namespace

PuzzleMasks::PuzzleMasks(const puzzlemix::Terms& terms, const puzzlemix::BatchBorders& borders,
                         gridcut::Method method)
    : terms_(terms),
      writer_(terms, borders),
      unary_(at(terms.blocks() * terms.labels)),
      weight_v_(at((terms.grid_height - 1) * terms.grid_width)),
      weight_h_(at(terms.grid_height * (terms.grid_width - 1))),
      labels_(at(terms.blocks())),
      mask_(at(terms.blocks())) {
    options_.method = method;
    const auto last = static_cast<double>(terms.labels - 1);
    for (std::int64_t k = 0; k < terms.labels; ++k) {
        const double share = static_cast<double>(k) / last;
        own_share_.push_back(static_cast<float>(1 - share));
        for (std::int64_t j = 0; j < terms.labels; ++j) {
            const double apart = share - static_cast<double>(j) / last;
            distance_.push_back(apart * apart);
        }
    }
}

const float* PuzzleMasks::solve(std::int64_t b) {
    writer_.write(b, unary_.data(), weight_v_.data(), weight_h_.data());
    for (const auto* costs : {&unary_, &weight_v_, &weight_h_})
        if (!all_finite(costs->data(), static_cast<std::int64_t>(costs->size()))) return nullptr;
    gridcut::GridProblem problem;
    problem.height = static_cast<int>(terms_.grid_height);
    problem.width = static_cast<int>(terms_.grid_width);
    problem.labels = static_cast<int>(terms_.labels);
    problem.unary = unary_.data();
    problem.pairwise = distance_.data();
    problem.weight_v = edges(weight_v_);
    problem.weight_h = edges(weight_h_);
    try {
        cutter_.solve(problem, options_, false, labels_.data());
    } catch (const InvalidArgument&) {
        return nullptr;
    }
    std::transform(labels_.begin(), labels_.end(), mask_.begin(),
                   [&](gridcut::Label k) { return own_share_[at(k)]; });
    return mask_.data();
}

template <class T, class S>
bool puzzlemix_masks(MaskBatch<T, S> batch, float* masks, int threads) {
    puzzlemix::Terms& terms = batch.terms;
    const std::int64_t blocks = terms.blocks();
    std::vector<double> saliency(at(terms.batch * blocks));
    terms.saliency = saliency.data();
    const puzzlemix::BatchBorders borders(terms);
    std::atomic<bool> usable{true};
    const auto note = [&](bool fine) {
        if (!fine) usable.store(false, std::memory_order_relaxed);
    };
    const auto measure = [&] {
        return [&, measurer = SampleMeasurer<T, S>(batch, borders, saliency.data())](
                   std::int64_t b) mutable { note(measurer.measure(b)); };
    };
    parallel_for_small(terms.batch, threads, measure, puzzlemix::images_per_chunk(terms));
    if (!usable) return false;
    const auto solve = [&] {
        return [&, cuts = PuzzleMasks(terms, borders, batch.method)](std::int64_t b) mutable {
            const float* mask = cuts.solve(b);
            if (!mask) return note(false);
            std::copy_n(mask, blocks, masks + b * blocks);
        };
    };
    parallel_for_small(terms.batch, threads, solve, gridcut::cuts_per_chunk(blocks, terms.labels));
    return usable;
}

template bool puzzlemix_masks(MaskBatch<float, float>, float*, int);
template bool puzzlemix_masks(MaskBatch<float, double>, float*, int);
template bool puzzlemix_masks(MaskBatch<double, float>, float*, int);
template bool puzzlemix_masks(MaskBatch<double, double>, float*, int);

}  // namespace comix::augment
