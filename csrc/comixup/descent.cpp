#include "comixup/descent.hpp"

#include <algorithm>

#include "base/index.hpp"
#include "comixup/penalty.hpp"

namespace comix::comixup {

namespace {

constexpr double kGain = 1e-9;   // smaller improvements are rounding
constexpr int kMostPasses = 64;  // never reached in practice; each pass makes at least one move

}  // namespace

double Descent::compatibility(int i, std::int64_t j) const {
    if (!partition_.compatibility) return i == j;
    return partition_.compatibility[std::int64_t{i} * partition_.inputs + j];
}

// Change of (A pi)_i in every other output.
double Descent::reach_change(int i, const Change& change) const {
    const double gained = change.to < 0 ? 0.0 : compatibility(i, change.to);
    return gained - 0.5 * (compatibility(i, change.a) + compatibility(i, change.b));
}

double Descent::penalty(double reach) const {
    return penalty_at(reach, tau_, threshold_);
}

void Descent::count(const std::int64_t* labels) {
    const int n = partition_.inputs, m = partition_.outputs, blocks = partition_.blocks();
    shares_.assign(at(std::int64_t{m} * n), 0.0);
    reach_.assign(at(std::int64_t{m} * n), 0.0);
    present_.assign(at(m), {});
    std::vector<double> share(at(n)), total(at(n), 0.0), all_reach(at(n)), reach(at(n));
    Compatibility compatibility;
    compatibility.assign(partition_.compatibility, n);
    for (int o = 0; o < m; ++o) {
        std::fill(share.begin(), share.end(), 0.0);
        add_shares(labels + std::int64_t{o} * blocks * 2, blocks, share.data());
        for (int i = 0; i < n; ++i) {
            total[at(i)] += share[at(i)];
            shares_[at(index(o, i))] = share[at(i)];
            if (share[at(i)] > 0) present_[at(o)].push_back(i);
        }
    }
    compatibility.multiply(total.data(), all_reach.data());
    for (int o = 0; o < m; ++o) {
        reach = all_reach;
        for (const int i : present_[at(o)])
            compatibility.add_column(i, -shares_[at(index(o, i))], reach.data());
        for (int i = 0; i < n; ++i) reach_[at(index(o, i))] = reach[at(i)];
    }
    find_overused();
}

void Descent::find_overused() {
    overused_.assign(at(partition_.inputs), 0);
    for (int o = 0; o < partition_.outputs; ++o)
        for (const int i : present_[at(o)]) overused_[at(i)] |= reach_[at(index(o, i))] > tau_;
}

// Change of what the other outputs pay.
double Descent::others_change(const Change& change) const {
    double sum = 0;
    for (int o = 0; o < partition_.outputs; ++o) {
        if (o == change.output) continue;
        for (const int i : present_[at(o)]) {
            const double reach = reach_[at(index(o, i))];
            const double moved = reach + reach_change(i, change);
            if (reach > tau_ || moved > tau_)
                sum += shares_[at(index(o, i))] * (penalty(moved) - penalty(reach));
        }
    }
    return gamma_ * sum;
}

// The block's neighbours, and how far from them its labels are now.
void Descent::list_neighbours(const std::int64_t* output_labels, int block) {
    const int blocks = partition_.blocks(), w = partition_.width;
    const std::int64_t* here = output_labels + 2 * block;
    neighbours_.clear();
    const auto note = [&](int other) {
        const std::int64_t* there = output_labels + 2 * other;
        neighbours_.push_back({there, squared_distance(here, there)});
    };
    if (block >= w) note(block - w);
    if (block + w < blocks) note(block + w);
    if (block % w != 0) note(block - 1);
    if ((block + 1) % w != 0) note(block + 1);
}

// Change of the block's unary cost, of its edges, and of what its own output pays.
double Descent::local_change(int block, const Change& change) const {
    const int blocks = partition_.blocks();
    const auto cost = [&](std::int64_t i) { return partition_.cost[i * blocks + block]; };
    const auto pays = [&](std::int64_t i) { return penalty(reach_[at(index(change.output, i))]); };
    double sum = cost(change.to) - 0.5 * (cost(change.a) + cost(change.b)) +
                 gamma_ * (pays(change.to) - 0.5 * (pays(change.a) + pays(change.b)));
    const std::int64_t after[2] = {change.to, change.to};
    for (const auto& [labels, distance] : neighbours_)
        sum += 0.5 * beta_ * (squared_distance(after, labels) - distance);
    return sum;
}

void Descent::apply(const Change& change) {
    const int n = partition_.inputs;
    const auto share = [&](std::int64_t i) -> double& {
        return shares_[at(index(change.output, i))];
    };
    share(change.to) += 1.0;
    share(change.a) -= 0.5;
    share(change.b) -= 0.5;
    auto& present = present_[at(change.output)];
    present.clear();
    for (int i = 0; i < n; ++i)
        if (share(i) > 0) present.push_back(i);
    for (int i = 0; i < n; ++i) {
        const double moved = reach_change(i, change);
        if (moved == 0.0) continue;
        double* reach = reach_.data() + index(0, i);
        const double own = reach[change.output];
        for (int o = 0; o < partition_.outputs; ++o) reach[o] += moved;
        reach[change.output] = own;
    }
    find_overused();
}

bool Descent::pass(std::int64_t* labels) {
    const int n = partition_.inputs, blocks = partition_.blocks();
    bool improved = false;
    for (int o = 0; o < partition_.outputs; ++o) {
        std::int64_t* output_labels = labels + std::int64_t{o} * blocks * 2;
        for (int p = 0; p < blocks; ++p) {
            std::int64_t* label = output_labels + 2 * p;
            if (!overused_[at(label[0])] && !overused_[at(label[1])]) continue;
            Change change{o, label[0], label[1], -1};
            const double relief = others_change(change);
            candidates_.clear();
            list_neighbours(output_labels, p);
            for (int j = 0; j < n; ++j) {
                if (j == label[0] && j == label[1]) continue;
                change.to = j;
                local_[at(j)] = local_change(p, change);
                if (local_[at(j)] + relief < -kGain) candidates_.push_back(j);
            }
            std::sort(candidates_.begin(), candidates_.end(), [&](int x, int y) {
                return local_[at(x)] < local_[at(y)] || (local_[at(x)] == local_[at(y)] && x < y);
            });
            double best = -kGain;
            int best_input = -1;
            for (const int j : candidates_) {
                // Showing j instead relieves the others by no more than showing nothing.
                if (local_[at(j)] + relief >= best) break;
                change.to = j;
                const double sum = local_[at(j)] + others_change(change);
                if (sum < best) {
                    best = sum;
                    best_input = j;
                }
            }
            if (best_input < 0) continue;
            change.to = best_input;
            apply(change);
            label[0] = label[1] = best_input;
            improved = true;
        }
    }
    return improved;
}

void Descent::run(const Partition& partition, const Settings& settings, std::int64_t* labels) {
    partition_ = partition;
    threshold_ = settings.threshold;
    const int blocks = partition.blocks();
    beta_ = settings.beta / blocks;
    gamma_ = settings.gamma / blocks;
    tau_ = settings.tau * blocks;
    local_.resize(at(partition.inputs));
    count(labels);
    for (int k = 0; k < kMostPasses && pass(labels); ++k) {
    }
}

}  // namespace comix::comixup
