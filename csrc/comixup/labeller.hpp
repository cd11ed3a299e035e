// The iterative Co-Mixup solver (algorithm, guarantee and cost: comixup.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "comixup/comixup.hpp"
#include "comixup/descent.hpp"
#include "comixup/label_cut.hpp"
#include "comixup/penalty.hpp"

namespace comix::comixup {

// Labels [m, gh, gw, 2] and their thresholded objective; no labels: nothing found.
struct Labelling {
    std::vector<std::int64_t> labels;
    double objective = std::numeric_limits<double>::infinity();

    bool found() const { return !labels.empty(); }
};

// What the sweeps from one start leave: the best sweep's result, or the last one's (Select), and
// with Select::best the second sweep's, unless that is the best: it is further from a fixed point,
// and descent often gets further from there.
using Candidates = std::array<Labelling, 2>;

class Labeller {
  public:
    // init [m, gh, gw]
    void sweep(const Partition& partition, const Settings& settings, const std::int64_t* init,
               Candidates& found);

  private:
    void begin(const Partition& partition, const Settings& settings, const std::int64_t* init);
    void relabel(int output, bool soft);
    void count(int output);
    void add_to_total(int output, double sign);
    void penalty(int output);
    void soft_labels(int output);
    void resolve();
    double labels_cost() const;
    double plain_objective() const;
    double thresholded_objective();
    double* shares(int output) { return shares_.data() + std::int64_t{output} * partition_.inputs; }
    std::int64_t* labels(int output) {
        return labels_.data() + std::int64_t{output} * partition_.blocks() * 2;
    }

    Partition partition_;
    Settings settings_;
    double beta_ = 0, gamma_ = 0, tau_ = 0;  // scaled by the number of blocks
    std::vector<std::int64_t> labels_;       // [m, blocks, 2]
    std::vector<double> shares_;             // [m, n] blocks of each input
    std::vector<double> output_cost_;        // [m] unary and smoothness part of the objective
    std::vector<std::vector<int>> present_;  // [m] inputs with a share, ascending
    Compatibility compatibility_;
    std::vector<double> total_, reach_;  // [n] shares of all outputs together, A times those
    std::vector<double> rho_, scratch_, others_reach_;  // [n]
    std::vector<std::uint8_t> extra_;  // [m, n] inputs to avoid since the duplicate resolution
    bool resolved_ = false;
    std::vector<Pair> soft_;                           // soft labels of the cut at hand
    std::vector<std::vector<LabelCut::Label>> asked_;  // [m] what each output's last cut chose from
    LabelCut cut_;
};

// Descent from candidates, for Select::best.
class Improver {
  public:
    void improve(const Partition& partition, const Settings& settings, Labelling& candidate);

  private:
    Descent descent_;
    std::vector<std::int64_t> labels_;
};

}  // namespace comix::comixup
