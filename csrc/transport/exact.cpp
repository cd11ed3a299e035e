#include <algorithm>
#include <cmath>
#include <limits>

#include "base/errors.hpp"
#include "transport/transport.hpp"

namespace comix::transport {

namespace {

constexpr int kFixedBits = 44;     // of the largest cost; sums of 2^16 of them stay inside int64
constexpr int kUsualExponent = 2;  // eps * C + saliency below 4

std::size_t at(int index) {
    return static_cast<std::size_t>(index);
}

double normaliser(const Problem& problem) {
    const double side = std::max(problem.height, problem.width) - 1;
    return side > 0 ? side * side : 1.0;
}

}  // namespace

double plan_cost(const Problem& problem, const std::int64_t* plan) {
    const std::int64_t w = problem.width;
    double distance = 0, gain = 0;
    for (std::int64_t j = 0; j < problem.blocks(); ++j) {
        const std::int64_t i = plan[j];
        const double dr = static_cast<double>(i / w - j / w),
                     dc = static_cast<double>(i % w - j % w);
        distance += dr * dr + dc * dc;
        if (problem.mask[j] > 0) gain += problem.saliency[i];
    }
    return problem.eps * distance / normaliser(problem) - gain;
}

// All displacements of the grid, nearest first.
void Planner::prepare_rings(const Problem& problem) {
    if (height_ == problem.height && width_ == problem.width) return;
    height_ = problem.height;
    width_ = problem.width;
    eps_ = -1.0;
    rings_.clear();
    for (int dr = 1 - height_; dr < height_; ++dr)
        for (int dc = 1 - width_; dc < width_; ++dc) rings_.push_back({dr, dc, dr * dr + dc * dc});
    std::stable_sort(rings_.begin(), rings_.end(),
                     [](const Step& a, const Step& b) { return a.squared < b.squared; });
    const auto n = static_cast<std::size_t>(problem.blocks());
    gain_.resize(n);
    shown_.resize(n);
    row_potential_.resize(n);
    distance_.resize(n);
    predecessor_.resize(n);
    visited_.assign(n, 0);
    visit_ = 0;
}

void Planner::prepare_costs(const Problem& problem) {
    const int n = problem.blocks();
    const double unit = problem.eps / normaliser(problem);
    const double largest =
        unit * rings_.back().squared + *std::max_element(problem.saliency, problem.saliency + n);
    require(std::isfinite(largest),
            "eps, saliency: expected costs that float64 can hold, got some that overflow");
    int exponent = 0;
    if (largest > 0) std::frexp(largest, &exponent);
    // The usual magnitudes share one scale, and with it the table of moves.
    if (exponent >= kUsualExponent - 4 && exponent < kUsualExponent) exponent = kUsualExponent;
    // Two factors, since the scale itself may exceed the range of a double.
    const int shift = kFixedBits - exponent;
    const double first = std::ldexp(1.0, shift / 2), second = std::ldexp(1.0, shift - shift / 2);
    if (problem.eps != eps_ || exponent != exponent_) {
        eps_ = problem.eps;
        exponent_ = exponent;
        step_cost_.resize(rings_.size());
        for (std::size_t k = 0; k < rings_.size(); ++k)
            step_cost_[k] = std::llrint(unit * rings_[k].squared * first * second);
    }
    for (int p = 0; p < n; ++p) {
        gain_[at(p)] = std::llrint(problem.saliency[p] * first * second);
        shown_[at(p)] = problem.mask[p] > 0;
    }
}

// Potentials with every reduced cost >= 0, and the blocks whose own position is tight assigned to
// it. Only a hidden block can be cheaper elsewhere: at the nearest shown position, if its gain pays
// for the way.
void Planner::assign_at_home() {
    const int n = height_ * width_;
    column_potential_.assign(at(n), 0);
    row_of_.assign(at(n), -1);
    column_of_.assign(at(n), -1);
    unassigned_.clear();
    const Cost nearest = step_cost_.size() > 1 ? step_cost_[1] : 0;
    for (int i = 0; i < n; ++i) {
        Cost least = shown_[at(i)] ? -gain_[at(i)] : 0;
        if (!shown_[at(i)] && gain_[at(i)] > nearest) {
            const int r = i / width_, c = i % width_;
            for (std::size_t k = 1; k < rings_.size() && step_cost_[k] < gain_[at(i)]; ++k) {
                const int row = r + rings_[k].rows, column = c + rings_[k].columns;
                if (row < 0 || row >= height_ || column < 0 || column >= width_) continue;
                if (!shown_[at(row * width_ + column)]) continue;
                least = step_cost_[k] - gain_[at(i)];
                break;
            }
        }
        row_potential_[at(i)] = least;
        if (least < 0 && !shown_[at(i)]) {
            unassigned_.push_back(i);
        } else {
            row_of_[at(i)] = column_of_[at(i)] = i;
        }
    }
}

// Offers the positions that `row` can still reach for less than `bound`: the shortest known way to
// a free position, `end`. Potentials of positions are <= 0, so the way alone bounds the reduced
// cost from below.
void Planner::relax(int row, Cost reached, Cost& bound, int& end) {
    const int r = row / width_, c = row % width_;
    const Cost base = reached - row_potential_[at(row)], gain = gain_[at(row)];
    for (std::size_t k = 0; k < rings_.size(); ++k) {
        if (base + step_cost_[k] - gain >= bound) break;
        const int to_row = r + rings_[k].rows, to_column = c + rings_[k].columns;
        if (to_row < 0 || to_row >= height_ || to_column < 0 || to_column >= width_) continue;
        const int j = to_row * width_ + to_column;
        const Cost through =
            base + step_cost_[k] - (shown_[at(j)] ? gain : 0) - column_potential_[at(j)];
        if (through >= bound) continue;
        if (visited_[at(j)] != visit_) {
            visited_[at(j)] = visit_;
            if (row_of_[at(j)] >= 0) open_.push_back(j);
        } else if (through >= distance_[at(j)]) {
            continue;  // expanded positions have shorter ways, too
        }
        distance_[at(j)] = through;
        predecessor_[at(j)] = row;
        if (row_of_[at(j)] < 0) {
            bound = through;
            end = j;
        }
    }
}

// Takes the nearest open position below `bound` off the list, or returns -1.
int Planner::nearest_open(Cost bound) {
    std::size_t best = open_.size();
    for (std::size_t k = 0; k < open_.size(); ++k) {
        if (distance_[at(open_[k])] >= bound) continue;
        if (best == open_.size() || distance_[at(open_[k])] < distance_[at(open_[best])]) best = k;
    }
    if (best == open_.size()) return -1;
    const int j = open_[best];
    open_[best] = open_.back();
    open_.pop_back();
    return j;
}

// Dijkstra over positions from an unassigned block to the nearest free position; then one exchange
// along the path. Potentials stay feasible.
void Planner::augment(int start) {
    ++visit_;
    open_.clear();
    closed_.clear();
    Cost bound = std::numeric_limits<Cost>::max();
    int end = -1;
    if (row_of_[at(start)] < 0) {  // its own position is free: one way is known
        end = start;
        bound = (shown_[at(start)] ? -gain_[at(start)] : 0) - row_potential_[at(start)] -
                column_potential_[at(start)];
        visited_[at(start)] = visit_;
        distance_[at(start)] = bound;
        predecessor_[at(start)] = start;
    }
    relax(start, 0, bound, end);
    for (int j; (j = nearest_open(bound)) >= 0;) {
        closed_.push_back(j);
        relax(row_of_[at(j)], distance_[at(j)], bound, end);
    }

    row_potential_[at(start)] += bound;
    for (const int j : closed_) {
        const Cost slack = bound - distance_[at(j)];
        column_potential_[at(j)] -= slack;
        row_potential_[at(row_of_[at(j)])] += slack;
    }
    // Walk the path back: every position on it passes to the block it was reached from, and that
    // block leaves the position it held, which is the one before on the path.
    for (int j = end;;) {
        const int i = predecessor_[at(j)];
        row_of_[at(j)] = i;
        std::swap(column_of_[at(i)], j);
        if (i == start) break;
    }
}

void Planner::solve_exact(const Problem& problem, std::int64_t* plan) {
    prepare_rings(problem);
    prepare_costs(problem);
    assign_at_home();
    for (const int i : unassigned_) augment(i);
    for (int j = 0; j < problem.blocks(); ++j) plan[j] = row_of_[at(j)];
}

void Planner::solve(const Problem& problem, Method method, std::int64_t* plan) {
    const int n = problem.blocks();
    require(problem.eps >= 0 && std::isfinite(problem.eps), "eps: expected a finite number >= 0");
    require(all_finite(problem.saliency, n) && std::all_of(problem.saliency, problem.saliency + n,
                                                           [](double s) { return s >= 0; }),
            "saliency: expected finite values >= 0");
    if (method == Method::exact) {
        solve_exact(problem, plan);
    } else {
        solve_greedy(problem, plan);
    }
}

}  // namespace comix::transport
