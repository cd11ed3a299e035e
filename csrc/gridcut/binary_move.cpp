#include "gridcut/binary_move.hpp"

#include <algorithm>
#include <numeric>

#include "base/index.hpp"

namespace comix::gridcut {

namespace {

// Four costs rounded to integers can miss submodularity by this much when the caller's costs have
// it.
constexpr Cost kRounding = 2;

// Frontiers up to this size cost less than a min cut.
constexpr int kFastFrontier = 6;

bool submodular(const BinaryMove::Edge& e) {
    return e[0] + e[3] <= e[1] + e[2];
}

// What taking adds to the edge's cost when the neighbour's choice is `other`.
Cost taking(const BinaryMove::Edge& e, bool first, int other) {
    return first ? e[at(2 + other)] - e[at(other)] : e[at(2 * other + 1)] - e[at(2 * other)];
}

}  // namespace

void BinaryMove::resize(int height, int width) {
    height_ = height;
    width_ = width;
    topology_.resize(height, width);
    const auto n = at(sites());
    choice_.resize(n);
    least_.resize(n);
    most_.resize(n);
    pending_.resize(n);
    mark_.assign(n, 0);
    clear();
}

void BinaryMove::clear() {
    const auto n = at(sites());
    playing_.resize(n);
    std::iota(playing_.begin(), playing_.end(), 0);
    take_.assign(n, 0);
    down_.assign(n, Edge{});
    right_.assign(n, Edge{});
    current_.assign(n, 0);
}

void BinaryMove::clear(const std::vector<int>& playing) {
    for (const int p : playing_) {
        take_[at(p)] = 0;
        down_[at(p)] = right_[at(p)] = Edge{};
        current_[at(p)] = 0;
        choice_[at(p)] = keep;
    }
    playing_ = playing;
}

void BinaryMove::decide(int site, Choice choice) {
    choice_[at(site)] = choice;
    settled_.push_back(site);
}

void BinaryMove::decide_by_bounds() {
    settled_.clear();
    for (const int p : playing_) choice_[at(p)] = undecided;
    for (const int p : playing_) {
        Cost least = take_[at(p)], most = least;
        for_each_neighbour(p, [&](int, const Edge& e, bool first) {
            const Cost if_kept = taking(e, first, 0), if_taken = taking(e, first, 1);
            least += std::min(if_kept, if_taken);
            most += std::max(if_kept, if_taken);
        });
        least_[at(p)] = least;
        most_[at(p)] = most;
        if (least >= 0) {  // taking never helps; ties keep
            decide(p, keep);
        } else if (most < 0) {
            decide(p, take);
        }
    }
    while (!settled_.empty()) {
        const int p = settled_.back();
        settled_.pop_back();
        const int x = choice_[at(p)];
        for_each_neighbour(p, [&](int q, const Edge& e, bool first) {
            if (choice_[at(q)] != undecided) return;
            const Cost if_kept = taking(e, !first, 0), if_taken = taking(e, !first, 1);
            const Cost now = x ? if_taken : if_kept;
            least_[at(q)] += now - std::min(if_kept, if_taken);
            most_[at(q)] += now - std::max(if_kept, if_taken);
            if (least_[at(q)] >= 0) {
                decide(q, keep);
            } else if (most_[at(q)] < 0) {
                decide(q, take);
            }
        });
    }
}

BinaryMove::Outcome BinaryMove::solve(bool any_minimum) {
    if (fits_table()) return {true, solve_table(any_minimum)};
    decide_by_bounds();
    bool proven = true;
    const auto open = [this](int p) { return choice_[at(p)] == undecided; };
    if (std::any_of(playing_.begin(), playing_.end(), open)) {
        const int widest = undecided_are_submodular() ? kFastFrontier : kExactWidth + 1;
        if (!eliminate_components(widest)) proven = min_cut();
    }
    return {proven, change()};
}

// E(x) - E(0) of the answer.
Cost BinaryMove::change() const {
    Cost sum = 0;
    for (const int p : playing_) {
        const int x = choice_[at(p)];
        if (x) sum += take_[at(p)];
        for_each_neighbour(p, [&](int q, const Edge& e, bool first) {
            if (first) sum += e[at(2 * x + choice_[at(q)])] - e[0];
        });
    }
    return sum;
}

bool BinaryMove::undecided_are_submodular() const {
    bool all = true;
    for (const int p : playing_) {
        if (choice_[at(p)] != undecided) continue;
        for_each_neighbour(p, [&](int q, const Edge& e, bool first) {
            all &= !first || choice_[at(q)] != undecided || submodular(e);
        });
    }
    return all;
}

// Adds an edge between two undecided sites to the network; false when it had to be truncated.
bool BinaryMove::add_edge(int site, int other, GridTopology::Direction direction, Edge e) {
    const Cost missing = e[0] + e[3] - e[1] - e[2];
    if (missing > 0) {
        const bool current_is_01 = !current_[at(site)] && current_[at(other)];
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

// Decides all undecided sites by one cut; what is decided counts as part of their costs.
bool BinaryMove::min_cut() {
    flow_.reset(topology_);
    bool exact = true;
    for (const int p : playing_) {
        if (choice_[at(p)] != undecided) continue;
        flow_.add_sink_side_cost(topology_.node(p / width_, p % width_), take_[at(p)]);
        for_each_neighbour(p, [&](int q, const Edge& e, bool first) {
            if (choice_[at(q)] != undecided) {
                flow_.add_sink_side_cost(topology_.node(p / width_, p % width_),
                                         taking(e, first, choice_[at(q)]));
            } else if (first) {
                const auto direction = q == p + 1 ? GridTopology::right : GridTopology::down;
                exact &= add_edge(p, q, width_ > 1 ? direction : GridTopology::down, e);
            }
        });
    }
    flow_.solve();
    for (const int p : playing_)
        if (choice_[at(p)] == undecided)
            choice_[at(p)] =
                flow_.on_sink_side(topology_.node(p / width_, p % width_)) ? take : keep;
    return exact;
}

}  // namespace comix::gridcut
