// An optimal permutation of the blocks by one team: shortest augmenting paths with potentials, as
// on the CPU (csrc/transport/exact.cpp), and on the same fixed-point costs. Plans have the CPU's
// cost; of several optimal plans the two may choose different ones.
//
// Source: Jonker & Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
//   assignment problems", Computing 38, 1987.
//
// Every block whose own position is its cheapest starts there; one search per other block. A step
// of a search is a scan over all positions, each thread over its own, and a reduction to the
// nearest position that may lead on: log2(size()) + 2 barriers. What bounds the CPU's ring search
// bounds the number of steps here: a position is expanded only if its holder can leave for less
// than the best way known to a free position. An auction would need no search, but it needs a full
// round of bids per price step, and equal costs, of which grids are full, make its prices creep.
//
// Guarantee: a permutation for any values, optimal for those that the CPU takes. Cost: at most one
// step per position and search; three barriers more per search. Moves that are nearly free take
// long searches: with 16 x 16 blocks some 100 steps per plan at eps 0.8, 4000 at 0.05.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/base/collectives.hpp"
#include "cuda/transport/problem.hpp"

namespace comix::cuda::transport {

using Cost = std::int64_t;

constexpr int kMostBlocks = 16384;  // what 16-bit indices hold, with -1 to spare

namespace detail {

constexpr Cost kFar = std::int64_t{1} << 62;  // sums of 2^16 costs stay below 2^61
constexpr unsigned char kShown = 1, kFree = 2, kExpanded = 4;
constexpr std::int16_t kFromStart = -1, kNobody = -1;

// Costs in fixed point, 2^44 the largest; scales as on the CPU.
struct Scale {
    double first, second;  // two factors, since their product may exceed the range of a double

    COMIX_HD explicit Scale(double largest) {
        int exponent = 0;
        if (largest > 1.7976931348623157e308)
            exponent = 1025;  // the sum of two doubles
        else if (largest > 0)
            std::frexp(largest, &exponent);
        if (exponent >= -2 && exponent < 2) exponent = 2;
        const int shift = 44 - exponent;
        first = std::ldexp(1.0, shift / 2);
        second = std::ldexp(1.0, shift - shift / 2);
    }
    COMIX_HD Cost of(double value) const { return std::llrint(value * first * second); }
};

// What a search knows after a scan: the best way to a free position, and the nearest other position
// that may lead on to a better one. Of equals the first position.
struct Front {
    Cost bound, open;
    int end, next;

    COMIX_HD static Front nothing() { return {kFar, kFar, -1, -1}; }
    COMIX_HD void offer_end(Cost way, int position) {
        if (way < bound || (way == bound && position < end)) {
            bound = way;
            end = position;
        }
    }
    COMIX_HD void offer_open(Cost way, int position) {
        if (way < open || (way == open && position < next)) {
            open = way;
            next = position;
        }
    }
};

}  // namespace detail

// Shared memory of a team beside the arrays; and with the arrays, wherever they lie.
inline SharedBytes exact_shared(int threads) {
    const auto size = static_cast<std::size_t>(threads);
    return SharedBytes().add<double>(size).add<detail::Front>(size).add<std::int16_t>(2 * size);
}
inline SharedBytes exact_arrays(SharedBytes bytes, int blocks) {
    const auto n = static_cast<std::size_t>(blocks);
    return bytes.add<Cost>(5 * n).add<std::int16_t>(3 * n).add<unsigned char>(n);
}

template <class Team, class Memory>
class Exact {
  public:
    COMIX_HD Exact(Team& team, Memory memory, const Grid& grid) : team_(team), grid_(grid) {
        const auto size = static_cast<std::size_t>(team.size());
        const auto n = static_cast<std::size_t>(grid.blocks());
        largest_ = team.template shared<double>(size);
        fronts_ = team.template shared<Front>(size);
        sums_ = team.template shared<std::int16_t>(2 * size);
        gain_ = memory.template take<Cost>(5 * n);
        move_ = gain_ + n;
        potential_ = move_ + n;
        distance_ = potential_ + n;
        way_out_ = distance_ + n;
        holder_ = memory.template take<std::int16_t>(3 * n);
        predecessor_ = holder_ + n;
        list_ = predecessor_ + n;
        state_ = memory.template take<unsigned char>(n);
    }

