#include "gridcut/tree_bounds.hpp"

#include <algorithm>
#include <cmath>

#include "base/index.hpp"
#include "base/lanes.hpp"

namespace comix::gridcut {

namespace {

constexpr int kLanes = Lanes<double>::kCount;
constexpr double kNever = 1e300;               // what a label that fills up a vector costs
constexpr double kExact = 9007199254740992.0;  // 2^53: sums of whole numbers are exact below

// least[b] = min over a of costs[a] + rounded(weight * distance[a, b]), for `tile` vectors of b.
template <int tile, bool weighted>
void least_sums(const double* costs, const double* distance, double weight, int labels, int stride,
                double* least_of) {
    using Vector = Lanes<double>::Vector;
    Vector lowest[tile];
    for (auto& vector : lowest) vector = Lanes<double>::all(kNever);
    const auto scale = Lanes<double>::all(weight);
    for (int a = 0; a < labels; ++a, distance += stride) {
        const auto cost = Lanes<double>::all(costs[a]);
        for (int k = 0; k < tile; ++k) {
            Vector pair = load(distance + k * kLanes);
            if (weighted) pair = nearest(scale * pair);
            lowest[k] = least(cost + pair, lowest[k]);
        }
    }
    for (int k = 0; k < tile; ++k) store(lowest[k], least_of + k * kLanes);
}

template <bool weighted>
void least_sums(const double* costs, const double* distance, double weight, int labels, int stride,
                double* least_of) {
    constexpr int tile = 4;
    int b = 0;
    for (; b + tile * kLanes <= stride; b += tile * kLanes)
        least_sums<tile, weighted>(costs, distance + b, weight, labels, stride, least_of + b);
    for (; b < stride; b += kLanes)
        least_sums<1, weighted>(costs, distance + b, weight, labels, stride, least_of + b);
}

// The lowest of `count` numbers, whole vectors of them.
double lowest_of(const double* numbers, int count) {
    auto lowest = load(numbers);
    for (int k = kLanes; k < count; k += kLanes) lowest = least(load(numbers + k), lowest);
    return std::min(lowest[0], lowest[1]);
}

// Distances are all pair costs, or what weights multiply.
double distance_of(const FixedGrid& grid, int a, int b) {
    const std::int64_t entry = std::int64_t{a} * grid.labels() + b;
    return grid.uniform() ? static_cast<double>(grid.pair_table()[entry]) : grid.distances()[entry];
}

// Whether distances, off the diagonal all the same, are lower on it.
bool has_two_costs(const FixedGrid& grid) {
    const int labels = grid.labels();
    if (labels < 2) return true;
    const double same = distance_of(grid, 0, 0), other = distance_of(grid, 0, 1);
    for (int a = 0; a < labels; ++a)
        for (int b = 0; b < labels; ++b)
            if (distance_of(grid, a, b) != (a == b ? same : other)) return false;
    return same <= other;
}

}  // namespace

double TreeBounds::steps(const FixedGrid& grid) {
    const double edges = 2.0 * grid.sites() - grid.height() - grid.width();
    const double per_message = has_two_costs(grid) ? 4.0 : grid.labels();
    return 2 * (edges * per_message + 2.0 * grid.sites()) * grid.labels();
}

double TreeBounds::bytes(const FixedGrid& grid) {
    constexpr double arrays = 8;  // [sites, stride]
    return 8.0 * (grid.labels() + 1) * (arrays * grid.sites() + 2.0 * grid.labels());
}

void TreeBounds::begin(const FixedGrid& grid) {
    grid_ = &grid;
    labels_ = grid.labels();
    stride_ = (labels_ + kLanes - 1) / kLanes * kLanes;
    const std::size_t size = at(std::int64_t{grid.sites()} * stride_);
    unary_.assign(size, kNever);
    for (int p = 0; p < grid.sites(); ++p)
        std::transform(grid.unary(p), grid.unary(p) + labels_,
                       unary_.begin() + std::int64_t{p} * stride_,
                       [](Cost cost) { return static_cast<double>(cost); });
    distance_.assign(at(std::int64_t{labels_} * stride_), 0.0);
    transpose_.assign(distance_.size(), 0.0);
    largest_distance_ = 0;
    for (int a = 0; a < labels_; ++a) {
        for (int b = 0; b < labels_; ++b) {
            const double d = distance_of(grid, a, b);
            distance_[at(std::int64_t{a} * stride_ + b)] = d;
            transpose_[at(std::int64_t{b} * stride_ + a)] = d;
            largest_distance_ = std::max(largest_distance_, std::abs(d));
        }
    }
    two_costs_ = has_two_costs(grid);
    for (auto& messages : messages_) messages.assign(size, 0.0);
    sum_.resize(at(stride_));
    scratch_.resize(at(stride_));
    now_.resize(at(grid.sites()));
    has_best_ = false;
}

TreeBounds::Edge TreeBounds::across(int site) const {
    return {site, site + 1, grid_->uniform() ? 1.0 : grid_->weight_right(site)};
}

TreeBounds::Edge TreeBounds::down(int site) const {
    return {site, site + grid_->width(), grid_->uniform() ? 1.0 : grid_->weight_down(site)};
}

// least[b] = min over a of costs[a] + what the edge costs between a and b: a at its first site if
// `to_second`, else at its second one.
void TreeBounds::least_over(const Edge& edge, bool to_second, const double* costs,
                            double* least_of) const {
    const bool uniform = grid_->uniform();
    if (two_costs_ && edge.weight >= 0) {
        const auto cost = [&](double d) { return uniform ? d : std::rint(edge.weight * d); };
        const double same = cost(distance_[0]), other = cost(distance_[labels_ > 1 ? 1 : 0]);
        const double elsewhere = lowest_of(costs, stride_) + other;
        for (int b = 0; b < stride_; ++b) least_of[b] = std::min(costs[b] + same, elsewhere);
        return;
    }
    const double* table = (to_second ? distance_ : transpose_).data();
    if (uniform) {
        least_sums<false>(costs, table, 1.0, labels_, stride_, least_of);
    } else {
        least_sums<true>(costs, table, edge.weight, labels_, stride_, least_of);
    }
}

// sum_: the unary costs of a site and all messages to it.
void TreeBounds::add_messages(int site) {
    const double *own = unary(site), *l = message(left, site), *r = message(right, site),
                 *a = message(above, site), *b = message(below, site);
    for (int k = 0; k < stride_; ++k) sum_[at(k)] = own[k] + ((l[k] + r[k]) + (a[k] + b[k]));
}

// The best label, neighbours that have one given. sum_ is the site's.
Label TreeBounds::choose(int site, bool ascending) {
    std::vector<double>& score = scratch_;
    score = sum_;
    const int w = grid_->width(), r = site / w, c = site % w;
    const auto given = [&](From from, const Edge& edge, int neighbour) {
        const double* sent = message(from, site);
        const double* costs = (ascending ? distance_ : transpose_).data() +
                              std::int64_t{now_[at(neighbour)]} * stride_;
        for (int k = 0; k < labels_; ++k) score[at(k)] += edge.weight * costs[k] - sent[k];
    };
    if (ascending) {
        if (c > 0) given(left, across(site - 1), site - 1);
        if (r > 0) given(above, down(site - w), site - w);
    } else {
        if (c + 1 < w) given(right, across(site), site + 1);
        if (r + 1 < grid_->height()) given(below, down(site), site + w);
    }
    return static_cast<Label>(std::min_element(score.begin(), score.begin() + labels_) -
                              score.begin());
}

// Messages to the neighbours that come next. sum_ is the site's.
void TreeBounds::send(int site, bool ascending) {
    const int w = grid_->width(), r = site / w, c = site % w;
    const bool has_left = c > 0, has_right = c + 1 < w, has_above = r > 0,
               has_below = r + 1 < grid_->height();
    const double share = 1.0 / std::max({1, has_left + has_above, has_right + has_below});
    const auto to = [&](const Edge& edge, From back, From here) {
        const int other = ascending ? edge.second : edge.first;
        const double* came = message(back, site);
        for (int k = 0; k < stride_; ++k) scratch_[at(k)] = share * sum_[at(k)] - came[k];
        double* sent = message(here, other);
        least_over(edge, ascending, scratch_.data(), sent);
        const double lowest = lowest_of(sent, stride_);
        for (int k = 0; k < stride_; ++k) sent[k] -= lowest;
    };
    if (ascending) {
        if (has_right) to(across(site), right, left);
        if (has_below) to(down(site), below, above);
    } else {
        if (has_left) to(across(site - 1), left, right);
        if (has_above) to(down(site - w), above, below);
    }
}

void TreeBounds::pass(bool ascending, bool label) {
    const int sites = grid_->sites();
    for (int k = 0; k < sites; ++k) {
        const int site = ascending ? k : sites - 1 - k;
        add_messages(site);
        if (label) now_[at(site)] = choose(site, ascending);
        send(site, ascending);
    }
    if (label) offer(now_.data());
}

void TreeBounds::offer(const Label* labels) {
    const Cost energy = grid_->energy(labels);
    if (has_best_ && energy >= best_energy_) return;
    best_.assign(labels, labels + grid_->sites());
    best_energy_ = energy;
    has_best_ = true;
}

void TreeBounds::round(bool label) {
    pass(true, label);
    pass(false, label);
}

// Every site's costs, messages included, half to its row and half to its column.
void TreeBounds::split() {
    rows_.resize(unary_.size());
    columns_.resize(unary_.size());
    for (int p = 0; p < grid_->sites(); ++p) {
        add_messages(p);
        const double *l = message(left, p), *r = message(right, p);
        double* row = rows_.data() + std::int64_t{p} * stride_;
        double* column = columns_.data() + std::int64_t{p} * stride_;
        for (int k = 0; k < stride_; ++k) {
            row[k] = std::rint(0.5 * sum_[at(k)] - (l[k] + r[k]));
            column[k] = unary(p)[k] - row[k];
        }
    }
}

// Adds the minimum of a chain of sites to the bound, and to excess_ what each label costs beyond
// it. False when sums may not be exact.
bool TreeBounds::bound_chain(int first, int step, int count, const std::vector<double>& costs) {
    const auto own = [&](int k) {
        return costs.data() + (std::int64_t{first} + std::int64_t{k} * step) * stride_;
    };
    const auto edge_after = [&](int k) {
        const int site = first + k * step;
        return step == 1 ? across(site) : down(site);
    };
    double magnitude = 0;
    for (int k = 0; k < count; ++k) {
        const auto [low, high] = std::minmax_element(own(k), own(k) + labels_);
        magnitude += std::max(std::abs(*low), std::abs(*high)) + 1;
        if (k + 1 < count) magnitude += std::abs(edge_after(k).weight) * largest_distance_ + 1;
    }
    if (!(magnitude < kExact)) return false;
    ahead_.assign(at(std::int64_t{count} * stride_), 0.0);  // what the sites before a label cost
    behind_.assign(ahead_.size(), 0.0);
    for (int k = 0; k + 1 < count; ++k) {
        for (int a = 0; a < stride_; ++a)
            scratch_[at(a)] = ahead_[at(std::int64_t{k} * stride_ + a)] + own(k)[a];
        least_over(edge_after(k), true, scratch_.data(), &ahead_[at((k + 1LL) * stride_)]);
    }
    for (int k = count - 1; k > 0; --k) {
        for (int a = 0; a < stride_; ++a)
            scratch_[at(a)] = behind_[at(std::int64_t{k} * stride_ + a)] + own(k)[a];
        least_over(edge_after(k - 1), false, scratch_.data(), &behind_[at((k - 1LL) * stride_)]);
    }
    double lowest = kNever;
    for (int a = 0; a < labels_; ++a) lowest = std::min(lowest, own(0)[a] + behind_[at(a)]);
    bound_ += static_cast<Cost>(lowest);
    for (int k = 0; k < count; ++k) {
        double* excess = excess_.data() + (std::int64_t{first} + std::int64_t{k} * step) * stride_;
        for (int a = 0; a < labels_; ++a) {
            const std::size_t e = at(std::int64_t{k} * stride_ + a);
            excess[a] += own(k)[a] + ahead_[e] + behind_[e] - lowest;
        }
    }
    return true;
}

bool TreeBounds::strike(Survivors& survivors) {
    split();
    bound_ = 0;
    excess_.assign(unary_.size(), 0.0);
    const int h = grid_->height(), w = grid_->width();
    bool exact = true;
    for (int r = 0; r < h; ++r) exact &= bound_chain(r * w, 1, w, rows_);
    for (int c = 0; c < w; ++c) exact &= bound_chain(c, w, h, columns_);
    if (!exact) return true;
    const auto room = static_cast<double>(best_energy_ - bound_);
    bool left_over = true;
    for (int p = 0; p < grid_->sites(); ++p) {
        const double* excess = excess_.data() + std::int64_t{p} * stride_;
        survivors.keep_if(p, [&](Label a) { return excess[a] < room; });
        left_over &= survivors.count(p) > 0;
    }
    return left_over;
}

}  // namespace comix::gridcut
