#include <algorithm>
#include <cmath>
#include <limits>

#include "comixup/labeller.hpp"
#include "comixup/penalty.hpp"

namespace comix::comixup {

namespace {

constexpr double kSoftBonus = 5e-4;     // what a soft label is cheaper than the mean of its two
constexpr double kSoftDistance = 0.25;  // label distance of a soft label to either of its two
constexpr double kConverged = 1e-6;     // relative change of the plain objective
// Steps of the frontier programme up to which a cut inside the loop is solved exactly.
constexpr double kAutoSteps = 2e3;

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

}  // namespace

void Labeller::begin(const Partition& partition, const Settings& settings,
                     const std::int64_t* init) {
    partition_ = partition;
    settings_ = settings;
    const int n = partition.inputs, m = partition.outputs, blocks = partition.blocks();
    beta_ = settings.beta / blocks;
    gamma_ = settings.gamma / blocks;
    tau_ = settings.tau * blocks;
    cost_.resize(at(std::int64_t{blocks} * n));
    for (int i = 0; i < n; ++i)
        for (int p = 0; p < blocks; ++p)
            cost_[at(std::int64_t{p} * n + i)] = partition.cost[std::int64_t{i} * blocks + p];
    labels_.resize(at(std::int64_t{m} * blocks * 2));
    for (std::int64_t k = 0; k < std::int64_t{m} * blocks; ++k)
        labels_[at(2 * k)] = labels_[at(2 * k + 1)] = init[k];
    shares_.assign(at(std::int64_t{m} * n), 0.0);
    total_.assign(at(n), 0.0);
    reach_.resize(at(n));
    scratch_.resize(at(n));
    compatibility_.assign(partition.compatibility, n);
    rho_.resize(at(n));
    extra_.assign(at(std::int64_t{m} * n), 0);
    resolved_ = false;
    for (int o = 0; o < m; ++o) count_shares(o);
    cut_labels_.resize(at(blocks));
}

// Counts the shares of an output anew and adds them to the total.
void Labeller::count_shares(int output) {
    double* s = shares(output);
    std::fill(s, s + partition_.inputs, 0.0);
    add_shares(labels(output), partition_.blocks(), s);
    for (int i = 0; i < partition_.inputs; ++i) total_[at(i)] += s[i];
}

// rho: the gradient of the diversity term at the other outputs' shares (each pair counts twice).
void Labeller::penalty() {
    thresholded(total_.data(), compatibility_, partition_.inputs, tau_, settings_.threshold,
                reach_.data(), scratch_.data(), rho_.data());
    for (auto& rho : rho_) rho *= 2 * gamma_;
}

// The pairs that may mix in this output: of its two inputs, or of its three largest.
void Labeller::soft_labels(int output) {
    soft_.clear();
    const double* s = shares(output);
    int top[3] = {};
    int present = 0;
    for (int i = 0; i < partition_.inputs; ++i) present += s[i] > 0;
    if (present < 2) return;
    const int members = std::min(present, 3);
    for (int k = 0; k < members; ++k) {
        int best = -1;  // ties: the lowest index
        for (int i = 0; i < partition_.inputs; ++i) {
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

// Labels that lose everywhere - dearer at each block than the cheapest one there by more than all
// of the block's edges can cost - need not enter the cut.
void Labeller::choose_alive() {
    const int count = partition_.inputs + static_cast<int>(soft_.size());
    const int h = partition_.height, w = partition_.width;
    alive_.clear();
    if (settings_.method == gridcut::Method::swap ||
        beta_ < 0) {  // swap: the official order of moves
        for (int l = 0; l < count; ++l) alive_.push_back(l);
        return;
    }
    std::vector<std::uint8_t> wins(at(count), 0);
    for (int r = 0, p = 0; r < h; ++r) {
        for (int c = 0; c < w; ++c, ++p) {
            const double* u = unary_.data() + std::int64_t{p} * count;
            const int edges = (r > 0) + (r + 1 < h) + (c > 0) + (c + 1 < w);
            const double* cheapest = std::min_element(u, u + count);
            const double limit = *cheapest + edges * beta_;
            wins[at(cheapest - u)] = 1;
            for (int l = 0; l < count; ++l) wins[at(l)] |= u[l] < limit;
        }
    }
    for (int l = 0; l < count; ++l)
        if (wins[at(l)]) alive_.push_back(l);
}

void Labeller::cut(int output) {
    const int n = partition_.inputs, blocks = partition_.blocks();
    const int count = n + static_cast<int>(soft_.size());
    unary_.resize(at(std::int64_t{blocks} * count));
    const std::uint8_t* extra = extra_.data() + std::int64_t{output} * n;
    if (resolved_)
        for (int i = 0; i < n; ++i) rho_[at(i)] += gamma_ * extra[i];
    for (int p = 0; p < blocks; ++p) {
        double* u = unary_.data() + std::int64_t{p} * count;
        const double* c = cost_.data() + std::int64_t{p} * n;
        for (int i = 0; i < n; ++i) u[i] = c[i] + rho_[at(i)];
        for (std::size_t k = 0; k < soft_.size(); ++k)
            u[n + static_cast<int>(k)] = 0.5 * (u[soft_[k].i] + u[soft_[k].j]) - kSoftBonus;
    }

    choose_alive();
    const int kept = static_cast<int>(alive_.size());
    const double* unary = unary_.data();
    if (kept < count) {
        alive_unary_.resize(at(std::int64_t{blocks} * kept));
        for (int p = 0; p < blocks; ++p)
            for (int k = 0; k < kept; ++k)
                alive_unary_[at(std::int64_t{p} * kept + k)] =
                    unary_[at(std::int64_t{p} * count + alive_[at(k)])];
        unary = alive_unary_.data();
    }
    pairwise_.assign(at(std::int64_t{kept} * kept), 1.0);
    const auto member = [&](int hard, int soft) {
        return soft >= n && (soft_[at(soft - n)].i == hard || soft_[at(soft - n)].j == hard);
    };
    for (int a = 0; a < kept; ++a) {
        pairwise_[at(std::int64_t{a} * kept + a)] = 0.0;
        for (int b = kept; b-- > 0 && alive_[at(b)] >= n;) {  // soft labels come last
            if (!member(alive_[at(a)], alive_[at(b)])) continue;
            pairwise_[at(std::int64_t{a} * kept + b)] = kSoftDistance;
            pairwise_[at(std::int64_t{b} * kept + a)] = kSoftDistance;
        }
    }
    gridcut::GridProblem problem;
    problem.height = partition_.height;
    problem.width = partition_.width;
    problem.labels = kept;
    problem.unary = unary;
    problem.pairwise = pairwise_.data();
    problem.weight_v.uniform = problem.weight_h.uniform = beta_;
    cutter_.solve(problem, {settings_.method, 0, kAutoSteps, false}, false, cut_labels_.data());

    std::int64_t* target = labels(output);
    for (int p = 0; p < blocks; ++p) {
        const int l = alive_[at(cut_labels_[at(p)])];
        target[2 * p] = l < n ? l : soft_[at(l - n)].i;
        target[2 * p + 1] = l < n ? l : soft_[at(l - n)].j;
    }
}

void Labeller::relabel(int output, bool soft) {
    const double* s = shares(output);
    for (int i = 0; i < partition_.inputs; ++i) total_[at(i)] -= s[i];
    penalty();
    soft_.clear();
    if (soft) soft_labels(output);
    cut(output);
    count_shares(output);
}

// Outputs made of the same two or more inputs are told to avoid one each.
void Labeller::resolve() {
    const int n = partition_.inputs, m = partition_.outputs;
    const auto present = [&](int o, int i) { return shares(o)[i] > 0; };
    for (int o = 0; o < m; ++o) {
        int first = -1, second = -1;
        for (int i = 0; i < n && second < 0; ++i)
            if (present(o, i)) (first < 0 ? first : second) = i;
        if (second < 0) continue;
        for (int other = o + 1; other < m; ++other) {
            bool equal = true;
            for (int i = 0; equal && i < n; ++i) equal = present(o, i) == present(other, i);
            if (!equal) continue;
            extra_[at(std::int64_t{o} * n + first)] = 1;
            extra_[at(std::int64_t{other} * n + second)] = 1;
        }
    }
    resolved_ = true;
}

double Labeller::plain_objective() const {
    double diversity = 0;
    for (const double total : total_) diversity += total * total;
    for (const double s : shares_) diversity -= s * s;
    return unary_and_smoothness(partition_, beta_, labels_.data()) + gamma_ * diversity;
}

double Labeller::solve(const Partition& partition, const Settings& settings,
                       const std::int64_t* init, std::int64_t* labels) {
    begin(partition, settings, init);
    double best = std::numeric_limits<double>::infinity();
    double previous = plain_objective();
    for (int sweep = 0; sweep < settings.sweeps; ++sweep) {
        for (int o = 0; o < partition.outputs; ++o) relabel(o, sweep > 0);
        if (settings.select == Select::best) {
            const double value = objective(partition, settings, labels_.data());
            if (sweep == 0 || value < best) {
                best = value;
                best_labels_ = labels_;
            }
        }
        if (settings.resolve_duplicates && sweep == settings.sweeps - 2) resolve();
        const double plain = plain_objective();
        if (std::abs(previous - plain) < kConverged * std::abs(plain)) break;
        previous = plain;
    }
    if (settings.select == Select::best) {
        labels_.swap(best_labels_);
        descent_.run(partition, settings, labels_.data());
    }
    std::copy(labels_.begin(), labels_.end(), labels);
    return objective(partition, settings, labels);
}

}  // namespace comix::comixup
