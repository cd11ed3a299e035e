#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/errors.hpp"
#include "base/index.hpp"
#include "transport/transport.hpp"

namespace comix::transport {

namespace {

constexpr int kFixedBits = 44;  // of the largest cost; sums of 2^16 of them stay inside int64
static_assert(kMostBlocks <= std::int64_t{1} << (60 - kFixedBits));
constexpr int kUsualExponent = 2;  // eps * C + saliency below 4

double normaliser(const Problem& problem) {
    const double side = std::max(problem.height, problem.width) - 1;
    return side > 0 ? side * side : 1.0;
}

// std::llrint for magnitudes below 2^51, in a form that vectorises: the sum's last bit is worth 1.
std::int64_t nearest_integer(double value) {
    constexpr double shift = 0x1.8p52;
    const double sum = value + shift;
    std::int64_t bits, origin;
    std::memcpy(&bits, &sum, sizeof bits);
    std::memcpy(&origin, &shift, sizeof origin);
    return bits - origin;
}

// The largest saliency; InvalidArgument unless all are finite and >= 0.
double largest_saliency(const Problem& problem) {
    double largest = 0;
    bool fine = true;
    for (int p = 0; p < problem.blocks(); ++p) {
        const double saliency = problem.saliency[p];
        fine &= saliency >= 0 && saliency <= std::numeric_limits<double>::max();
        largest = std::max(largest, saliency);
    }
    if (!fine) throw InvalidArgument("saliency: expected finite values >= 0");
    return largest;
}

}  // namespace

double plan_cost(const Problem& problem, const std::int64_t* plan) {
    std::int64_t distance = 0, j = 0;
    double gain = 0;
    for (int row = 0; row < problem.height; ++row) {
        for (int column = 0; column < problem.width; ++column, ++j) {
            const int i = static_cast<int>(plan[j]);
            const std::int64_t dr = i / problem.width - row, dc = i % problem.width - column;
            distance += dr * dr + dc * dc;
            if (problem.mask[j] > 0) gain += problem.saliency[i];
        }
    }
    return problem.eps * static_cast<double>(distance) / normaliser(problem) - gain;
}

// All displacements of the grid, nearest first.
void Planner::prepare_rings(const Problem& problem) {
    if (height_ == problem.height && width_ == problem.width) return;
    const int height = problem.height, width = problem.width;
    height_ = width_ = 0;
    eps_ = -1.0;
    price_eps_ = -1.0F;
    rings_.clear();
    for (int dr = 1 - height; dr < height; ++dr)
        for (int dc = 1 - width; dc < width; ++dc)
            rings_.push_back({0, 0.0F, dr, dc, dr * width + dc, dr * dr + dc * dc});
    std::stable_sort(rings_.begin(), rings_.end(),
                     [](const Step& a, const Step& b) { return a.squared < b.squared; });
    place_.clear();
    for (int row = 0; row < height; ++row)
        for (int column = 0; column < width; ++column) place_.push_back({row, column});
    const auto n = place_.size();
    for (auto* costs : {&gain_, &hidden_, &row_potential_, &column_potential_, &distance_})
        costs->resize(n);
    for (auto* indices : {&row_of_, &column_of_, &predecessor_}) indices->resize(n);
    homes_.resize(n);
    std::iota(homes_.begin(), homes_.end(), 0);
    height_ = height;  // last: until here the tables fit no grid
    width_ = width;
}

void Planner::prepare_costs(const Problem& problem) {
    const int n = problem.blocks();
    const double unit = problem.eps / normaliser(problem);
    const double largest = unit * rings_.back().squared + largest_saliency(problem);
    if (!std::isfinite(largest))
        throw InvalidArgument(
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
        for (Step& step : rings_) step.cost = std::llrint(unit * step.squared * first * second);
    }
    for (int p = 0; p < n; ++p)
        gain_[at(p)] = nearest_integer(problem.saliency[p] * first * second);
    for (int p = 0; p < n; ++p) hidden_[at(p)] = problem.mask[p] > 0 ? 0 : -1;
}

// Potentials with every reduced cost >= 0, and the blocks whose own position is tight assigned to
// it. Only a hidden block can be cheaper elsewhere: at the nearest shown position, if its gain pays
// for the way.
void Planner::assign_at_home() {
    const std::size_t n = place_.size();
    std::fill(column_potential_.begin(), column_potential_.end(), 0);
    for (std::size_t i = 0; i < n; ++i) row_potential_[i] = ~hidden_[i] & -gain_[i];
    row_of_ = column_of_ = homes_;
    unassigned_.clear();
    if (n == 1) return;
    for (std::size_t i = 0; i < n; ++i) {
        const Cost gain = hidden_[i] & gain_[i];
        if (gain <= rings_[1].cost) continue;
        for (const Step& step : rings_) {
            if (step.cost >= gain) break;
            if (!inside(place_[i], step) || hidden_[i + step.offset]) continue;
            row_potential_[i] = step.cost - gain;
            row_of_[i] = column_of_[i] = -1;
            unassigned_.push_back(static_cast<int>(i));
            break;
        }
    }
}

// Offers the positions that `row` can still reach for less than `bound`: the shortest known way to
// a free position, `end`. Potentials of positions are <= 0, so the way alone bounds the reduced
// cost from below.
void Planner::relax(int row, Cost reached, Cost& bound, int& end) {
    const Place home = place_[at(row)];
    const Cost gain = gain_[at(row)], base = reached - row_potential_[at(row)] - gain;
    for (const Step& step : rings_) {
        const Cost way = base + step.cost;  // to a shown position
        if (way >= bound) break;
        if (!inside(home, step)) continue;
        const int j = row + step.offset;
        const Cost through = way + (hidden_[at(j)] & gain) - column_potential_[at(j)];
        if (through >= bound) continue;
        int& seen = seen_[at(j)];
        if (seen < search_) {
            seen = search_;
            reached_.push_back(j);
        } else if (through >= distance_[at(j)]) {
            continue;  // expanded positions have shorter ways, too
        }
        distance_[at(j)] = through;
        predecessor_[at(j)] = row;
        const int holder = row_of_[at(j)];
        if (holder < 0) {
            bound = through;
            end = j;
        } else if (seen == search_ && through + least_way_out(holder) < bound) {
            seen = search_ + 1;
            open_.push_back(j);
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
    search_ += 2;
    open_.clear();
    reached_.clear();
    Cost bound = std::numeric_limits<Cost>::max();
    int end = -1;
    if (row_of_[at(start)] < 0) {  // its own position is free: one way is known
        end = start;
        bound = (~hidden_[at(start)] & -gain_[at(start)]) - row_potential_[at(start)] -
                column_potential_[at(start)];
        seen_[at(start)] = search_;
        distance_[at(start)] = bound;
        predecessor_[at(start)] = start;
    }
    relax(start, 0, bound, end);
    for (int j; (j = nearest_open(bound)) >= 0;)
        relax(row_of_[at(j)], distance_[at(j)], bound, end);

    row_potential_[at(start)] += bound;
    for (const int j : reached_) {
        const Cost slack = bound - distance_[at(j)];
        if (slack <= 0) continue;
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
    prepare_costs(problem);
    assign_at_home();
    seen_.assign(place_.size(), 0);
    search_ = 0;
    for (const int i : unassigned_) augment(i);
    std::copy(row_of_.begin(), row_of_.end(), plan);
}

void Planner::solve(const Problem& problem, Method method, std::int64_t* plan) {
    if (!(problem.eps >= 0 && std::isfinite(problem.eps)))
        throw InvalidArgument("eps: expected a finite number >= 0");
    prepare_rings(problem);
    if (method == Method::exact) {
        solve_exact(problem, plan);
    } else {
        largest_saliency(problem);
        solve_greedy(problem, plan);
    }
}

}  // namespace comix::transport
