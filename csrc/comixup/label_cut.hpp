// The grid cut of one Co-Mixup output, the other outputs fixed.
//
// Labels: every input, and the given pairs of inputs at half weight each. An input i costs
// c[i, p] + rho[i] at block p; a pair costs the mean of its two less a small bonus. Distances are
// 1, and 1/4 between a pair and either of its inputs (Kim et al., "Co-Mixup", ICLR 2021,
// algorithm 1).
// Guarantee: the cut method's (grid_cut.hpp). Expansion, which is what `automatic` means here,
//   works in 32 bits (quick_expansion.hpp): the loop around it linearises, so more digits or proven
//   cuts bring nothing (measured: docs/performance.md).
// Cost: blocks * labels, plus the cut over the labels that can win somewhere, typically five. Half
//   of the cuts after the second sweep ask what the output's last one asked, and are not made.
#pragma once

#include <cstdint>
#include <vector>

#include "comixup/comixup.hpp"
#include "gridcut/grid_cut.hpp"
#include "gridcut/quick_expansion.hpp"

namespace comix::comixup {

// Two inputs of a soft label, i < j.
struct Pair {
    int i, j;
};

class LabelCut {
  public:
    // A label's two inputs, equal when it is one, and what it costs beyond their mean.
    struct Label {
        Pair inputs;
        double extra;
        bool operator==(const Label& other) const {
            return inputs.i == other.inputs.i && inputs.j == other.inputs.j && extra == other.extra;
        }
    };

    // beta: the cost per edge.
    void begin(const Partition& partition, double beta, gridcut::Method method);
    // rho [n]; writes labels [gh, gw, 2]. `asked`: the labels that could win in the cut that
    // `labels` came from, empty when they came from none; gets those of this cut. The same ones
    // have the same answer: then `labels` stay, and the result is false.
    bool solve(const double* rho, const std::vector<Pair>& soft, std::vector<Label>& asked,
               std::int64_t* labels);

  private:
    void list_labels(const double* rho, const std::vector<Pair>& soft);
    void choose_alive();
    void price_alive();
    void set_distances(double scale);
    void quick_cut();
    void general_cut();

    Partition partition_;
    double beta_ = 0.0;
    gridcut::Method method_ = gridcut::Method::automatic;
    int row_ = 0;                    // blocks, up to the end of a vector
    std::vector<float> rough_cost_;  // [n, row]
    float largest_cost_ = 0.0F;
    std::vector<float> edges_;          // [blocks] edges of the block
    std::vector<Label> all_;            // every label
    std::vector<Label> alive_;          // labels that can win somewhere
    std::vector<float> least_, limit_;  // [row] cheapest label; what every winner is below
    std::vector<double> unary_;         // [alive, blocks]
    std::vector<const double*> rows_;   // its rows
    std::vector<double> pairwise_, block_major_;
    std::vector<gridcut::Label> candidates_, cut_labels_;
    gridcut::QuickExpansion quick_;
    gridcut::GridCutter cutter_;
};

}  // namespace comix::comixup
