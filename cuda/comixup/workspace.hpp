// What the Co-Mixup solver remembers about one partition, in memory that all threads of its team
// see: what a cut works on, and what lives from cut to cut. Each part lies in shared memory where
// it fits, else in global memory.
#pragma once

#include <cstdint>

#include "cuda/base/team.hpp"
#include "cuda/comixup/comixup.hpp"
#include "cuda/gridcut/flow_move.hpp"
#include "cuda/gridcut/strip_move.hpp"

namespace comix::cuda::comixup {

// Two inputs of a block, i <= j, equal when one fills it; they fit 16 bits each.
using Pair = std::uint32_t;
constexpr int kMostInputs = 1 << 16;

COMIX_HD inline Pair pair_of(int i, int j) {
    return static_cast<Pair>(i) | static_cast<Pair>(j) << 16;
}
COMIX_HD inline int first_of(Pair pair) {
    return static_cast<int>(pair & 0xFFFF);
}
COMIX_HD inline int second_of(Pair pair) {
    return static_cast<int>(pair >> 16);
}

constexpr int kMostSoft = 3;  // soft labels of one output

// How a grid is cut: at most four blocks a side, or one side at most four, or anything.
enum class Shape { small, narrow, wide };

struct SolverSizes {
    int inputs, outputs, height, width;
    bool matrix;  // a compatibility other than the identity

    COMIX_HD int blocks() const { return height * width; }
    COMIX_HD std::int64_t cells() const { return std::int64_t{outputs} * blocks(); }
    COMIX_HD int labels() const { return inputs + kMostSoft; }
    COMIX_HD Shape shape() const {
        constexpr int kMost = gridcut::kStripWidth;
        if (height <= kMost && width <= kMost) return Shape::small;
        return gridcut::Strip::fits(height, width) ? Shape::narrow : Shape::wide;
    }
    COMIX_HD int strip_sites() const {
        return gridcut::kStripWidth * (height < width ? width : height);
    }
};

namespace detail {

// Hands out pieces of a block of memory that begins 16-byte aligned; adds them up without one.
class Pieces {
  public:
    COMIX_HD explicit Pieces(void* memory) : memory_(static_cast<unsigned char*>(memory)) {}
    template <class T>
    COMIX_HD T* take(std::int64_t count) {
        const auto size = static_cast<std::int64_t>(sizeof(T));
        used_ = (used_ + size - 1) / size * size;
        T* const piece = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
        used_ += count * size;
        return piece;
    }
    COMIX_HD std::int64_t bytes() const { return (used_ + 15) / 16 * 16; }

  private:
    unsigned char* memory_;
    std::int64_t used_ = 0;
};

}  // namespace detail

// A labelling of the blocks seen so far: its cost, and which blocks take the label (one bit each).
// Read in one piece.
struct alignas(8) Way {
    std::int32_t energy;
    std::uint32_t taken;
};
// What a block costs that takes the label, joint costs with the ones above and to the left.
struct alignas(16) SiteCost {
    std::int32_t alone, above, left, unused;
};
constexpr int kSmallStates = 16;  // choices of four blocks; also the most blocks of a small grid

// Slots of CutSpace::counts.
enum Count { kSoftLabels, kTriedLabels, kEnergy, kFound };

// Of one cut.
struct CutSpace {
    double* rho;          // [n] the penalty of each input
    double* masked;       // [n] shares of the other outputs; hard_official: where the reach is over
    double* least;        // [blocks] cheapest label
    Pair* label;          // [L] inputs of each label, the soft ones last
    int* alive;           // [L] whether the label can win somewhere
    int* tried;           // [L] the labels to try
    int* counts;          // [4] see Count
    std::int32_t* unary;  // [blocks, L | 1]
    std::int32_t* current;     // [blocks] unary cost of the label
    Pair* now;                 // [blocks] the labels of the cut
    std::int32_t* base;        // [strip sites] what a site and its edges cost now, negative
    std::int32_t* along;       // [strip sites] cost of the edge to the site above
    std::int32_t* across;      // [strip sites] cost of the edge to the site to the left
    std::int32_t* energy;      // [L] of the best moves, on narrow grids
    int* state;                // [L]
    std::uint16_t* decisions;  // [strip sites, L]
    double* whole;             // [L, blocks] costs of the labels, on small grids
    SiteCost* site_cost;       // [L, 16], on small grids
    Way* ways;                 // [2, L, 16], on small grids
    std::int32_t* towards;     // [L, 16] edge cost between a label and a block's, on small grids
    void* flow;                // on wide grids

