#include <algorithm>
#include <cmath>
#include <limits>

#include "transport/transport.hpp"

namespace comix::transport {

namespace {

constexpr int kFixedBits = 40;  // of one cost; sums of 2^20 of them stay far inside int64

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

// Fixed-point costs; a move's cost depends on the difference of the positions only.
void Planner::prepare_costs(const Problem& problem) {
    const int h = problem.height, w = problem.width, n = problem.blocks();
    const double unit = problem.eps / normaliser(problem);
    const double farthest = unit * ((h - 1.0) * (h - 1.0) + (w - 1.0) * (w - 1.0));
    const double magnitude = farthest + *std::max_element(problem.saliency, problem.saliency + n);
    int exponent = 0;
    if (magnitude > 0) std::frexp(magnitude, &exponent);
    const auto fixed = [&](double x) -> Cost {
        return std::llrint(std::ldexp(x, kFixedBits - exponent));
    };

    const int pitch = 2 * w - 1;
    centre_ = (h - 1) * pitch + w - 1;
    move_.resize(at((2 * h - 1) * pitch));
    for (int dr = -(h - 1); dr < h; ++dr)
        for (int dc = -(w - 1); dc < w; ++dc)
            move_[at(centre_ + dr * pitch + dc)] = fixed(unit * (dr * dr + dc * dc));
    offset_.resize(at(n));
    gain_.resize(at(n));
    shown_.resize(at(n));
    for (int p = 0; p < n; ++p) {
        offset_[at(p)] = p / w * pitch + p % w;
        gain_[at(p)] = fixed(problem.saliency[p]);
        shown_[at(p)] = problem.mask[p] > 0;
    }
}

// Potentials with every reduced cost >= 0, and the blocks whose own position is tight assigned to
// it.
void Planner::assign_at_home(const Problem& problem) {
    const int n = problem.blocks();
    column_potential_.assign(at(n), 0);
    row_potential_.resize(at(n));
    column_of_.assign(at(n), -1);
    row_of_.assign(at(n), -1);
    const Cost nearest = n == 1 ? 0 : move_[at(centre_ + 1)];  // a pitch of 1 when one wide
    for (int i = 0; i < n; ++i) {
        Cost least = cost(i, i);
        // Only a shown position can be cheaper, by the gain, and never by less than the nearest
        // move.
        if (!shown_[at(i)] && gain_[at(i)] > nearest)
            for (int j = 0; j < n; ++j)
                if (shown_[at(j)]) least = std::min(least, cost(i, j));
        row_potential_[at(i)] = least;
        if (least == cost(i, i)) column_of_[at(i)] = row_of_[at(i)] = i;
    }
}

// Dijkstra over positions from an unassigned block to the nearest free position; then one exchange
// along the path. Potentials stay feasible.
void Planner::augment(int start) {
    const int n = static_cast<int>(gain_.size());
    constexpr Cost far = std::numeric_limits<Cost>::max();
    distance_.assign(at(n), far);
    predecessor_.assign(at(n), start);
    open_.resize(at(n));
    for (int j = 0; j < n; ++j) open_[at(j)] = j;
    closed_.clear();

    int row = start, end = -1;
    Cost reached = 0;
    for (;;) {
        std::size_t nearest = 0;
        for (std::size_t k = 0; k < open_.size(); ++k) {
            const int j = open_[k];
            const Cost through =
                reached + cost(row, j) - row_potential_[at(row)] - column_potential_[at(j)];
            if (through < distance_[at(j)]) {
                distance_[at(j)] = through;
                predecessor_[at(j)] = row;
            }
            // Among equals a free position ends the search.
            const int leader = open_[nearest];
            if (distance_[at(j)] < distance_[at(leader)] ||
                (distance_[at(j)] == distance_[at(leader)] && row_of_[at(j)] < 0 &&
                 row_of_[at(leader)] >= 0))
                nearest = k;
        }
        const int j = open_[nearest];
        reached = distance_[at(j)];
        if (row_of_[at(j)] < 0) {
            end = j;
            break;
        }
        open_[nearest] = open_.back();
        open_.pop_back();
        closed_.push_back(j);
        row = row_of_[at(j)];
    }

    row_potential_[at(start)] += reached;
    for (const int j : closed_) {
        const Cost slack = reached - distance_[at(j)];
        column_potential_[at(j)] -= slack;
        row_potential_[at(row_of_[at(j)])] += slack;
    }
    for (int j = end;;) {
        const int i = predecessor_[at(j)];
        row_of_[at(j)] = i;
        std::swap(column_of_[at(i)], j);
        if (i == start) break;
    }
}

void Planner::solve_exact(const Problem& problem, std::int64_t* plan) {
    prepare_costs(problem);
    assign_at_home(problem);
    const int n = problem.blocks();
    for (int i = 0; i < n; ++i)
        if (column_of_[at(i)] < 0) augment(i);
    for (int j = 0; j < n; ++j) plan[j] = row_of_[at(j)];
}

void Planner::solve(const Problem& problem, Method method, std::int64_t* plan) {
    if (method == Method::exact) {
        solve_exact(problem, plan);
    } else {
        solve_greedy(problem, plan);
    }
}

}  // namespace comix::transport
