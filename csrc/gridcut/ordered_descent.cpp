#include "gridcut/ordered_descent.hpp"

#include <algorithm>
#include <cmath>

#include "base/fixed_point.hpp"

namespace comix::gridcut {

namespace {

std::size_t at(int index) {
    return static_cast<std::size_t>(index);
}

// The label distance as a function of i - j, which the caller knows it to be.
double distance(const GridProblem& problem, int difference) {
    const std::int64_t labels = problem.labels;
    return difference >= 0 ? problem.pairwise[difference * labels] : problem.pairwise[-difference];
}

}  // namespace

bool OrderedDescent::applies(const GridProblem& problem) {
    const int labels = problem.labels;
    if (labels < 2) return false;
    double largest = 0;
    for (int e = 0; e < labels * labels; ++e)
        largest = std::max(largest, std::abs(problem.pairwise[e]));
    const double slack = 1e-12 * largest;  // rounding of thirds and their squares
    for (int i = 0; i < labels; ++i)
        for (int j = 0; j < labels; ++j)
            if (std::abs(problem.pairwise[i * labels + j] - distance(problem, i - j)) > slack)
                return false;
    for (int d = 2 - labels; d <= labels - 2; ++d) {
        const double bend = distance(problem, d - 1) + distance(problem, d + 1);
        if (bend < 2 * distance(problem, d) - slack) return false;
    }
    bool negative = false;
    problem.for_each_edge([&](int, int, double weight) { negative |= weight < 0; });
    if (negative) return false;
    const double* unary = problem.unary;
    for (int p = 0; p < problem.height * problem.width; ++p, unary += labels)
        for (int l = 1; l + 1 < labels; ++l)
            if (unary[l - 1] + unary[l + 1] < 2 * unary[l]) return false;
    return true;
}

void OrderedDescent::begin(const GridProblem& problem, const FixedGrid& grid) {
    if (problem.height != height_ || problem.width != width_) {
        height_ = problem.height;
        width_ = problem.width;
        sites_ = height_ * width_;
        for (auto* field : {&up_, &right_.first, &right_.second, &below_.first, &below_.second})
            field->resize(sites_, GridMove<double>::margin(width_));
        right_.weight.assign(at(sites_), 0.0);
        below_.weight.assign(at(sites_), 0.0);
        move_.resize(height_, width_);
    }
    labels_ = problem.labels;
    const int n = 2 * labels_ - 1, zero = labels_ - 1;
    double largest = 0;
    for (int d = -zero; d <= zero; ++d) largest = std::max(largest, std::abs(distance(problem, d)));
    // A product is scaled once: distances come down to at most 1, weights take all the rest.
    int exponent = 0;
    if (largest > 0) std::frexp(largest, &exponent);
    const PowerOfTwo to_one(-exponent), scale(largest > 0 ? grid.shift() + exponent : 0);
    grow_.assign(at(n), 0.0);
    shrink_.assign(at(n), 0.0);
    for (int d = -zero; d < zero; ++d) {
        const double change = distance(problem, d + 1) - distance(problem, d);
        grow_[at(d + zero)] = to_one(change);
        shrink_[at(d + zero + 1)] = to_one(-change);
    }
    problem.for_each_edge([&](int p, int q, double weight) {
        Edges& edges = q == p + 1 && width_ > 1 ? right_ : below_;
        edges.weight[at(p)] = scale(weight);
    });
}

void OrderedDescent::note_edge(Edges& edges, int p, int difference, double* joint) {
    const auto k = at(difference + labels_ - 1);
    const double first = std::rint(edges.weight[at(p)] * grow_[k]);
    const double second = std::rint(edges.weight[at(p)] * shrink_[k]);
    edges.first.data()[p] = first;
    edges.second.data()[p] = second;
    joint[p] = std::min(-first - second, 0.0);  // rounding may bend it the wrong way by one
}

// The best set of sites goes one label up; false when none gains.
bool OrderedDescent::rise(const FixedGrid& grid, Label* labels) {
    constexpr int lanes = Lanes<double>::kCount;
    const double *up = up_.data(), *right = right_.first.data(), *left = right_.second.data(),
                 *below = below_.first.data(), *above = below_.second.data();
    double* alone = move_.alone();
    for (int p = 0; p < sites_; p += lanes)
        store(load(up + p) + load(right + p) + load(left + p - 1) + load(below + p) +
                  load(above + p - width_),
              alone + p);
    if (move_.solve() >= 0) return false;
    const std::uint8_t* choice = move_.choices();
    moved_.clear();
    for (int p = 0; p < sites_; ++p) {
        if (!choice[p]) continue;
        const Cost* unary = grid.unary(p);
        const Label l = ++labels[p];
        up_.data()[p] = l + 1 < labels_ ? static_cast<double>(unary[l + 1] - unary[l]) : 0.0;
        moved_.push_back(p);
    }
    const auto note_right = [&](int p) {
        if (right_.weight[at(p)] > 0)
            note_edge(right_, p, labels[p] - labels[p + 1], move_.joint_right());
    };
    const auto note_below = [&](int p) {
        if (below_.weight[at(p)] > 0)
            note_edge(below_, p, labels[p] - labels[p + width_], move_.joint_down());
    };
    for (const int p : moved_) {
        note_right(p);
        note_below(p);
        if (p > 0) note_right(p - 1);
        if (p >= width_) note_below(p - width_);
    }
    return true;
}

void OrderedDescent::solve(const GridProblem& problem, const FixedGrid& grid, Label* labels) {
    begin(problem, grid);
    std::fill(labels, labels + sites_, 0);
    for (int p = 0; p < sites_; ++p) {
        const Cost* unary = grid.unary(p);
        up_.data()[p] = static_cast<double>(unary[1] - unary[0]);
        note_edge(right_, p, 0, move_.joint_right());
        note_edge(below_, p, 0, move_.joint_down());
    }
    // After k rises no label is above k, so the last one needs no proof that nothing rises further.
    for (int k = 1; k < labels_ && rise(grid, labels); ++k) {
    }
}

}  // namespace comix::gridcut
