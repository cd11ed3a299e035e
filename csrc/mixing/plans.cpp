#include "mixing/plans.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/values.hpp"

namespace comix::mixing {

namespace {

// The shares of one output after the other.
class Shares {
  public:
    Shares(const Plan& plan, std::int64_t inputs)
        : plan_(plan), share_(static_cast<std::size_t>(inputs), 0.0) {}

    // Calls visit(input, share) for the inputs of output o, in ascending order.
    template <class Visit>
    void of(std::int64_t o, const Visit& visit) {
        const std::int64_t entries = plan_.height * plan_.width * 2;
        double total = 0;
        present_.clear();
        // Neighbouring blocks often show the same two inputs: weights add up in registers.
        std::int64_t first = -1, second = -1;
        double first_run = 0, second_run = 0;
        for (std::int64_t e = o * entries; e < (o + 1) * entries; e += 2) {
            if (plan_.source[e] != first || plan_.source[e + 1] != second) {
                add(first, first_run);
                add(second, second_run);
                first = plan_.source[e];
                second = plan_.source[e + 1];
                first_run = second_run = 0;
            }
            first_run += plan_.weight[e];
            second_run += plan_.weight[e + 1];
        }
        add(first, first_run);
        add(second, second_run);
        for (const std::int64_t input : present_) total += share_[static_cast<std::size_t>(input)];
        std::sort(present_.begin(), present_.end());
        for (const std::int64_t input : present_) {
            double& share = share_[static_cast<std::size_t>(input)];
            visit(input, static_cast<float>(share / total));
            share = 0;
        }
    }

  private:
    void add(std::int64_t input, double weight) {
        if (weight == 0) return;
        double& share = share_[static_cast<std::size_t>(input)];
        if (share == 0) present_.push_back(input);
        share += weight;
    }

    const Plan& plan_;
    std::vector<double> share_;  // [inputs], zero between calls
    std::vector<std::int64_t> present_;
};

}  // namespace

std::int64_t largest_source(const Plan& plan, double tolerance) {
    const std::int64_t blocks = plan.height * plan.width, count = plan.outputs * blocks * 2;
    std::uint64_t signs = 0;
    std::int64_t largest = 0;
    for (std::int64_t e = 0; e < count; ++e) {
        signs |= sign_outside(plan.source[e], 0, kLargestSource) |
                 sign_outside(plan.block[e], 0, blocks - 1);
        largest = std::max(largest, plan.source[e]);
    }
    bool fine = signs >> 63 == 0;
    for (std::int64_t e = 0; e < count; e += 2) {
        const float first = plan.weight[e], second = plan.weight[e + 1];
        // NaN fails every comparison.
        fine &= first >= 0 && first <= 1 && second >= 0 && second <= 1 &&
                std::abs(first + second - 1.0F) <= tolerance;
    }
    return fine ? largest : -1;
}

std::int64_t label_entries(std::int64_t o, const std::int64_t* labels, std::int64_t first,
                           std::int64_t blocks, const PlanOutput& plan) {
    std::int64_t largest = 0, e = o * blocks * 2;
    for (std::int64_t b = 0; b < blocks; ++b) {
        for (int k = 0; k < 2; ++k, ++e) {
            plan.source[e] = *labels++ + first;
            largest = std::max(largest, plan.source[e]);
            plan.block[e] = b;
            plan.weight[e] = 0.5F;
        }
    }
    return largest;
}

std::int64_t from_labels(const std::int64_t* labels, std::int64_t partitions, std::int64_t outputs,
                         std::int64_t blocks, std::int64_t inputs, const PlanOutput& plan) {
    const std::int64_t rows = partitions * outputs;
    if (!all_within(labels, rows * blocks * 2, 0, inputs - 1)) return -1;
    std::int64_t largest = 0;
    for (std::int64_t o = 0; o < rows; ++o)
        largest = std::max(
            largest, label_entries(o, labels + o * blocks * 2, o / outputs * inputs, blocks, plan));
    return largest <= kLargestSource ? largest : -1;
}

void mask_entries(std::int64_t o, const float* mask, std::int64_t index, const std::int64_t* own,
                  const std::int64_t* partner, std::int64_t blocks, const PlanOutput& plan) {
    std::int64_t e = o * blocks * 2;
    for (std::int64_t b = 0; b < blocks; ++b, e += 2) {
        plan.source[e] = o;
        plan.source[e + 1] = index;
        plan.block[e] = own ? own[b] : b;
        plan.block[e + 1] = partner ? partner[b] : b;
        plan.weight[e] = mask[b];
        plan.weight[e + 1] = 1 - mask[b];
    }
}

bool from_mask(const float* mask, const std::int64_t* index, const std::int64_t* own,
               const std::int64_t* partner, std::int64_t batch, std::int64_t blocks,
               const PlanOutput& plan) {
    const std::int64_t count = batch * blocks;
    const auto on_grid = [&](const std::int64_t* moved) {
        return !moved || all_within(moved, count, 0, blocks - 1);
    };
    if (!all_within(mask, count, 0.0F, 1.0F) || !all_within(index, batch, 0, batch - 1) ||
        !on_grid(own) || !on_grid(partner))
        return false;
    for (std::int64_t o = 0; o < batch; ++o) {
        const std::int64_t at = o * blocks;
        mask_entries(o, mask + at, index[o], own ? own + at : nullptr,
                     partner ? partner + at : nullptr, blocks, plan);
    }
    return true;
}

void ratio(const Plan& plan, std::int64_t inputs, float* ratio) {
    Shares shares(plan, inputs);
    std::fill(ratio, ratio + plan.outputs * inputs, 0.0F);
    for (std::int64_t o = 0; o < plan.outputs; ++o)
        shares.of(o, [&](std::int64_t i, float share) { ratio[o * inputs + i] = share; });
}

void mix_targets(const Plan& plan, std::int64_t inputs, std::int64_t classes, const float* targets,
                 float* mixed) {
    Shares shares(plan, inputs);
    std::fill(mixed, mixed + plan.outputs * classes, 0.0F);
    for (std::int64_t o = 0; o < plan.outputs; ++o) {
        float* const row = mixed + o * classes;
        shares.of(o, [&](std::int64_t i, float share) {
            const float* const target = targets + i * classes;
            for (std::int64_t k = 0; k < classes; ++k) row[k] += share * target[k];
        });
    }
}

void mix_classes(const Plan& plan, std::int64_t inputs, std::int64_t classes,
                 const std::int64_t* targets, float* mixed) {
    Shares shares(plan, inputs);
    std::fill(mixed, mixed + plan.outputs * classes, 0.0F);
    for (std::int64_t o = 0; o < plan.outputs; ++o)
        shares.of(o,
                  [&](std::int64_t i, float share) { mixed[o * classes + targets[i]] += share; });
}

}  // namespace comix::mixing
