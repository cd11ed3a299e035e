// The official code's contest for positions by one team, completed to a permutation: the CPU's plan
// exactly (csrc/transport/greedy.cpp). All arithmetic in float32 and in the official order, so that
// ties fall as they do there.
//
// A round: each block that lost looks for its next wish, a thread each; bids meet in an atomic
// minimum per position, whose key holds cost and block, so that of equals the first block wins.
// Guarantee: a permutation for any values. Barriers: four per round, max(gh, gw) rounds.
#pragma once

#include <cstdint>
#include <cstring>

#include "cuda/base/atomics.hpp"
#include "cuda/base/collectives.hpp"
#include "cuda/transport/problem.hpp"

namespace comix::cuda::transport {

namespace detail {

constexpr std::int64_t kNoBid = INT64_MAX;

// Orders as (cost, block) does; costs are never NaN, and 0 equals -0.
COMIX_HD inline std::int64_t bid_key(float cost, int block) {
    const float value = cost + 0.0F;
    std::int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const std::int32_t ordered = bits >= 0 ? bits : bits ^ INT32_MAX;
    return std::int64_t{ordered} * (std::int64_t{1} << 32) + block;
}
COMIX_HD inline int bidder(std::int64_t key) {
    return static_cast<int>(key & INT32_MAX);
}

}  // namespace detail

inline SharedBytes greedy_shared(int threads) {
    return SharedBytes().add<std::int16_t>(2 * static_cast<std::size_t>(threads));
}
inline SharedBytes greedy_arrays(SharedBytes bytes, int blocks) {
    const auto n = static_cast<std::size_t>(blocks);
    return bytes.add<std::int64_t>(n).add<float>(3 * n).add<std::int16_t>(3 * n).add<unsigned char>(
        2 * n);
}
inline SharedBytes greedy_penalties(SharedBytes bytes, int blocks, int side) {
    const auto all = static_cast<std::size_t>(blocks) * static_cast<std::size_t>(side);
    return bytes.add<float>(all).add<std::int16_t>(all);
}

// Memory holds the arrays, PenaltyMemory what the blocks lost.
template <class Team, class Memory, class PenaltyMemory>
class Greedy {
  public:
    COMIX_HD Greedy(Team& team, Memory memory, PenaltyMemory penalty_memory, const Grid& grid)
        : team_(team), grid_(grid) {
        const auto n = static_cast<std::size_t>(grid.blocks());
        const auto side = static_cast<std::size_t>(grid.side());
        sums_ = team.template shared<std::int16_t>(2 * static_cast<std::size_t>(team.size()));
        best_ = memory.template take<std::int64_t>(n);
        price_ = memory.template take<float>(3 * n);
        saliency_ = price_ + n;
        wish_cost_ = saliency_ + n;
        wish_ = memory.template take<std::int16_t>(3 * n);
        penalties_ = wish_ + n;
        rank_ = penalties_ + n;
        shown_ = memory.template take<unsigned char>(2 * n);
        placed_ = shown_ + n;
        penalty_cost_ = penalty_memory.template take<float>(n * side);
        penalty_position_ = penalty_memory.template take<std::int16_t>(n * side);
    }

    // plan [gh, gw]: the block that lands at each position.
    template <class T>
    COMIX_HD void solve(const Maps<T>& maps, std::int64_t* plan) {
        const auto scale = static_cast<float>(grid_.normaliser());
        const auto eps = static_cast<float>(grid_.eps);
        each([&](int k) {
            const Place moved = place_of(grid_, k);
            const int squared = moved.row * moved.row + moved.column * moved.column;
            price_[k] = eps * (static_cast<float>(squared) / scale);
            saliency_[k] = static_cast<float>(maps.salient(k));
            shown_[k] = maps.shown(k);
            best_[k] = detail::kNoBid;
            wish_[k] = -1;
            penalties_[k] = 0;
        });
        const int rounds = grid_.side();
        for (int round = 0; round < rounds; ++round) {
            if (round > 0) each([&](int j) { best_[j] = detail::kNoBid; });
            each([&](int i) {
                if (wish_[i] < 0) bid(i);
                atomic_min(best_ + wish_[i], detail::bid_key(wish_cost_[i], i));
            });
            each([&](int j) {
                if (best_[j] != detail::kNoBid && !wins(j)) best_[j] = detail::kNoBid;
            });
            each([&](int i) {
                const int j = wish_[i];
                if (best_[j] == detail::kNoBid || detail::bidder(best_[j]) != i) lose(i, j);
            });
        }
        complete(plan);
    }

  private:
    template <class Body>
    COMIX_HD void each(const Body& body) {
        team_.phase([&](int thread) {
            for (int k = thread; k < grid_.blocks(); k += team_.size()) body(k);
        });
    }

