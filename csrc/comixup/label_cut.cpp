#include "comixup/label_cut.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/errors.hpp"
#include "base/index.hpp"
#include "base/lanes.hpp"

namespace comix::comixup {

namespace {

constexpr double kSoftBonus = 5e-4;     // what a soft label is cheaper than the mean of its two
constexpr double kSoftDistance = 0.25;  // label distance of a soft label to either of its two

}  // namespace

void LabelCut::begin(const Partition& partition, double beta, gridcut::Method method) {
    partition_ = partition;
    beta_ = beta;
    method_ = method == gridcut::Method::automatic ? gridcut::Method::expansion : method;
    const int h = partition.height, w = partition.width, blocks = partition.blocks();
    constexpr int lanes = Lanes<float>::kCount;
    row_ = (blocks + lanes - 1) / lanes * lanes;
    rough_cost_.assign(at(std::int64_t{partition.inputs} * row_), 0.0F);
    largest_cost_ = 0.0F;
    const double* cost = partition.cost;
    for (int i = 0; i < partition.inputs; ++i) {
        float* rough = rough_cost_.data() + std::int64_t{i} * row_;
        for (int p = 0; p < blocks; ++p) {
            rough[p] = static_cast<float>(*cost++);
            largest_cost_ = std::max(largest_cost_, std::abs(rough[p]));
        }
    }
    edges_.clear();
    for (int r = 0; r < h; ++r)
        for (int c = 0; c < w; ++c)
            edges_.push_back(static_cast<float>((r > 0) + (r + 1 < h) + (c > 0) + (c + 1 < w)));
    least_.resize(at(row_));
    limit_.assign(at(row_),
                  -std::numeric_limits<float>::infinity());  // nothing wins after the last
    cut_labels_.resize(at(blocks));
}

void LabelCut::list_labels(const double* rho, const std::vector<Pair>& soft) {
    all_.resize(at(partition_.inputs) + soft.size());
    Label* label = all_.data();
    for (int i = 0; i < partition_.inputs; ++i, ++label) {
        label->inputs = {i, i};
        label->extra = rho[i];
    }
    for (const Pair& pair : soft) {
        label->inputs = pair;
        label->extra = 0.5 * (rho[pair.i] + rho[pair.j]) - kSoftBonus;
        ++label;
    }
}

// A label that is dearer at each block than the cheapest one there by all that the block's edges
// can cost loses everywhere. (Not so when edges reward differences.) Single precision decides, with
// a margin for its rounding: a label too many does no harm.
void LabelCut::choose_alive() {
    constexpr int lanes = Lanes<float>::kCount;
    const int blocks = partition_.blocks();
    // Calls visit(first block, costs) vector by vector.
    const auto for_each_vector = [&](const Label& label, const auto& visit) {
        const float* first = rough_cost_.data() + std::int64_t{label.inputs.i} * row_;
        const float* second = rough_cost_.data() + std::int64_t{label.inputs.j} * row_;
        const auto extra = Lanes<float>::all(static_cast<float>(label.extra));
        const auto half = Lanes<float>::all(0.5F);
        if (first == second) {
            for (int p = 0; p < row_; p += lanes) visit(p, load(first + p) + extra);
        } else {
            for (int p = 0; p < row_; p += lanes)
                visit(p, half * (load(first + p) + load(second + p)) + extra);
        }
    };
    float* least_cost = least_.data();
    float largest = largest_cost_;
    std::fill(least_.begin(), least_.end(), std::numeric_limits<float>::infinity());
    for (const Label& label : all_) {
        largest = std::max(largest, std::abs(static_cast<float>(label.extra)));
        for_each_vector(label, [least_cost](int p, Float4 cost) {
            store(least(cost, load(least_cost + p)), least_cost + p);
        });
    }
    const auto beta = static_cast<float>(beta_);
    const float margin = 1e-6F * (largest + 4 * beta);
    float* limit = limit_.data();
    for (int p = 0; p < blocks; ++p) limit[p] = least_cost[p] + beta * edges_[at(p)] + margin;
    alive_.resize(all_.size() + 1);  // the last one is for what is not kept
    std::size_t count = 0;
    for (const Label& label : all_) {
        Int4 wins{};
        for_each_vector(label, [limit, &wins](int p, Float4 cost) {
            wins = wins | at_most(cost, load(limit + p));
        });
        alive_[count] = label;
        count += any(wins);
    }
    alive_.resize(count);
}

void LabelCut::price_alive() {
    const int blocks = partition_.blocks();
    unary_.resize(alive_.size() * at(blocks));
    rows_.clear();
    double* u = unary_.data();
    for (const Label& label : alive_) {
        const double* first = partition_.cost + std::int64_t{label.inputs.i} * blocks;
        const double* second = partition_.cost + std::int64_t{label.inputs.j} * blocks;
        for (int p = 0; p < blocks; ++p) u[p] = 0.5 * (first[p] + second[p]) + label.extra;
        rows_.push_back(u);
        u += blocks;
    }
}

// pairwise_ between the alive labels, times `scale`.
void LabelCut::set_distances(double scale) {
    const std::size_t kept = alive_.size();
    pairwise_.assign(kept * kept, scale);
    for (std::size_t a = 0; a < kept; ++a) {
        pairwise_[a * kept + a] = 0.0;
        const Pair own = alive_[a].inputs;
        if (own.i == own.j) continue;
        for (std::size_t b = 0; b < kept; ++b) {
            const Pair other = alive_[b].inputs;
            if (other.i != other.j || (other.i != own.i && other.i != own.j)) continue;
            pairwise_[a * kept + b] = pairwise_[b * kept + a] = scale * kSoftDistance;
        }
    }
}

void LabelCut::quick_cut() {
    set_distances(beta_);
    candidates_.resize(alive_.size());
    std::iota(candidates_.begin(), candidates_.end(), 0);
    quick_.assign({partition_.height, partition_.width, static_cast<int>(alive_.size()),
                   rows_.data(), pairwise_.data()});
    quick_.start_at_unary_minimum(cut_labels_.data());
    quick_.run(candidates_, 0, cut_labels_.data());
}

void LabelCut::general_cut() {
    set_distances(1.0);
    const std::size_t blocks = at(partition_.blocks()), kept = alive_.size();
    block_major_.resize(blocks * kept);
    for (std::size_t k = 0; k < kept; ++k)
        for (std::size_t p = 0; p < blocks; ++p) block_major_[p * kept + k] = rows_[k][p];
    gridcut::GridProblem problem;
    problem.height = partition_.height;
    problem.width = partition_.width;
    problem.labels = static_cast<int>(kept);
    problem.unary = block_major_.data();
    problem.pairwise = pairwise_.data();
    problem.weight_v.uniform = problem.weight_h.uniform = beta_;
    gridcut::Options options;
    options.method = method_;
    options.thorough = false;
    cutter_.solve(problem, options, false, cut_labels_.data());
}

bool LabelCut::solve(const double* rho, const std::vector<Pair>& soft, std::vector<Label>& asked,
                     std::int64_t* labels) {
    const int blocks = partition_.blocks();
    list_labels(rho, soft);
    if (method_ == gridcut::Method::swap || beta_ < 0) {  // the order of swaps counts
        alive_ = all_;
    } else {
        choose_alive();
    }
    require(!alive_.empty(), "costs: expected sums that float32 can hold, got one that overflows");
    if (alive_ == asked) return false;
    asked = alive_;
    price_alive();
    if (alive_.size() == 1) {
        std::fill(cut_labels_.begin(), cut_labels_.end(), 0);
    } else if (method_ == gridcut::Method::expansion &&
               blocks <= gridcut::QuickExpansion::kMostSites) {
        quick_cut();
    } else {
        general_cut();
    }
    for (int p = 0; p < blocks; ++p) {
        const Pair inputs = alive_[at(cut_labels_[at(p)])].inputs;
        labels[2 * p] = inputs.i;
        labels[2 * p + 1] = inputs.j;
    }
    return true;
}

}  // namespace comix::comixup
