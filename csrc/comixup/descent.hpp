// Descent on the thresholded Co-Mixup objective: one block of one output at a time takes another
// input.
//
// The loop of sweeps linearises the diversity term, and most of its results still overuse a few
// inputs. Each block that shows an overused input is offered every other input; the best exact
// change of the objective is made if it is an improvement, until none is.
// Guarantee: the objective never rises. For Threshold::hard_official, whose penalty is not a sum
//   over inputs, that of Threshold::hard does not: the caller has to look.
// Cost: passes * blocks of overused inputs * inputs additions in vectors. What the other outputs
// pay
//   is the same for all blocks of an output with the same two inputs: it is added up once, for the
//   candidates that pass a lower bound, over the inputs that the outputs show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "comixup/comixup.hpp"
#include "comixup/penalty.hpp"

namespace comix::comixup {

class Descent {
  public:
    // Improves labels [m, gh, gw, 2] in place; returns the change of the objective (of hard, with
    // hard_official).
    double run(const Partition& partition, const Settings& settings, std::int64_t* labels);

  private:
    // An input in an output.
    struct Shown {
        int output, input;
        double share;  // blocks
        double reach;  // A times the shares of the other outputs
        double pays;   // penalty at that reach
    };

    // Taking two inputs (a, b), at half weight each, out of a block of the output at hand.
    struct Removal {
        std::int64_t a, b;
        double relief;               // change of what the other outputs pay
        std::vector<double> others;  // [n] the same with another input in their place; NaN: not yet
        std::vector<double> taken;   // [n] how far the other outputs' reach falls
    };

    struct Neighbour {
        const std::int64_t* labels;
        double distance;  // from the labels of the block at hand
    };

    void count(const std::int64_t* labels);
    void find_overused();
    double penalty(double reach) const { return penalty_at(reach, tau_, threshold_); }
    void begin_output(int output);
    void show_output();
    Removal& removal(std::int64_t a, std::int64_t b);
    double others_change(const Removal& removal, int to) const;
    void list_neighbours(const std::int64_t* output_labels, int block);
    void price_candidates(int block, std::int64_t a, std::int64_t b);
    int best_input(Removal& removal);
    void apply(const Removal& removal, int to);
    bool pass(std::int64_t* labels);
    std::ptrdiff_t listed() const { return static_cast<std::ptrdiff_t>(shown_.size()); }
    double* shares(int output) { return shares_.data() + std::int64_t{output} * partition_.inputs; }

    Partition partition_;
    double beta_ = 0, gamma_ = 0, tau_ = 0;  // scaled by the number of blocks
    Threshold threshold_ = Threshold::hard;
    Compatibility compatibility_;
    std::vector<double> cost_;            // [blocks, n]
    std::vector<double> shares_;          // [m, n] blocks of each input in each output
    std::vector<double> reach_;           // [n] A times the shares of all outputs
    std::vector<Shown> shown_;            // output by output
    std::vector<std::uint8_t> overused_;  // [n] some output pays for showing the input

    // Of the output at hand.
    int output_ = 0;
    std::ptrdiff_t begin_ = 0, end_ = 0;        // its part of shown_
    std::vector<double> own_reach_, own_pays_;  // [n] A times the others' shares, penalty at that
    std::vector<Removal> removals_;             // from its blocks, since the last change
    std::size_t removed_ = 0;                   // how many of them count
    std::vector<Neighbour> neighbours_;         // of the block at hand
    std::vector<double> local_;                 // [n] change inside the output, by candidate
    std::vector<int> candidates_;
    std::vector<double> moved_;  // [n]
    double gain_ = 0;            // so far
};

}  // namespace comix::comixup
