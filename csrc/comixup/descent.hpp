// Descent on the thresholded Co-Mixup objective: one block of one output at a time takes another
// input.
//
// The loop of sweeps linearises the diversity term, and most of its results still overuse a few
// inputs. Each block that shows an overused input is offered every other input; the best exact
// change of the objective is made if it is an improvement, until none is.
// Guarantee: the objective never rises. For Threshold::hard_official, whose penalty is not a sum
//   over inputs, that of Threshold::hard does not: the caller has to look.
// Cost: passes * blocks of overused inputs * (inputs + candidates that pass a lower bound *
//   outputs).
#pragma once

#include <cstdint>
#include <vector>

#include "comixup/comixup.hpp"

namespace comix::comixup {

class Descent {
  public:
    // Improves labels [m, gh, gw, 2] in place.
    void run(const Partition& partition, const Settings& settings, std::int64_t* labels);

  private:
    // A block's change from inputs (a, b) at half weight each to input `to`; to < 0 only takes
    // away.
    struct Change {
        int output;
        std::int64_t a, b;
        int to;
    };

    struct Neighbour {
        const std::int64_t* labels;
        double distance;  // from the labels of the block at hand
    };

    void count(const std::int64_t* labels);
    bool pass(std::int64_t* labels);
    void find_overused();
    double compatibility(int i, std::int64_t j) const;
    double reach_change(int i, const Change& change) const;
    double penalty(double reach) const;
    double others_change(const Change& change) const;
    void list_neighbours(const std::int64_t* output_labels, int block);
    double local_change(int block, const Change& change) const;
    void apply(const Change& change);
    std::int64_t index(int o, std::int64_t i) const { return i * partition_.outputs + o; }

    Partition partition_;
    Threshold threshold_ = Threshold::hard;
    double beta_ = 0, gamma_ = 0, tau_ = 0;  // scaled by the number of blocks
    std::vector<double> shares_;             // [n, m] blocks of each input in each output
    std::vector<double> reach_;              // [n, m] A times the shares of the other outputs
    std::vector<std::vector<int>> present_;  // [m] inputs in each output
    std::vector<std::uint8_t> overused_;     // [n] some output pays for showing the input
    std::vector<double> local_;              // [n] change inside the output, by candidate
    std::vector<Neighbour> neighbours_;      // of the block at hand
    std::vector<int> candidates_;
};

}  // namespace comix::comixup
