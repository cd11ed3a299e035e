#include "gridcut/binary_move.hpp"

#include <algorithm>

namespace comix::gridcut {

namespace {

bool submodular(const BinaryMove::Edge& e) {
    return e[0] + e[3] <= e[1] + e[2];
}

// Four costs rounded to integers can miss submodularity by this much when the caller's costs have
// it.
constexpr Cost kRounding = 2;

// At most this wide, the frontier programme beats the min cut.
constexpr int kFastFrontierWidth = 5;

}  // namespace

void BinaryMove::resize(int height, int width) {
    height_ = height;
    width_ = width;
    topology_.resize(height, width);
    clear();
}

void BinaryMove::clear() {
    const auto n = static_cast<std::size_t>(sites());
    cost_.assign(n, {0, 0});
    down_.assign(n, Edge{});
    right_.assign(n, Edge{});
    current_.assign(n, 0);
    taken_.resize(n);
}

bool BinaryMove::all_submodular() const {
    return std::all_of(down_.begin(), down_.end(), submodular) &&
           std::all_of(right_.begin(), right_.end(), submodular);
}

BinaryMove::Outcome BinaryMove::solve() {
    const int narrow = std::min(height_, width_);
    if (sites() <= kFrontierSites &&
        (narrow <= kFastFrontierWidth || (narrow <= kFrontierWidth && !all_submodular()))) {
        return {true, solve_frontier_any()};
    }
    const bool proven = solve_min_cut();
    return {proven, change()};
}

// E(x) - E(0) of the answer.
Cost BinaryMove::change() const {
    Cost sum = 0;
    for (int r = 0, p = 0; r < height_; ++r) {
        for (int c = 0; c < width_; ++c, ++p) {
            const auto i = static_cast<std::size_t>(p);
            const int x = taken_[i];
            sum += cost_[i][static_cast<std::size_t>(x)] - cost_[i][0];
            const auto edge = [&](const Edge& e, int other) {
                sum +=
                    e[static_cast<std::size_t>(2 * x + taken_[static_cast<std::size_t>(other)])] -
                    e[0];
            };
            if (r + 1 < height_) edge(down_[i], p + width_);
            if (c + 1 < width_) edge(right_[i], p + 1);
        }
    }
    return sum;
}

bool BinaryMove::add_edge(int site, int other, GridTopology::Direction direction, Edge e) {
    const Cost missing = e[0] + e[3] - e[1] - e[2];
    if (missing > 0) {
        const bool current_is_01 =
            !current_[static_cast<std::size_t>(site)] && current_[static_cast<std::size_t>(other)];
        e[current_is_01 ? 2 : 1] += missing;  // raise a labelling that is not the current one
    }
    // e = e00 + (e10 - e00) x_p + (e11 - e10) x_q + (e01 + e10 - e00 - e11) (1 - x_p) x_q
    const int p = topology_.node(site / width_, site % width_);
    const int q = topology_.node(other / width_, other % width_);
    flow_.add_sink_side_cost(p, e[2] - e[0]);
    flow_.add_sink_side_cost(q, e[3] - e[2]);
    flow_.add_capacity(topology_.arc(p, direction), e[1] + e[2] - e[0] - e[3], 0);
    return missing <= kRounding;
}

bool BinaryMove::solve_min_cut() {
    flow_.reset(topology_);
    bool exact = true;
    for (int r = 0, p = 0; r < height_; ++r) {
        for (int c = 0; c < width_; ++c, ++p) {
            const auto i = static_cast<std::size_t>(p);
            flow_.add_sink_side_cost(topology_.node(r, c), cost_[i][1] - cost_[i][0]);
            if (r + 1 < height_) exact &= add_edge(p, p + width_, GridTopology::down, down_[i]);
            if (c + 1 < width_) exact &= add_edge(p, p + 1, GridTopology::right, right_[i]);
        }
    }
    flow_.solve();
    for (int r = 0, p = 0; r < height_; ++r)
        for (int c = 0; c < width_; ++c, ++p)
            taken_[static_cast<std::size_t>(p)] = flow_.on_sink_side(topology_.node(r, c));
    return exact;
}

Cost BinaryMove::solve_frontier_any() {
    switch (std::min(height_, width_)) {
        case 1:
            return solve_frontier<1>();
        case 2:
            return solve_frontier<2>();
        case 3:
            return solve_frontier<3>();
        case 4:
            return solve_frontier<4>();
        case 5:
            return solve_frontier<5>();
        case 6:
            return solve_frontier<6>();
        case 7:
            return solve_frontier<7>();
        default:
            return solve_frontier<8>();
    }
}

// Sites are visited row by row across the narrow side. A state holds the last `Width` choices as
// bits, the newest lowest: a step shifts the new choice in and the choice of the site above it out
// of the top.
template <int Width>
Cost BinaryMove::solve_frontier() {
    constexpr int states = 1 << Width, half = states / 2;
    const bool transposed = height_ < width_;
    const int rows = transposed ? width_ : height_;
    // Site (r, c) of the narrow orientation.
    const auto site = [&](int r, int c) {
        return static_cast<std::size_t>(transposed ? c * width_ + r : r * width_ + c);
    };
    const auto& along = transposed ? right_ : down_;   // edges between rows
    const auto& across = transposed ? down_ : right_;  // edges between columns
    // Costs, relative to keeping everything, carry the number of ones in their low 8 bits: fewest
    // ones among equal costs.
    constexpr Cost unit = 1 << 8;
    constexpr Edge no_edge{};

    choices_.resize(static_cast<std::size_t>(sites()) * states);
    Cost buffers[2][states] = {};
    Cost* best = buffers[0];
    Cost* next = buffers[1];
    std::uint8_t* choice = choices_.data();
    for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < Width; ++c, choice += states) {
            const auto& cost = cost_[site(r, c)];
            const Edge& up = r ? along[site(r - 1, c)] : no_edge;
            const Edge& left = c ? across[site(r, c - 1)] : no_edge;
            // What the new choice x adds: above[x_above][x], and the rest by the choice to the
            // left.
            const Cost above[2][2] = {{0, (up[1] - up[0]) * unit},
                                      {(up[2] - up[0]) * unit, (up[3] - up[0]) * unit}};
            const Cost take = (cost[1] - cost[0]) * unit + 1;
            const Cost add[2][2] = {
                {0, take + (left[1] - left[0]) * unit},
                {(left[2] - left[0]) * unit, take + (left[3] - left[0]) * unit}};
            for (int s = 0; s < half;
                 ++s) {  // s: the choices that stay; its lowest bit is the left one
                const Cost from_0 = best[s], from_1 = best[s + half];
                const Cost keep_0 = from_0 + above[0][0], keep_1 = from_1 + above[1][0];
                const Cost take_0 = from_0 + above[0][1], take_1 = from_1 + above[1][1];
                choice[2 * s] = keep_1 < keep_0;
                choice[2 * s + 1] = take_1 < take_0;
                next[2 * s] = std::min(keep_0, keep_1) + add[s & 1][0];
                next[2 * s + 1] = std::min(take_0, take_1) + add[s & 1][1];
            }
            std::swap(best, next);
        }
    }

    const Cost* least = std::min_element(best, best + states);
    auto state = static_cast<int>(least - best);
    for (int r = rows; r-- > 0;) {
        for (int c = Width; c-- > 0;) {
            choice -= states;
            taken_[site(r, c)] = state & 1;
            state = (state >> 1) | (choice[state] ? half : 0);
        }
    }
    return (*least - (*least & (unit - 1))) / unit;  // without the count of ones
}

}  // namespace comix::gridcut
