#include "comixup/descent.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/index.hpp"

namespace comix::comixup {

namespace {

constexpr double kGain = 1e-9;   // smaller improvements are rounding
constexpr int kMostPasses = 64;  // never reached in practice; each pass makes at least one move

}  // namespace

void Descent::count(const std::int64_t* labels) {
    const int n = partition_.inputs, m = partition_.outputs, blocks = partition_.blocks();
    shares_.assign(at(std::int64_t{m} * n), 0.0);
    std::vector<double> total(at(n), 0.0);
    for (int o = 0; o < m; ++o) {
        add_shares(labels + std::int64_t{o} * blocks * 2, blocks, shares(o));
        for (int i = 0; i < n; ++i) total[at(i)] += shares(o)[i];
    }
    compatibility_.multiply(total.data(), reach_.data());
    shown_.clear();
    for (int o = 0; o < m; ++o) {
        const std::ptrdiff_t begin = listed();
        for (int i = 0; i < n; ++i)
            if (shares(o)[i] > 0) shown_.push_back({o, i, shares(o)[i], reach_[at(i)], 0.0});
        for (std::ptrdiff_t k = begin; k < listed(); ++k) {
            Shown& shown = shown_[at(k)];
            for (std::ptrdiff_t j = begin; j < listed(); ++j)
                shown.reach -=
                    compatibility_.entry(shown.input, shown_[at(j)].input) * shown_[at(j)].share;
            shown.pays = penalty(shown.reach);
        }
    }
    find_overused();
}

void Descent::find_overused() {
    overused_.assign(at(partition_.inputs), 0);
    for (const Shown& shown : shown_) overused_[at(shown.input)] |= shown.reach > tau_;
}

// begin_ is where it begins in shown_.
void Descent::begin_output(int output) {
    const int n = partition_.inputs;
    output_ = output;
    removed_ = 0;
    const double* s = shares(output);
    double *reach = own_reach_.data(), *pays = own_pays_.data();
    std::copy(reach_.begin(), reach_.end(), reach);
    for (int i = 0; i < n; ++i)
        if (s[i] > 0) compatibility_.add_column(i, -s[i], reach);
    for (int i = 0; i < n; ++i) pays[i] = penalty(reach[i]);
}

// Lists anew what the output at hand shows, in place of what is listed.
void Descent::show_output() {
    const double* s = shares(output_);
    const auto count =
        std::count_if(s, s + partition_.inputs, [](double share) { return share > 0; });
    const std::ptrdiff_t before = end_ - begin_;
    if (count > before) shown_.insert(shown_.begin() + end_, at(count - before), Shown{});
    if (count < before) shown_.erase(shown_.begin() + begin_ + count, shown_.begin() + end_);
    end_ = begin_ + count;
    auto next = shown_.begin() + begin_;
    for (int i = 0; i < partition_.inputs; ++i)
        if (s[i] > 0) *next++ = {output_, i, s[i], own_reach_[at(i)], own_pays_[at(i)]};
}

Descent::Removal& Descent::removal(std::int64_t a, std::int64_t b) {
    for (std::size_t k = 0; k < removed_; ++k)
        if (removals_[k].a == a && removals_[k].b == b) return removals_[k];
    if (removed_ == removals_.size()) removals_.emplace_back();
    Removal& removal = removals_[removed_++];
    removal.a = a;
    removal.b = b;
    removal.others.assign(at(partition_.inputs), std::numeric_limits<double>::quiet_NaN());
    removal.taken.assign(at(partition_.inputs), 0.0);
    for (const std::int64_t input : {a, b})
        compatibility_.add_column(static_cast<int>(input), 0.5, removal.taken.data());
    removal.relief = others_change(removal, -1);
    return removal;
}

// Change of what the other outputs pay when the block shows input `to` instead; to < 0: nothing.
double Descent::others_change(const Removal& removal, int to) const {
    const double* taken = removal.taken.data();
    double sum = 0;
    const auto add = [&](std::ptrdiff_t from, std::ptrdiff_t until) {
        for (const Shown* shown = shown_.data() + from; shown != shown_.data() + until; ++shown) {
            const double gained = to < 0 ? 0.0 : compatibility_.entry(shown->input, to);
            const double moved = shown->reach + (gained - taken[shown->input]);
            sum += shown->share * (penalty(moved) - shown->pays);
        }
    };
    add(0, begin_);
    add(end_, listed());
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

// local_: change of the block's unary cost, of its edges, and of what its own output pays, with
// each input instead of the two that it shows. A neighbour is as far from one input as from
// another, but for those that it shows itself.
void Descent::price_candidates(int block, std::int64_t a, std::int64_t b) {
    const int n = partition_.inputs;
    const double* cost = cost_.data() + std::int64_t{block} * n;
    const double *pays = own_pays_.data(), gamma = gamma_;
    const double cost_now = 0.5 * (cost[a] + cost[b]), pays_now = 0.5 * (pays[a] + pays[b]);
    const auto alone = [=](std::int64_t j) {
        return cost[j] - cost_now + gamma * (pays[j] - pays_now);
    };
    const auto edge = [&](double distance, const Neighbour& neighbour) {
        return 0.5 * beta_ * (distance - neighbour.distance);
    };
    double* local = local_.data();
    double elsewhere[4] = {};
    std::size_t count = 0;
    for (const Neighbour& neighbour : neighbours_) {
        const std::int64_t none[2] = {-1, -1};
        elsewhere[count++] = edge(squared_distance(none, neighbour.labels), neighbour);
    }
    for (int j = 0; j < n; ++j) {
        double sum = alone(j);
        for (std::size_t k = 0; k < 4; ++k) sum += elsewhere[k];
        local[j] = sum;
    }
    for (const Neighbour& shows : neighbours_) {
        for (int half = 0; half < 2; ++half) {
            const std::int64_t j = shows.labels[half], after[2] = {j, j};
            double sum = alone(j);
            for (const Neighbour& neighbour : neighbours_)
                sum += edge(squared_distance(after, neighbour.labels), neighbour);
            local[j] = sum;
        }
    }
    if (a == b) local[a] = std::numeric_limits<double>::infinity();  // that is no change
}

// The input whose showing improves the objective most, -1 if none does; of equals the one with the
// least local change, then the first.
int Descent::best_input(Removal& removal) {
    // Showing an input instead relieves the others by no more than showing nothing.
    const double* local = local_.data();
    std::size_t count = 0;
    for (int j = 0; j < partition_.inputs; ++j) {
        candidates_[count] = j;  // no branch: no processor foresees it
        count += local[j] + removal.relief < -kGain;
    }
    const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
    std::sort(candidates_.begin(), end,
              [&](int x, int y) { return local[x] < local[y] || (local[x] == local[y] && x < y); });
    double best = -kGain;
    int best_input = -1;
    for (auto candidate = candidates_.begin(); candidate != end; ++candidate) {
        const int j = *candidate;
        if (local[j] + removal.relief >= best) break;
        double& others = removal.others[at(j)];
        if (std::isnan(others)) others = others_change(removal, j);
        const double sum = local[j] + others;
        if (sum < best) {
            best = sum;
            best_input = j;
        }
    }
    if (best_input >= 0) gain_ += best;
    return best_input;
}

void Descent::apply(const Removal& removal, int to) {
    double* s = shares(output_);
    s[to] += 1.0;
    s[removal.a] -= 0.5;
    s[removal.b] -= 0.5;
    show_output();
    std::transform(removal.taken.begin(), removal.taken.end(), moved_.begin(), std::negate<>());
    compatibility_.add_column(to, 1.0, moved_.data());
    for (int i = 0; i < partition_.inputs; ++i) reach_[at(i)] += moved_[at(i)];
    for (Shown& shown : shown_) {
        if (shown.output == output_) continue;
        shown.reach += moved_[at(shown.input)];
        shown.pays = penalty(shown.reach);
    }
    find_overused();
    removed_ = 0;
}

bool Descent::pass(std::int64_t* labels) {
    const int blocks = partition_.blocks();
    bool improved = false;
    end_ = 0;
    for (int o = 0; o < partition_.outputs; ++o) {
        std::int64_t* output_labels = labels + std::int64_t{o} * blocks * 2;
        begin_ = end_;
        bool pays = false;
        for (; end_ < listed() && shown_[at(end_)].output == o; ++end_)
            pays |= overused_[at(shown_[at(end_)].input)] != 0;
        if (!pays) continue;
        begin_output(o);
        for (int p = 0; p < blocks; ++p) {
            std::int64_t* label = output_labels + 2 * p;
            if (!overused_[at(label[0])] && !overused_[at(label[1])]) continue;
            list_neighbours(output_labels, p);
            price_candidates(p, label[0], label[1]);
            Removal& taken = removal(label[0], label[1]);
            const int to = best_input(taken);
            if (to < 0) continue;
            apply(taken, to);
            label[0] = label[1] = to;
            improved = true;
        }
    }
    return improved;
}

double Descent::run(const Partition& partition, const Settings& settings, std::int64_t* labels) {
    partition_ = partition;
    const int n = partition.inputs, blocks = partition.blocks();
    beta_ = settings.beta / blocks;
    gamma_ = settings.gamma / blocks;
    tau_ = settings.tau * blocks;
    threshold_ = settings.threshold;
    compatibility_.assign(partition.compatibility, n);
    cost_.resize(at(std::int64_t{blocks} * n));
    for (int i = 0; i < n; ++i)
        for (int p = 0; p < blocks; ++p)
            cost_[at(std::int64_t{p} * n + i)] = partition.cost[std::int64_t{i} * blocks + p];
    for (auto* scratch : {&reach_, &own_reach_, &own_pays_, &local_, &moved_})
        scratch->resize(at(n));
    candidates_.resize(at(n) + 1);  // the last one is for what is not kept
    count(labels);
    gain_ = 0;
    for (int k = 0; k < kMostPasses && pass(labels); ++k) {
    }
    return gain_;
}

}  // namespace comix::comixup