    // The cheapest position for a block, the first of equals. Prices grow with the rows and with
    // the columns moved, so each direction ends where even a shown position costs more.
    COMIX_HD void bid(int block) {
        const float saliency = saliency_[block];
        const Place home = place_of(grid_, block);
        const std::int64_t first = std::int64_t{block} * grid_.side();
        const int count = penalties_[block];
        int best = block;
        float least = infinity();
        const auto better = [&](int position, float cost) {
            return cost < least || (cost == least && position < best);
        };
        const auto take = [&](int position, float cost) {
            best = position;
            least = cost;
        };
        for (int k = 0; k < count; ++k) {
            const int position = penalty_position_[first + k];
            if (better(position, penalty_cost_[first + k]))
                take(position, penalty_cost_[first + k]);
        }
        const auto weigh = [&](int row, int column, float price) {
            if (row < 0 || row >= grid_.height || column < 0 || column >= grid_.width) return;
            const int position = row * grid_.width + column;
            const float cost = price - (shown_[position] ? saliency : 0.0F);
            if (!better(position, cost)) return;
            for (int k = 0; k < count; ++k)
                if (penalty_position_[first + k] == position) return;
            take(position, cost);
        };
        for (int rows = 0; rows < grid_.height; ++rows) {
            const float* const price = price_ + rows * grid_.width;
            if (price[0] - saliency > least) break;
            for (int columns = 0; columns < grid_.width; ++columns) {
                if (price[columns] - saliency > least) break;
                weigh(home.row + rows, home.column + columns, price[columns]);
                if (columns > 0) weigh(home.row + rows, home.column - columns, price[columns]);
                if (rows == 0) continue;
                weigh(home.row - rows, home.column + columns, price[columns]);
                if (columns > 0) weigh(home.row - rows, home.column - columns, price[columns]);
            }
        }
        wish_[block] = static_cast<std::int16_t>(best);
        wish_cost_[block] = least;
    }

    COMIX_HD static float infinity() {
        const std::uint32_t bits = 0x7F800000U;
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }

    // Whether the best bid for a position beats the zeros of the blocks that did not choose it,
    // each in its place in the order.
    COMIX_HD bool wins(int position) const {
        const int block = detail::bidder(best_[position]);
        const float cost = wish_cost_[block];
        if (cost < 0.0F) return true;
        int other = 0;
        while (other < grid_.blocks() && wish_[other] == position) ++other;
        return other == grid_.blocks() || !(cost > 0.0F || other < block);
    }

    COMIX_HD void lose(int block, int position) {
        const std::int64_t first = std::int64_t{block} * grid_.side();
        int k = 0;
        while (k < penalties_[block] && penalty_position_[first + k] != position) ++k;
        if (k == penalties_[block]) ++penalties_[block];  // one per round at most
        penalty_position_[first + k] = static_cast<std::int16_t>(position);
        penalty_cost_[first + k] = wish_cost_[block] + 1.0F;
        wish_[block] = -1;
    }

    // Winners where the mask shows them, then blocks at home, then what is left in order.
    COMIX_HD void complete(std::int64_t* plan) {
        const int n = grid_.blocks();
        each([&](int i) { placed_[i] = 0; });
        each([&](int j) {
            const bool won = shown_[j] && best_[j] != detail::kNoBid;
            wish_[j] = won ? static_cast<std::int16_t>(detail::bidder(best_[j])) : std::int16_t{-1};
            if (won) placed_[wish_[j]] = 1;
        });
        each([&](int j) {
            if (wish_[j] < 0 && !placed_[j]) {
                wish_[j] = static_cast<std::int16_t>(j);
                placed_[j] = 1;
            }
            rank_[j] = !placed_[j];
            penalties_[j] = wish_[j] < 0;
        });
        exclusive_scan(team_, rank_, n, sums_);
        exclusive_scan(team_, penalties_, n, sums_);
        auto* const left = reinterpret_cast<std::int16_t*>(best_);
        each([&](int i) {
            if (!placed_[i]) left[rank_[i]] = static_cast<std::int16_t>(i);
        });
        each([&](int j) { plan[j] = wish_[j] >= 0 ? wish_[j] : left[penalties_[j]]; });
    }

    Team& team_;
    const Grid grid_;
    std::int16_t* sums_;  // [2 * size()]
    std::int64_t* best_;  // per position: the bid that counts
    float* price_;        // [gh, gw]: of a move by that many rows and columns
    float* saliency_;
    float* wish_cost_;         // per block
    std::int16_t* wish_;       // per block: position; in the end per position: block
    std::int16_t* penalties_;  // per block: how many positions it lost so far
    std::int16_t* rank_;
    unsigned char* shown_;
    unsigned char* placed_;           // per block
    float* penalty_cost_;             // [blocks, side]: with all it has lost there
    std::int16_t* penalty_position_;  // [blocks, side]
};

}  // namespace comix::cuda::transport
