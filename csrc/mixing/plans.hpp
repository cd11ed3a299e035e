// Building mix plans from labels and masks, and mixing targets by them: one pass over the plan
// each.
//
// Values are judged, not explained: what a plan must not hold is reported by the return value, and
// the caller says which argument was wrong.
#pragma once

#include <cstdint>

#include "mixing/mixing.hpp"

namespace comix::mixing {

constexpr std::int64_t kLargestSource = (std::int64_t{1} << 31) - 1;

// Where a plan is built: [B_out, gh, gw, 2] each.
struct PlanOutput {
    std::int64_t* source = nullptr;
    std::int64_t* block = nullptr;
    float* weight = nullptr;
};

// The largest source when sources lie in 0..2^31-1, blocks on the grid, and the weights of a block
// in 0..1 with a sum within `tolerance` of 1 (in float); else -1.
std::int64_t largest_source(const Plan& plan, double tolerance);

// Labels [P, m, blocks, 2], counting inputs inside each partition; nothing moves, two inputs share
// a block half and half. Returns the largest source; -1 unless all labels lie in 0..inputs-1.
std::int64_t from_labels(const std::int64_t* labels, std::int64_t partitions, std::int64_t outputs,
                         std::int64_t blocks, std::int64_t inputs, const PlanOutput& plan);

// The same for output o alone: labels [blocks, 2], which may lie where the sources go; `first` is
// the first input of its partition. The caller vouches for the labels.
std::int64_t label_entries(std::int64_t o, const std::int64_t* labels, std::int64_t first,
                           std::int64_t blocks, const PlanOutput& plan);

// mask [B, blocks], the weight of the own image; index [B], the partners; the blocks that land at
// each position [B, blocks], or null: nothing moves. False unless the mask lies in 0..1, partners
// in 0..B-1 and blocks on the grid.
bool from_mask(const float* mask, const std::int64_t* index, const std::int64_t* own,
               const std::int64_t* partner, std::int64_t batch, std::int64_t blocks,
               const PlanOutput& plan);

// The same for output o of them alone: mask, own and partner [blocks], index the one partner. The
// caller vouches for all values.
void mask_entries(std::int64_t o, const float* mask, std::int64_t index, const std::int64_t* own,
                  const std::int64_t* partner, std::int64_t blocks, const PlanOutput& plan);

// The share of every input in every output: ratio [B_out, inputs], each row sums to 1. The plan's
// sources are in range.
void ratio(const Plan& plan, std::int64_t inputs, float* ratio);

// mixed [B_out, K] = ratio times targets [inputs, K], without the products with zeros.
void mix_targets(const Plan& plan, std::int64_t inputs, std::int64_t classes, const float* targets,
                 float* mixed);

// The same for targets [inputs] that are class indices in 0..K-1: without the one-hot rows.
void mix_classes(const Plan& plan, std::int64_t inputs, std::int64_t classes,
                 const std::int64_t* targets, float* mixed);

}  // namespace comix::mixing
