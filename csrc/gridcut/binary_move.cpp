#include "gridcut/binary_move.hpp"

#include <algorithm>

namespace comix::gridcut {

namespace {

bool submodular(const BinaryMove::Edge& e) { return e[0] + e[3] <= e[1] + e[2]; }

// Four costs rounded to integers can miss submodularity by this much when the caller's costs have it.
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

bool BinaryMove::solve() {
    const int narrow = std::min(height_, width_);
    if (sites() <= kFrontierSites &&
        (narrow <= kFastFrontierWidth || (narrow <= kFrontierWidth && !all_submodular()))) {
        solve_frontier_any();
        return true;
    }
    return solve_min_cut();
}

bool BinaryMove::add_edge(int site, int other, GridTopology::Direction direction, Edge e) {
    const Cost missing = e[0] + e[3] - e[1] - e[2];
    if (missing > 0) {
        const bool current_is_01 = !current_[static_cast<std::size_t>(site)] &&
                                   current_[static_cast<std::size_t>(other)];
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
            if (r + 1 < height_)
                exact &= add_edge(p, p + width_, GridTopology::down, down_[i]);
            if (c + 1 < width_) exact &= add_edge(p, p + 1, GridTopology::right, right_[i]);
        }
    }
    flow_.solve();
    for (int r = 0, p = 0; r < height_; ++r)
        for (int c = 0; c < width_; ++c, ++p)
            taken_[static_cast<std::size_t>(p)] = flow_.on_sink_side(topology_.node(r, c));
    return exact;
}

void BinaryMove::solve_frontier_any() {
    switch (std::min(height_, width_)) {
        case 1: return solve_frontier<1>();
        case 2: return solve_frontier<2>();
        case 3: return solve_frontier<3>();
        case 4: return solve_frontier<4>();
        case 5: return solve_frontier<5>();
        case 6: return solve_frontier<6>();
        case 7: return solve_frontier<7>();
        default: return solve_frontier<8>();
    }
}

// Sites are visited row by row across the narrow side. Bit c of a state is the choice at the last
// visited site of column c; a step replaces bit c, minimising over the value that leaves.
template <int Width>
void BinaryMove::solve_frontier() {
    constexpr int states = 1 << Width;
    const bool transposed = height_ < width_;
    const int rows = transposed ? width_ : height_;
    // Site (r, c) of the narrow orientation.
    const auto site = [&](int r, int c) { return transposed ? c * width_ + r : r * width_ + c; };
    const auto& along = transposed ? right_ : down_;    // edge between rows
    const auto& across = transposed ? down_ : right_;   // edge between columns
    // Costs carry the number of ones in their low 8 bits: fewest ones among equal costs.
    constexpr Cost unit = 1 << 8;

    choices_.resize(static_cast<std::size_t>(sites()) * states);
    alignas(64) Cost best[states] = {};
    std::uint8_t* choice = choices_.data();
    for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < Width; ++c, choice += states) {
            const auto p = static_cast<std::size_t>(site(r, c));
            const Edge up = r ? along[static_cast<std::size_t>(site(r - 1, c))] : Edge{};
            const Edge left = c ? across[static_cast<std::size_t>(site(r, c - 1))] : Edge{};
            const int bit = 1 << c, left_bit = c ? bit >> 1 : 0;
            // step[x_left][x]: everything the new site adds but the edge above it
            const Cost step[2][2] = {{(cost_[p][0] + left[0]) * unit,
                                      (cost_[p][1] + left[1]) * unit + 1},
                                     {(cost_[p][0] + left[2]) * unit,
                                      (cost_[p][1] + left[3]) * unit + 1}};
            const Cost above[4] = {up[0] * unit, up[1] * unit, up[2] * unit, up[3] * unit};
            for (int low = 0; low < states; ++low) {
                if (low & bit) continue;
                const int high = low | bit;
                const Cost* add = step[(low & left_bit) != 0];
                const Cost from_low = best[low], from_high = best[high];
                const Cost low_0 = from_low + above[0], low_1 = from_high + above[2];
                const Cost high_0 = from_low + above[1], high_1 = from_high + above[3];
                choice[low] = low_1 < low_0;
                choice[high] = high_1 < high_0;
                best[low] = std::min(low_0, low_1) + add[0];
                best[high] = std::min(high_0, high_1) + add[1];
            }
        }
    }

    int state = static_cast<int>(std::min_element(best, best + states) - best);
    for (int r = rows; r-- > 0;) {
        for (int c = Width; c-- > 0;) {
            choice -= states;
            const int bit = 1 << c;
            taken_[static_cast<std::size_t>(site(r, c))] = (state & bit) != 0;
            state = choice[state] ? state | bit : state & ~bit;
        }
    }
}

}  // namespace comix::gridcut
