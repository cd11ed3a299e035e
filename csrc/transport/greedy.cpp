#include <algorithm>
#include <limits>

#include "base/index.hpp"
#include "transport/transport.hpp"

namespace comix::transport {

// The cheapest position for a block, the first of equals. Prices grow with distance, so the rings
// are searched until even a shown position costs more than the best one known; where that takes
// too many steps (moves are nearly free), all positions are weighed in order instead.
void Planner::bid(int block, float saliency) {
    const int n = height_ * width_;
    const Place home = place_[at(block)];
    const Penalty* penalty = penalties_.data() + at(block) * at(std::max(height_, width_));
    const int penalties = penalty_count_[at(block)];

    int best = block;
    float least = std::numeric_limits<float>::infinity();
    const auto weigh = [&](int position, float cost) {
        if (!(cost < least || (cost == least && position < best))) return;
        best = position;
        least = cost;
    };
    const auto weigh_unless_penalised = [&](int position, float price) {
        if (penalised_[at(position)] == block + 1) return;
        weigh(position, price - (shown_[at(position)] ? saliency : 0.0F));
    };
    for (int k = 0; k < penalties; ++k) {
        penalised_[at(penalty[k].position)] = block + 1;
        weigh(penalty[k].position, penalty[k].cost);
    }

    const std::size_t most = std::min(rings_.size(), std::max<std::size_t>(64, at(n / 4)));
    std::size_t k = 0;
    for (; k < most && !(rings_[k].price - saliency > least); ++k)
        if (inside(home, rings_[k]))
            weigh_unless_penalised(block + rings_[k].offset, rings_[k].price);
    if (k == most && k < rings_.size()) {
        for (int row = 0, position = 0; row < height_; ++row) {
            const float* price = price_.data() + at(std::abs(row - home.row) * width_);
            for (int column = 0; column < width_; ++column, ++position)
                weigh_unless_penalised(position, price[std::abs(column - home.column)]);
        }
    }
    wish_[at(block)] = best;
    wish_cost_[at(block)] = least;
}

// All arithmetic in float32 and in the official order, so that ties fall as they do there.
void Planner::solve_greedy(const Problem& problem, std::int64_t* plan) {
    const int n = problem.blocks();
    const int side = std::max(height_, width_);
    const auto scale = static_cast<float>(side > 1 ? (side - 1) * (side - 1) : 1);
    const auto eps = static_cast<float>(problem.eps);
    if (eps != price_eps_) {
        price_eps_ = eps;
        price_.resize(at(n));
        for (Step& step : rings_) {
            step.price = eps * (static_cast<float>(step.squared) / scale);
            if (step.rows >= 0 && step.columns >= 0) price_[at(step.offset)] = step.price;
        }
    }
    shown_.resize(at(n));
    for (int j = 0; j < n; ++j) shown_[at(j)] = problem.mask[j] > 0;
    penalties_.resize(at(n) * at(side));
    penalty_count_.assign(at(n), 0);
    penalised_.assign(at(n), 0);
    wish_.assign(at(n), -1);
    wish_cost_.resize(at(n));
    winner_.resize(at(n));

    for (int round = 0; round < side; ++round) {
        for (int i = 0; i < n; ++i)  // only losers have new bids to weigh
            if (wish_[at(i)] < 0) bid(i, static_cast<float>(problem.saliency[i]));
        std::fill(winner_.begin(), winner_.end(), -1);
        for (int i = 0; i < n; ++i) {  // the lowest bid for each position, the first of equals
            int& best = winner_[at(wish_[at(i)])];
            if (best < 0 || wish_cost_[at(i)] < wish_cost_[at(best)]) best = i;
        }
        for (int j = 0; j < n; ++j) {
            int& best = winner_[at(j)];
            if (best < 0 || wish_cost_[at(best)] < 0.0F) continue;
            // Blocks that did not choose the position count as bids of zero, in their place in the
            // order.
            int other = 0;
            while (other < n && wish_[at(other)] == j) ++other;
            if (other < n && (wish_cost_[at(best)] > 0.0F || other < best)) best = -1;
        }
        for (int i = 0; i < n; ++i) {
            int& j = wish_[at(i)];
            if (winner_[at(j)] == i) continue;
            Penalty* const first = penalties_.data() + at(i) * at(side);
            int& count = penalty_count_[at(i)];
            Penalty* const last = first + count;
            Penalty* const known =
                std::find_if(first, last, [j](const Penalty& p) { return p.position == j; });
            if (known == last) ++count;
            *known = {j, wish_cost_[at(i)] + 1.0F};
            j = -1;
        }
    }

    placed_.assign(at(n), 0);
    std::fill(plan, plan + n, -1);
    const auto place = [&](int block, int position) {
        plan[position] = block;
        placed_[at(block)] = 1;
    };
    for (int j = 0; j < n; ++j)
        if (shown_[at(j)] && winner_[at(j)] >= 0) place(winner_[at(j)], j);
    for (int j = 0; j < n; ++j)
        if (plan[j] < 0 && !placed_[at(j)]) place(j, j);
    int left = 0;
    for (int j = 0; j < n; ++j) {
        if (plan[j] >= 0) continue;
        while (placed_[at(left)]) ++left;
        place(left, j);
    }
}

}  // namespace comix::transport