    // plan [gh, gw]: the block that lands at each position.
    template <class T>
    COMIX_HD void solve(const Maps<T>& maps, std::int64_t* plan) {
        prepare_costs(maps);
        const int searches = stay_at_home();
        for (int s = 0; s < searches; ++s) augment(team_.uniform(list_[s]));
        each([&](int j) { plan[j] = holder_[j]; });
    }

  private:
    using Front = detail::Front;

    template <class Body>
    COMIX_HD void each(const Body& body) {
        team_.phase([&](int thread) {
            for (int k = thread; k < grid_.blocks(); k += team_.size()) body(k);
        });
    }
    COMIX_HD Cost cost(Cost gain, Place from, int position) const {
        const Cost move = move_[move_between(grid_, from, place_of(grid_, position))];
        return state_[position] & detail::kShown ? move - gain : move;
    }
    COMIX_HD Cost cost(int block, int position) const {
        return cost(gain_[block], place_of(grid_, block), position);
    }

    template <class T>
    COMIX_HD void prepare_costs(const Maps<T>& maps) {
        const int n = grid_.blocks();
        const double unit = grid_.unit();
        const double largest = reduce_max(team_, largest_, [&](int thread) {
            double own = 0;
            for (int i = thread; i < n; i += team_.size()) {
                const double value = maps.salient(i);
                own = own < value ? value : own;
            }
            return own;
        });
        const detail::Scale scale(unit * grid_.furthest() + largest);
        step_ = n > 1 ? scale.of(unit) : 0;  // the scale knows nothing of moves that are none
        each([&](int k) {
            const Place moved = place_of(grid_, k);
            gain_[k] = scale.of(maps.salient(k));
            move_[k] = scale.of(unit * (moved.row * moved.row + moved.column * moved.column));
            state_[k] = maps.shown(k) ? detail::kShown : 0;
            potential_[k] = 0;
        });
    }

    // Assigns the blocks whose own position is their cheapest; returns how many others list_ has,
    // in ascending order. Only a hidden block can be cheaper elsewhere: at the nearest shown
    // position, found by the nearest one of each row first.
    COMIX_HD int stay_at_home() {
        const int width = grid_.width;
        std::int16_t* const across = list_;  // columns to the nearest shown position of the row
        team_.phase([&](int thread) {
            for (int row = thread; row < grid_.height; row += team_.size()) {
                const int begin = row * width;
                int away = width;
                for (int c = 0; c < width; ++c) {
                    away = state_[begin + c] & detail::kShown ? 0 : away + 1;
                    across[begin + c] = static_cast<std::int16_t>(away < width ? away : width);
                }
                away = width;
                for (int c = width - 1; c >= 0; --c) {
                    away = state_[begin + c] & detail::kShown ? 0 : away + 1;
                    if (away < across[begin + c])
                        across[begin + c] = static_cast<std::int16_t>(away);
                }
            }
        });
        each([&](int i) {
            const bool hidden = !(state_[i] & detail::kShown);
            bool leaves = false;
            if (hidden && gain_[i] > step_) {
                const Place home = place_of(grid_, i);
                for (int row = 0; row < grid_.height && !leaves; ++row) {
                    const int columns = across[row * width + home.column];
                    const int rows = row < home.row ? home.row - row : row - home.row;
                    leaves = columns < width && move_[rows * width + columns] < gain_[i];
                }
            }
            if (leaves) state_[i] |= detail::kFree;
            holder_[i] = leaves ? detail::kNobody : static_cast<std::int16_t>(i);
            predecessor_[i] = leaves;
            way_out_[i] = hidden ? step_ - gain_[i] : step_;
        });
        const int searches = exclusive_scan(team_, predecessor_, grid_.blocks(), sums_);
        each([&](int i) {
            if (holder_[i] == detail::kNobody)
                list_[predecessor_[i]] = static_cast<std::int16_t>(i);
        });
        return searches;
    }

