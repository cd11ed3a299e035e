// The iterative Co-Mixup solver (algorithm, guarantee and cost: comixup.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "comixup/comixup.hpp"
#include "comixup/descent.hpp"
#include "comixup/label_cut.hpp"
#include "comixup/penalty.hpp"

namespace comix::comixup {

class Labeller {
  public:
    // init [m, gh, gw] -> labels [m, gh, gw, 2]
    void solve(const Partition& partition, const Settings& settings, const std::int64_t* init,
               std::int64_t* labels);

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
    double beta_ = 0, gamma_ = 0, tau_ = 0;           // scaled by the number of blocks
    std::vector<std::int64_t> labels_, best_labels_;  // [m, blocks, 2]
    std::vector<double> shares_;                      // [m, n] blocks of each input
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
    Descent descent_;
};

}  // namespace comix::comixup
