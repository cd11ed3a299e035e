#include "gridcut/ordered_descent.hpp"

#include <algorithm>
#include <cmath>

#include "base/fixed_point.hpp"
#include "base/index.hpp"
#include "base/lanes.hpp"

namespace comix::gridcut {

namespace {

constexpr int kLanes = Lanes<double>::kCount;
constexpr int kBits = 52;  // all numbers of a move together

// The label distance as a function of i - j, which the caller knows it to be.
double distance(const GridProblem& problem, int difference) {
    const std::int64_t labels = problem.labels;
    return difference >= 0 ? problem.pairwise[difference * labels] : problem.pairwise[-difference];
}

Double2 load_pair(const double* first, const double* second) {
    return Double2{*first, *second};
}

}  // namespace

// A convex function of i - j, or false.
bool OrderedDescent::take_distances(const GridProblem& problem) {
    const int zero = labels_ - 1;
    double largest = 0;
    for (int e = 0; e < labels_ * labels_; ++e)
        largest = std::max(largest, std::abs(problem.pairwise[e]));
    const double slack = 1e-12 * largest;  // rounding of thirds and their squares
    // The comparisons fail for numbers that are not finite, too.
    for (int i = 0; i < labels_; ++i)
        for (int j = 0; j < labels_; ++j)
            if (!(std::abs(problem.pairwise[i * labels_ + j] - distance(problem, i - j)) <= slack))
                return false;
    for (int d = 1 - zero; d < zero; ++d) {
        const double bend = distance(problem, d - 1) + distance(problem, d + 1);
        if (!(bend >= 2 * distance(problem, d) - slack)) return false;
    }
    grow_.assign(at(2 * labels_ - 1), 0.0);
    shrink_.assign(at(2 * labels_ - 1), 0.0);
    double change = 0, bend = 0;
    for (int d = -zero; d < zero; ++d) {
        grow_[at(d + zero)] = distance(problem, d + 1) - distance(problem, d);
        shrink_[at(d + zero + 1)] = -grow_[at(d + zero)];
        change = std::max(change, std::abs(grow_[at(d + zero)]));
    }
    for (int d = 0; d < 2 * labels_ - 1; ++d)
        bend = std::max(bend, std::abs(grow_[at(d)] + shrink_[at(d)]));
    largest_change_ = 2 * change + bend;
    return true;
}

// Weights to their places, not scaled; false when one is negative.
bool OrderedDescent::take_weights(const GridProblem& problem, double* sum) {
    const auto take = [](const EdgeWeights& from, std::int64_t first, int count, double* to) {
        if (from.data)
            std::copy(from.data + first, from.data + first + count, to);
        else
            std::fill(to, to + count, from.uniform);
    };
    for (int r = 0; r < height_; ++r) {
        const std::int64_t row = r;
        if (r + 1 < height_)
            take(problem.weight_v, row * width_, width_, below_.weight.data() + r * width_);
        take(problem.weight_h, row * (width_ - 1), width_ - 1, right_.weight.data() + r * width_);
    }
    Double2 total = Lanes<double>::all(0);
    Long2 below_zero{};
    const double *right = right_.weight.data(), *below = below_.weight.data();
    for (int p = 0; p < sites_; p += kLanes) {
        const Double2 across = load(right + p), along = load(below + p);
        total = total + across + along;
        below_zero = below_zero | negative(across) | negative(along);
    }
    *sum = total[0] + total[1];
    return !any(below_zero);
}

// Calls visit(p, costs of site p, costs of site p + 1) for every second site; beyond the last one
// costs are zero.
template <class Visit>
void OrderedDescent::for_each_pair(const GridProblem& problem, const Visit& visit) const {
    const std::int64_t labels = labels_;
    const double* unary = problem.unary;
    const int last = sites_ - 1;
    int p = 0;
    for (; p < last; p += 2, unary += 2 * labels) visit(p, unary, unary + labels);
    if (p == last) visit(p, unary, nothing_.data());
}

// The sum of all differences of a site's neighbouring labels; not finite unless all costs are.
double OrderedDescent::unary_variation(const GridProblem& problem) const {
    const Double2 zero = Lanes<double>::all(0);
    Double2 sum = zero;
    for (int l = 0; l + 1 < labels_; ++l) {
        for_each_pair(problem, [&](int, const double* unary, const double* other) {
            const Double2 step =
                load_pair(unary + l + 1, other + l + 1) - load_pair(unary + l, other + l);
            sum = sum - least(step, zero - step);
        });
    }
    return sum[0] + sum[1];
}

// Unary costs as integers; false when some are not convex.
bool OrderedDescent::take_steps(const GridProblem& problem, int shift) {
    const PowerOfTwo scale(shift);
    const Double2 high = Lanes<double>::all(scale.first()),
                  low = Lanes<double>::all(scale.second());
    Long2 concave{};
    double* up = up_.data();
    for (int l = 0; l + 1 < labels_; ++l) {
        double* steps = steps_.data() + l * plane_;
        const auto height = [=](int label, const double* unary, const double* other) {
            const Double2 above = load_pair(unary + label, other + label) - load_pair(unary, other);
            return nearest(above * high * low);
        };
        if (l == 0) {
            for_each_pair(problem, [=](int p, const double* unary, const double* other) {
                const Double2 step = height(1, unary, other);
                store(step, steps + p);
                store(step, up + p);
            });
            continue;
        }
        const double* before = steps - plane_;
        for_each_pair(problem, [=, &concave](int p, const double* unary, const double* other) {
            const Double2 step = height(l + 1, unary, other) - height(l, unary, other);
            store(step, steps + p);
            concave = concave | negative(step - load(before + p));
        });
    }
    return !any(concave);
}

void OrderedDescent::resize(const GridProblem& problem) {
    labels_ = problem.labels;
    if (problem.height != height_ || problem.width != width_) {
        height_ = problem.height;
        width_ = problem.width;
        sites_ = height_ * width_;
        for (auto* field : {&up_, &right_.weight, &right_.first, &right_.second, &below_.weight,
                            &below_.first, &below_.second})
            field->resize(sites_, GridMove<double>::margin(width_));
        move_.resize(height_, width_);
        for (auto* edges : {&right_, &below_}) edges->places.resize(sites_, width_);
        for (int p = 0; p < sites_; ++p) {
            right_.places.add(p, (p + 1) % width_ > 0);
            below_.places.add(p, p + width_ < sites_);
        }
    }
    plane_ = (sites_ + kLanes - 1) / kLanes * kLanes;
    steps_.resize(at(plane_) * at(labels_ - 1));
    nothing_.assign(at(labels_), 0.0);
}

bool OrderedDescent::prepare(const GridProblem& problem) {
    if (problem.labels < 2) return false;
    resize(problem);
    double weights = 0;
    if (!take_distances(problem) || !take_weights(problem, &weights)) return false;
    const double magnitude = unary_variation(problem) + weights * largest_change_;
    if (!std::isfinite(magnitude)) return false;
    const FixedPoint fixed(magnitude, kBits);
    if (!take_steps(problem, fixed.shift())) return false;
    const FixedProduct product(largest_change_, fixed.shift());
    for (auto* table : {&grow_, &shrink_})
        for (double& change : *table) change = product.distance(change);
    for (auto* edges : {&right_, &below_}) {
        double* weight = edges->weight.data();
        for (int p = 0; p < sites_; ++p) weight[p] = product.weight(weight[p]);
    }
    return true;
}

// All edges between equal labels.
void OrderedDescent::begin_edges(Edges& edges, double* joint) {
    const Double2 grow = Lanes<double>::all(grow_[at(labels_ - 1)]),
                  shrink = Lanes<double>::all(shrink_[at(labels_ - 1)]),
                  zero = Lanes<double>::all(0);
    const double* weight = edges.weight.data();
    double *first = edges.first.data(), *second = edges.second.data();
    for (int p = 0; p < sites_; p += kLanes) {
        const Double2 w = load(weight + p);
        const Double2 a = nearest(w * grow), b = nearest(w * shrink);
        store(a, first + p);
        store(b, second + p);
        store(least(zero - a - b, zero), joint + p);
    }
}

void OrderedDescent::note_edge(Edges& edges, int p, int difference, double* joint) {
    const auto k = at(difference + labels_ - 1);
    const double weight = edges.weight.data()[p];
    const double first = std::rint(weight * grow_[k]), second = std::rint(weight * shrink_[k]);
    edges.first.data()[p] = first;
    edges.second.data()[p] = second;
    joint[p] = std::min(-first - second, 0.0);  // rounding may bend it the wrong way by one
}

// The best set of sites, to go one label up; false when none gains.
bool OrderedDescent::rise() {
    const double *up = up_.data(), *right = right_.first.data(), *left = right_.second.data(),
                 *below = below_.first.data(), *above = below_.second.data();
    double* alone = move_.alone();
    for (int p = 0; p < sites_; p += kLanes)
        store(load(up + p) + load(right + p) + load(left + p - 1) + load(below + p) +
                  load(above + p - width_),
              alone + p);
    return move_.choose(true);
}

// The costs of the next move: unary costs of the sites that moved, and the edges with one of them,
// picked from words: which they are, no processor foresees.
void OrderedDescent::note_moves(const Label* labels) {
    const SiteSet& choices = move_.choices();
    choices.for_each([&](int p) { up_.data()[p] = steps_[at(labels[p]) * at(plane_) + at(p)]; });
    const auto note = [&](Edges& edges, int distance, double* joint) {
        for (int k = 0; k < edges.places.count_words(); ++k) {
            const int first = SiteSet::kBits * k;
            const SiteSet::Word changed =
                (choices.words()[k] ^ choices.from(first + distance)) & edges.places.words()[k];
            SiteSet::for_each_bit(changed, first, [&](int p) {
                note_edge(edges, p, labels[p] - labels[p + distance], joint);
            });
        }
    };
    note(right_, 1, move_.joint_right());
    note(below_, width_, move_.joint_down());
}

void OrderedDescent::solve(Label* labels) {
    std::fill(labels, labels + sites_, 0);
    begin_edges(right_, move_.joint_right());
    begin_edges(below_, move_.joint_down());
    // After k rises no label is above k, so the last one needs no proof that nothing rises further.
    for (int k = 1; k < labels_ && rise(); ++k) {
        move_.choices().for_each([&](int p) { ++labels[p]; });
        if (k + 1 < labels_) note_moves(labels);
    }
}

}  // namespace comix::gridcut
