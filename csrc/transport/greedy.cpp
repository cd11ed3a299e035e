#include <algorithm>

#include "transport/transport.hpp"

namespace comix::transport {

// All arithmetic in float32 and in the official order, so that ties fall as they do there.
void Planner::solve_greedy(const Problem& problem, std::int64_t* plan) {
    const int n = problem.blocks(), w = problem.width;
    const auto at = [n](int i, int j) {
        return static_cast<std::size_t>(i) * static_cast<std::size_t>(n) +
               static_cast<std::size_t>(j);
    };
    const int side = std::max(problem.height, problem.width);
    const auto scale = static_cast<float>(side > 1 ? (side - 1) * (side - 1) : 1);
    const auto eps = static_cast<float>(problem.eps);

    bids_.resize(static_cast<std::size_t>(n) * static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) {
        const auto saliency = static_cast<float>(problem.saliency[i]);
        for (int j = 0; j < n; ++j) {
            const int dr = i / w - j / w, dc = i % w - j % w;
            const float distance = static_cast<float>(dr * dr + dc * dc) / scale;
            bids_[at(i, j)] = eps * distance - (problem.mask[j] > 0 ? saliency : 0.0F);
        }
    }

    wish_.assign(static_cast<std::size_t>(n), -1);
    winner_.resize(static_cast<std::size_t>(n));
    for (int round = 0; round < side; ++round) {
        for (int i = 0; i < n; ++i) {  // only losers have new bids to weigh
            if (wish_[static_cast<std::size_t>(i)] >= 0) continue;
            const float* row = bids_.data() + at(i, 0);
            wish_[static_cast<std::size_t>(i)] =
                static_cast<int>(std::min_element(row, row + n) - row);
        }
        std::fill(winner_.begin(), winner_.end(), -1);
        for (int i = 0; i < n; ++i) {  // the lowest bid for each position, the first of equals
            const int j = wish_[static_cast<std::size_t>(i)];
            int& best = winner_[static_cast<std::size_t>(j)];
            if (best < 0 || bids_[at(i, j)] < bids_[at(best, j)]) best = i;
        }
        for (int j = 0; j < n; ++j) {
            int& best = winner_[static_cast<std::size_t>(j)];
            if (best < 0 || bids_[at(best, j)] < 0.0F) continue;
            // Blocks that did not choose the position count as bids of zero, in their place in the
            // order.
            int other = 0;
            while (other < n && wish_[static_cast<std::size_t>(other)] == j) ++other;
            if (other < n && (bids_[at(best, j)] > 0.0F || other < best)) best = -1;
        }
        for (int i = 0; i < n; ++i) {
            int& j = wish_[static_cast<std::size_t>(i)];
            if (winner_[static_cast<std::size_t>(j)] == i) continue;
            bids_[at(i, j)] += 1.0F;
            j = -1;
        }
    }

    std::vector<std::uint8_t> used(static_cast<std::size_t>(n), 0);
    std::fill(plan, plan + n, -1);
    const auto place = [&](int block, int position) {
        plan[position] = block;
        used[static_cast<std::size_t>(block)] = 1;
    };
    for (int j = 0; j < n; ++j)
        if (problem.mask[j] > 0 && winner_[static_cast<std::size_t>(j)] >= 0)
            place(winner_[static_cast<std::size_t>(j)], j);
    for (int j = 0; j < n; ++j)
        if (plan[j] < 0 && !used[static_cast<std::size_t>(j)]) place(j, j);
    int left = 0;
    for (int j = 0; j < n; ++j) {
        if (plan[j] >= 0) continue;
        while (used[static_cast<std::size_t>(left)]) ++left;
        place(left, j);
    }
}

}  // namespace comix::transport