    COMIX_HD static CutSpace at(void* memory, const SolverSizes& sizes, std::int64_t* bytes) {
        detail::Pieces pieces(memory);
        const std::int64_t n = sizes.inputs, blocks = sizes.blocks(), labels = sizes.labels();
        const bool narrow = sizes.shape() != Shape::wide;
        const std::int64_t small = sizes.shape() == Shape::small ? labels * kSmallStates : 0;
        CutSpace space{};
        space.site_cost = pieces.take<SiteCost>(small);
        space.ways = pieces.take<Way>(2 * small);
        space.whole = pieces.take<double>(small > 0 ? labels * blocks : 0);
        space.rho = pieces.take<double>(n);
        space.masked = pieces.take<double>(n);
        space.least = pieces.take<double>(blocks);
        space.flow = pieces.take<double>(0);
        if (!narrow) pieces.take<std::int32_t>(11 * blocks + 2);  // FlowMove<int32_t>
        space.label = pieces.take<Pair>(labels);
        space.alive = pieces.take<int>(labels);
        space.tried = pieces.take<int>(labels);
        space.counts = pieces.take<int>(4);
        space.unary = pieces.take<std::int32_t>((labels | 1) * blocks);
        space.current = pieces.take<std::int32_t>(blocks);
        space.now = pieces.take<Pair>(blocks);
        const std::int64_t strip = narrow ? sizes.strip_sites() : 0;
        for (auto* piece : {&space.base, &space.along, &space.across})
            *piece = pieces.take<std::int32_t>(strip);
        space.towards = pieces.take<std::int32_t>(small);
        space.energy = pieces.take<std::int32_t>(labels);
        space.state = pieces.take<int>(labels);
        space.decisions = pieces.take<std::uint16_t>(strip * labels);
        if (bytes) *bytes = pieces.bytes();
        return space;
    }
};

// Of the whole iteration, and of the descent after it.
struct StateSpace {
    double* columns;       // [n, n] the compatibility transposed, when there is a matrix
    Pair* labels;          // [m, blocks]
    std::int32_t* halves;  // [m, n] half blocks of each input in each output
    std::int32_t* total;   // [n] of all outputs
    std::int32_t* avoid;   // [m, n] 1 for inputs to avoid since the duplicate resolution

    COMIX_HD static StateSpace at(void* memory, const SolverSizes& sizes, std::int64_t* bytes) {
        detail::Pieces pieces(memory);
        const std::int64_t n = sizes.inputs, m = sizes.outputs, blocks = sizes.blocks();
        StateSpace space{};
        space.columns = pieces.take<double>(sizes.matrix ? n * n : 0);
        space.labels = pieces.take<Pair>(m * blocks);
        space.halves = pieces.take<std::int32_t>(m * n);
        space.total = pieces.take<std::int32_t>(n);
        space.avoid = pieces.take<std::int32_t>(m * n);
        if (bytes) *bytes = pieces.bytes();
        return space;
    }
};

// Where the two parts of a partition's memory lie.
struct SpacePlan {
    std::int64_t cut_bytes, state_bytes;
    bool cut_shared, state_shared;

    // most: shared memory to use, at most.
    static SpacePlan of(const SolverSizes& sizes, std::int64_t most) {
        SpacePlan plan{};
        CutSpace::at(nullptr, sizes, &plan.cut_bytes);
        StateSpace::at(nullptr, sizes, &plan.state_bytes);
        plan.cut_shared = plan.cut_bytes <= most;
        plan.state_shared = plan.state_bytes + (plan.cut_shared ? plan.cut_bytes : 0) <= most;
        return plan;
    }
    COMIX_HD std::int64_t shared_bytes() const {
        return (cut_shared ? cut_bytes : 0) + (state_shared ? state_bytes : 0);
    }
    COMIX_HD bool all_shared() const { return cut_shared && state_shared; }
    COMIX_HD std::int64_t scratch_bytes() const {  // per partition
        return cut_bytes + state_bytes - shared_bytes();
    }
};

}  // namespace comix::cuda::comixup
