// Move-making: alpha-expansion and alpha-beta swap, each a sequence of exact binary moves.
//
// Source: Boykov, Veksler & Zabih, "Fast approximate energy minimization via graph cuts", PAMI
//   2001, sections 4 (swap) and 5 (expansion).
// Guarantee: the energy never rises; a local minimum over all moves. Expansion is within a factor
//   2 max V / min V of the optimum when V is a metric. Binary problems are solved exactly.
// A move that is not submodular (V no metric, negative weights) is solved exactly where the grid is
// narrow and truncated elsewhere (binary_move.hpp), so it may miss the best move but not do harm.
#pragma once

#include <vector>

#include "gridcut/binary_move.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

class Moves {
  public:
    // Both improve `labels` in place, at most `max_sweeps` rounds over the labels (<= 0: until no
    // move helps).

    // Expansion: in turn, every site may switch to label a. `candidates`: the labels worth trying.
    void expansion(const FixedGrid& grid, const std::vector<Label>& candidates, int max_sweeps,
                   Label* labels);

    // Swap: for a = 0.., for b = L-1 down to a+1, the sites labelled a or b choose anew, ties
    // taking a. Rounds go on while the last one lowered the energy. This order and these ties make
    // the result unique. Returns whether it is a proven optimum (one move was all there is to
    // decide).
    bool swap(const FixedGrid& grid, int max_sweeps, Label* labels);

  private:
    bool expand(const FixedGrid& grid, Label a, Label* labels);
    bool can_gain(const FixedGrid& grid, Label a, const Label* labels) const;
    void swap_pair(const FixedGrid& grid, Label a, Label b, Label* labels, bool& exact);
    void prepare(const FixedGrid& grid);

    BinaryMove move_;
    int height_ = 0, width_ = 0;
    std::vector<int> count_;    // [L] sites per label
    std::vector<int> playing_;  // sites of a swap
};

}  // namespace comix::gridcut
