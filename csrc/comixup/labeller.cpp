#include "comixup/labeller.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/index.hpp"
#include "comixup/penalty.hpp"

namespace comix::comixup {

namespace {

constexpr double kConverged = 1e-6;  // relative change of the plain objective

}  // namespace

void Labeller::begin(const Partition& partition, const Settings& settings,
                     const std::int64_t* init) {
    partition_ = partition;
    settings_ = settings;
    const int n = partition.inputs, m = partition.outputs, blocks = partition.blocks();
    beta_ = settings.beta / blocks;
    gamma_ = settings.gamma / blocks;
    tau_ = settings.tau * blocks;
    labels_.resize(at(std::int64_t{m} * blocks * 2));
    for (std::int64_t k = 0; k < std::int64_t{m} * blocks; ++k)
        labels_[at(2 * k)] = labels_[at(2 * k + 1)] = init[k];
    shares_.assign(at(std::int64_t{m} * n), 0.0);
    present_.resize(at(m));
    output_cost_.resize(at(m));
    for (auto& inputs : present_) inputs.clear();
    total_.assign(at(n), 0.0);
    for (auto* scratch : {&reach_, &rho_, &scratch_, &others_reach_}) scratch->assign(at(n), 0.0);
    compatibility_.assign(partition.compatibility, n);
    extra_.assign(at(std::int64_t{m} * n), 0);
    resolved_ = false;
    cut_.begin(partition, beta_, settings.method);
    asked_.resize(at(m));
    for (auto& asked : asked_) asked.clear();
    for (int o = 0; o < m; ++o) {
        count(o);
        add_to_total(o, 1.0);
    }
}

// What the labels of an output show of each input, and cost.
void Labeller::count(int output) {
    double* s = shares(output);
    auto& present = present_[at(output)];
    for (const int i : present) s[i] = 0.0;
    add_shares(labels(output), partition_.blocks(), s);
    // No branch on who is present: no processor foresees it.
    present.resize(at(partition_.inputs) + 1);  // the last one is for what is not kept
    std::size_t kept = 0;
    for (int i = 0; i < partition_.inputs; ++i) {
        present[kept] = i;
        kept += s[i] > 0;
    }
    present.resize(kept);
    output_cost_[at(output)] = unary_and_smoothness(partition_, beta_, labels(output));
}

// The shares of an output, times `sign`.
void Labeller::add_to_total(int output, double sign) {
    const double* s = shares(output);
    for (const int i : present_[at(output)]) {
        total_[at(i)] += sign * s[i];
        compatibility_.add_column(i, sign * s[i], reach_.data());
    }
}

// rho: the gradient of the diversity term at the other outputs' shares (each pair counts twice),
// and what the duplicate resolution asks to avoid.
void Labeller::penalty(int output) {
    const int n = partition_.inputs;
    if (settings_.threshold == Threshold::hard_official) {
        thresholded(total_.data(), compatibility_, n, tau_, settings_.threshold,
                    others_reach_.data(), scratch_.data(), rho_.data());
    } else {
        for (int i = 0; i < n; ++i)
            rho_[at(i)] = penalty_at(reach_[at(i)], tau_, settings_.threshold);
    }
    for (auto& rho : rho_) rho *= 2 * gamma_;
    if (!resolved_) return;
    const std::uint8_t* extra = extra_.data() + std::int64_t{output} * n;
    for (int i = 0; i < n; ++i) rho_[at(i)] += gamma_ * extra[i];
}

// The pairs that may mix in this output: of its two inputs, or of its three largest.
void Labeller::soft_labels(int output) {
    soft_.clear();
    const double* s = shares(output);
    const auto& present = present_[at(output)];
    if (present.size() < 2) return;
    int top[3] = {};
    const int members = std::min(static_cast<int>(present.size()), 3);
    for (int k = 0; k < members; ++k) {
        int best = -1;  // ties: the lowest index
        for (const int i : present) {
            const bool taken = std::find(top, top + k, i) != top + k;
            if (!taken && (best < 0 || s[i] > s[best])) best = i;
        }
        top[k] = best;
    }
    if (top[0] > top[1]) std::swap(top[0], top[1]);
    if (members == 3 && top[1] > top[2]) std::swap(top[1], top[2]);
    if (top[0] > top[1]) std::swap(top[0], top[1]);
    for (int a = 0; a < members; ++a)
        for (int b = a + 1; b < members; ++b) soft_.push_back({top[a], top[b]});
}

void Labeller::relabel(int output, bool soft) {
    add_to_total(output, -1.0);
    penalty(output);
    soft_.clear();
    if (soft) soft_labels(output);
    if (cut_.solve(rho_.data(), soft_, asked_[at(output)], labels(output))) count(output);
    add_to_total(output, 1.0);
}

// Outputs made of the same two or more inputs are told to avoid one each.
void Labeller::resolve() {
    const int n = partition_.inputs, m = partition_.outputs;
    for (int o = 0; o < m; ++o) {
        const auto& inputs = present_[at(o)];
        if (inputs.size() < 2) continue;
        for (int other = o + 1; other < m; ++other) {
            if (present_[at(other)] != inputs) continue;
            extra_[at(std::int64_t{o} * n + inputs[0])] = 1;
            extra_[at(std::int64_t{other} * n + inputs[1])] = 1;
        }
    }
    resolved_ = true;
}

double Labeller::labels_cost() const {
    return std::accumulate(output_cost_.begin(), output_cost_.end(), 0.0);
}

double Labeller::plain_objective() const {
    double diversity = 0;
    for (const double total : total_) diversity += total * total;
    for (const double s : shares_) diversity -= s * s;
    return labels_cost() + gamma_ * diversity;
}

double Labeller::thresholded_objective() {
    if (settings_.threshold == Threshold::hard_official)
        return objective(partition_, settings_, labels_.data());
    double diversity = 0;
    for (int o = 0; o < partition_.outputs; ++o) {
        const double* s = shares(o);
        const auto& present = present_[at(o)];
        for (const int i : present) {
            double others = reach_[at(i)];
            for (const int j : present) others -= compatibility_.entry(i, j) * s[j];
            diversity += s[i] * penalty_at(others, tau_, settings_.threshold);
        }
    }
    return labels_cost() + gamma_ * diversity;
}

void Labeller::sweep(const Partition& partition, const Settings& settings, const std::int64_t* init,
                     Candidates& found) {
    begin(partition, settings, init);
    auto& [best, second] = found;
    best = second = {};
    const auto keep = [&](Labelling& candidate, double objective) {
        candidate.labels = labels_;
        candidate.objective = objective;
    };
    int best_sweep = -1;
    double previous = plain_objective();
    for (int sweep = 0; sweep < settings.sweeps; ++sweep) {
        compatibility_.multiply(total_.data(), reach_.data());  // rounding must not pile up
        for (int o = 0; o < partition.outputs; ++o) relabel(o, sweep > 0);
        if (settings.select == Select::best) {
            const double value = thresholded_objective();
            const bool better = value < best.objective;
            if (better && best_sweep == 1) std::swap(best, second);
            if (better) best_sweep = sweep;
            if (better || sweep == 1) keep(better ? best : second, value);
        }
        if (settings.resolve_duplicates && sweep == settings.sweeps - 2) resolve();
        const double plain = plain_objective();
        if (std::abs(previous - plain) < kConverged * std::abs(plain)) break;
        previous = plain;
    }
    if (!best.found()) keep(best, thresholded_objective());
}

void Improver::improve(const Partition& partition, const Settings& settings, Labelling& candidate) {
    labels_ = candidate.labels;
    double improved = candidate.objective + descent_.run(partition, settings, labels_.data());
    // There the descent follows the objective as it is meant, not as it is coded.
    if (settings.threshold == Threshold::hard_official)
        improved = objective(partition, settings, labels_.data());
    if (!(improved < candidate.objective)) return;
    candidate.labels.swap(labels_);
    candidate.objective = improved;
}

}  // namespace comix::comixup
