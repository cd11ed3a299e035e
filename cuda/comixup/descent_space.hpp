// What the descent remembers about one partition (descent.hpp), beside the state that it improves.
#pragma once

#include <cstdint>

#include "cuda/base/bits.hpp"
#include "cuda/comixup/workspace.hpp"

namespace comix::cuda::comixup {

// An input in an output, as the others' changes see it: read in one piece.
struct alignas(16) Shown {
    double reach;                 // [m, n] A times the shares of the other outputs
    std::uint16_t input, halves;  // at most 2 * 4096
    std::int32_t output;
};

// How a team is split: crews of as many threads; threads beyond the last crew only wait.
struct Crews {
    int lanes, count;

    COMIX_HD static Crews of(int threads) {
        const int lanes = threads < 32 ? threads : 32;
        return {lanes, threads / lanes};
    }
};

// What becomes of the objective with another input in a block; input -1: no improvement.
struct Offer {
    double sum, local;  // the whole change, and that inside the block's output
    std::int32_t input, unused = 0;
};

// The block that a crew looks at, relative to where the window begins; -1: none.
struct alignas(16) Look {
    std::int32_t cell;
    Pair label;
    std::int32_t offers;  // how many
    std::int32_t input;   // to show instead; -1: none
};

// What comes of a window of blocks: the first crew with a change to make, and where to go on if
// there is none, relative to where the window begins.
struct alignas(8) Outcome {
    std::int32_t crew, next;
};

// Memory of a descent, beside the state that it improves.
struct DescentSpace {
    StateSpace state;
    double* reach;          // [m, n] A times the shares of the other outputs
    Shown* shown;           // [m, n] the inputs in output 0, ascending, then those in output 1, ...
    std::int32_t* present;  // [m, words of n] the inputs in each output, a bit each
    std::int32_t* count;    // [m] how many those are
    std::int32_t* start;    // [m + 1] where the list of each output begins
    std::int32_t* overused;  // [n] some output pays for showing the input
    std::int32_t* relevant;  // [2, words of threads] blocks of the window, a bit each, and before
    double* part;            // [threads] of a crew's sums
    Offer* offers;           // [crews, n]
    Look* looks;             // [crews]
    Outcome* outcome;        // [1]

    COMIX_HD static DescentSpace at(void* memory, const SolverSizes& sizes, int threads,
                                    std::int64_t* bytes) {
        DescentSpace space{};
        std::int64_t state_bytes = 0;
        space.state = StateSpace::at(memory, sizes, &state_bytes);
        detail::Pieces pieces(memory);
        pieces.take<unsigned char>(state_bytes);
        const std::int64_t n = sizes.inputs, m = sizes.outputs, crews = Crews::of(threads).count;
        space.looks = pieces.take<Look>(crews);
        space.shown = pieces.take<Shown>(m * n);
        space.outcome = pieces.take<Outcome>(1);
        space.reach = pieces.take<double>(m * n);
        space.part = pieces.take<double>(threads);
        space.offers = pieces.take<Offer>(crews * n);
        space.present = pieces.take<std::int32_t>(m * word_count(sizes.inputs));
        space.count = pieces.take<std::int32_t>(m);
        space.start = pieces.take<std::int32_t>(m + 1);
        space.overused = pieces.take<std::int32_t>(n);
        space.relevant = pieces.take<std::int32_t>(2 * word_count(threads));
        if (bytes) *bytes = pieces.bytes();
        return space;
    }
};

}  // namespace comix::cuda::comixup
