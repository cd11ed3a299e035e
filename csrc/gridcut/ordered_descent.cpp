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

// The nearest integer, for magnitudes below 2^51: beyond 2^52 doubles have no fractions.
Double2 nearest(Double2 value) {
    const Double2 beyond = Lanes<double>::all(6755399441055744.0);  // 1.5 * 2^52
    return value + beyond - beyond;
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

// The sum of all differences of a site's neighbouring labels; not finite unless all costs are.
double OrderedDescent::unary_variation(const GridProblem& problem) const {
    double sum = 0;
    const double* unary = problem.unary;
    for (int p = 0; p < sites_; ++p, unary += labels_)
        for (int l = 1; l < labels_; ++l) sum += std::abs(unary[l] - unary[l - 1]);
    return sum;
}

// Unary costs as integers; false when some are not convex.
bool OrderedDescent::take_steps(const GridProblem& problem, int shift) {
    const PowerOfTwo scale(shift);
    const double* unary = problem.unary;
    double* step = steps_.data();
    bool convex = true;
    for (int p = 0; p < sites_; ++p, unary += labels_, step += labels_ - 1) {
        double below = 0;
        for (int l = 0; l + 1 < labels_; ++l) {
            const double here = std::rint(scale(unary[l + 1] - unary[0]));
            step[l] = here - below;
            convex &= l == 0 || step[l] >= step[l - 1];
            below = here;
        }
        up_.data()[p] = step[0];
    }
    return convex;
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
    }
    steps_.resize(at(sites_) * at(labels_ - 1));
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
// listed first: which they are, no processor foresees.
void OrderedDescent::note_moves(const Label* labels) {
    for (const int p : list_) up_.data()[p] = steps_[at(p) * at(labels_ - 1) + at(labels[p])];
    const std::uint8_t* choice = move_.choices();
    const auto note = [&](Edges& edges, int distance, double* joint) {
        list_.resize(at(sites_));
        std::size_t count = 0;
        for (int p = 0; p + distance < sites_; ++p) {
            list_[count] = p;
            count += choice[p] != choice[p + distance];
        }
        list_.resize(count);
        for (const int p : list_) note_edge(edges, p, labels[p] - labels[p + distance], joint);
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
        const std::uint8_t* choice = move_.choices();
        list_.resize(at(sites_) + 1);  // the last one is for what is not kept
        std::size_t count = 0;
        for (int p = 0; p < sites_; ++p) {
            labels[p] += choice[p];
            list_[count] = p;
            count += choice[p];
        }
        list_.resize(count);
        if (k + 1 < labels_) note_moves(labels);
    }
}

}  // namespace comix::gridcut
