// Moving salient blocks to where the mask shows them, as a permutation of the blocks.
//
//   cost(i, j) = eps * C(i, j) - saliency[i] * [mask[j] > 0]       block i lands at position j
//   C(i, j) = ((r_i - r_j)^2 + (c_i - c_j)^2) / (max(gh, gw) - 1)^2
// Source: Kim, Choo & Song, "Puzzle Mix", ICML 2020, section 4.2.
//
// exact   Shortest augmenting paths with potentials (Jonker & Volgenant 1987), made for this cost:
//         C is zero on the diagonal, so every block whose own position is its cheapest starts
//         assigned, and paths are searched for the few others only; C grows with distance, so a
//         search looks at positions ring by ring and stops where moving alone costs more than the
//         best path known. Guarantee: an optimal permutation (costs rounded to 2^-40 of the
//         largest). Cost: about (blocks that want to move) * (positions worth the way); blocks^3 at
//         worst.
// greedy  The official code's contest: max(gh, gw) rounds in which each block bids for its cheapest
//         position, the best bid wins, losers pay 1 more for that position from then on. Its
//         winners are kept where the mask shows them; other positions keep their own block when it
//         is still free and else take what is left in order. Guarantee: a permutation.
#pragma once

#include <cstdint>
#include <vector>

#include "base/errors.hpp"

namespace comix::transport {

enum class Method { exact, greedy };

struct Problem {
    int height = 0, width = 0;         // blocks
    const double* saliency = nullptr;  // [gh, gw]
    const double* mask = nullptr;      // [gh, gw], shown where > 0
    double eps = 0.8;

    int blocks() const { return height * width; }
};

constexpr std::int64_t kMostBlocks = 16384;  // 128 x 128

// InvalidArgument when there are more blocks than a planner takes.
inline void require_few(std::int64_t blocks) {
    require(blocks <= kMostBlocks, "saliency: expected at most 16384 blocks (128 x 128) to move");
}

// Sum over positions j of cost(plan[j], j).
double plan_cost(const Problem& problem, const std::int64_t* plan);

class Planner {
  public:
    // plan [gh, gw]: the block that lands at each position. InvalidArgument unless saliency and eps
    // are finite and >= 0.
    void solve(const Problem& problem, Method method, std::int64_t* plan);

  private:
    using Cost = std::int64_t;

    void solve_exact(const Problem& problem, std::int64_t* plan);
    void solve_greedy(const Problem& problem, std::int64_t* plan);
    void prepare_rings(const Problem& problem);

    // A displacement between two positions; rings_ lists all of a grid's, nearest first.
    struct Step {
        Cost cost;          // exact: fixed-point eps * C
        float price;        // greedy: the same in float32
        int rows, columns;  // of the displacement
        int offset;         // in row-major positions
        int squared;        // distance
    };
    struct Place {
        int row, column;
    };
    int height_ = 0, width_ = 0;
    std::vector<Step> rings_;
    std::vector<Place> place_;  // of every position
    bool inside(Place from, const Step& step) const {
        return static_cast<unsigned>(from.row + step.rows) < static_cast<unsigned>(height_) &&
               static_cast<unsigned>(from.column + step.columns) < static_cast<unsigned>(width_);
    }

    // exact
    void prepare_costs(const Problem& problem);
    void assign_at_home();
    void augment(int start);
    void relax(int row, Cost reached, Cost& bound, int& end);
    int nearest_open(Cost bound);
    // Reduced cost of the shortest move of a block from the position it holds, at least.
    Cost least_way_out(int block) const {
        const auto i = static_cast<std::size_t>(block);
        return rings_[1].cost - gain_[i] - row_potential_[i];
    }

    double eps_ = -1.0;         // that the steps' costs were made for
    int exponent_ = 0;          // likewise: costs are scaled by 2^(kFixedBits - exponent_)
    std::vector<Cost> gain_;    // per block: fixed-point saliency
    std::vector<Cost> hidden_;  // per position: all bits set where it is hidden, none if shown
    std::vector<Cost> row_potential_, column_potential_, distance_;
    std::vector<int> row_of_, column_of_, predecessor_, seen_;
    std::vector<int> homes_;       // 0, 1, 2, ...
    std::vector<int> reached_;     // positions that the search knows a way to
    std::vector<int> open_;        // those of them that are to be expanded
    std::vector<int> unassigned_;  // blocks
    // The search marks positions in seen_: search_ when reached, search_ + 1 when opened, too.
    int search_ = 0;

    // greedy
    void bid(int block, float saliency);

    struct Penalty {
        int position;
        float cost;  // of the position for the block, with all it has lost there
    };
    float price_eps_ = -1.0F;           // that the steps' prices were made for
    std::vector<float> price_;          // [gh, gw]: price of a move by that many rows and columns
    std::vector<std::uint8_t> shown_;   // per position
    std::vector<Penalty> penalties_;    // [blocks, max(gh, gw)]: positions lost so far
    std::vector<int> penalty_count_;    // per block
    std::vector<int> penalised_;        // per position: the last block that found it penalised, + 1
    std::vector<int> wish_, winner_;    // per block: position; per position: block
    std::vector<float> wish_cost_;      // per block
    std::vector<std::uint8_t> placed_;  // per block
};

}  // namespace comix::transport