    // From the unassigned block `start` to the nearest free position, then one exchange along the
    // path. Rows need no potentials: a held position's is tight.
    COMIX_HD void augment(int start) {
        Front front = scan_from_start(start);
        while (front.open < front.bound) front = scan(front);
        team_.phase([&](int thread) {
            if (thread > 0) return;
            int j = front.end;
            state_[j] = static_cast<unsigned char>(state_[j] & ~detail::kFree);
            for (int before; (before = predecessor_[j]) != detail::kFromStart; j = before)
                holder_[j] = holder_[before];
            holder_[j] = static_cast<std::int16_t>(start);
        });
        each([&](int j) {
            state_[j] = static_cast<unsigned char>(state_[j] & ~detail::kExpanded);
            if (distance_[j] > front.bound || holder_[j] == detail::kNobody) return;
            potential_[j] -= front.bound - distance_[j];
            way_out_[j] = least_way_out(j);
        });
    }

    // Reduced cost of the shortest move of its holder away from a position, at least: potentials
    // of positions are <= 0, and no position is nearer than one step.
    COMIX_HD Cost least_way_out(int position) const {
        const int block = holder_[position];
        return step_ - gain_[block] - cost(block, position) + potential_[position];
    }

    COMIX_HD Front reduce_front(const Front& a, const Front& b) const {
        Front best = a;
        best.offer_end(b.bound, b.end);
        best.offer_open(b.open, b.next);
        return best;
    }
    COMIX_HD void weigh(Front& own, int position, Cost way, Cost bound) const {
        if (state_[position] & detail::kFree)
            own.offer_end(way, position);
        else if (way + way_out_[position] < bound)
            own.offer_open(way, position);
    }

    COMIX_HD Front scan_from_start(int start) {
        return reduce(
            team_, fronts_,
            [&](int thread) {
                // The own position is hidden; while it is free, staying costs nothing.
                const Cost bound = state_[start] & detail::kFree ? 0 : detail::kFar;
                const Cost gain = gain_[start];
                const Place home = place_of(grid_, start);
                Front own = Front::nothing();
                for (int j = thread; j < grid_.blocks(); j += team_.size()) {
                    const Cost way = cost(gain, home, j) - potential_[j];
                    distance_[j] = way;
                    predecessor_[j] = detail::kFromStart;
                    weigh(own, j, way, bound);
                }
                return own;
            },
            [this](const Front& a, const Front& b) { return reduce_front(a, b); });
    }

    // Expands the nearest open position: what its holder can reach.
    COMIX_HD Front scan(const Front& known) {
        return reduce(
            team_, fronts_,
            [&](int thread) {
                const int from = known.next, block = holder_[from];
                const Cost gain = gain_[block];
                const Place home = place_of(grid_, block);
                // Less the reduced cost of its own position, which its way out is made of.
                const Cost base = known.open + way_out_[from] - step_ + gain;
                Front own = Front::nothing();
                for (int j = thread; j < grid_.blocks(); j += team_.size()) {
                    if (j == from) state_[j] |= detail::kExpanded;  // its own thread alone reads it
                    if (state_[j] & detail::kExpanded) continue;
                    Cost way = distance_[j];
                    const Cost through = base + cost(gain, home, j) - potential_[j];
                    if (through < way) {
                        distance_[j] = way = through;
                        predecessor_[j] = static_cast<std::int16_t>(from);
                    }
                    weigh(own, j, way, known.bound);
                }
                return own;
            },
            [this](const Front& a, const Front& b) { return reduce_front(a, b); });
    }

    Team& team_;
    const Grid grid_;
    Cost step_ = 0;              // by one block
    double* largest_;            // [size()], for reductions
    Front* fronts_;              // [size()]
    std::int16_t* sums_;         // [2 * size()]
    Cost* gain_;                 // per block: saliency
    Cost* move_;                 // [gh, gw]: price of a move by that many rows and columns
    Cost* potential_;            // per position, <= 0; 0 while it is free
    Cost* distance_;             // per position: shortest way of this search
    Cost* way_out_;              // per held position: least_way_out
    std::int16_t* holder_;       // per position: block
    std::int16_t* predecessor_;  // per position: the one before on the way
    std::int16_t* list_;         // blocks to search for
    unsigned char* state_;       // per position
};

}  // namespace comix::cuda::transport
