// The iterative Co-Mixup solver (algorithm, guarantee and cost: comixup.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "comixup/comixup.hpp"
#include "comixup/descent.hpp"
#include "comixup/penalty.hpp"
#include "gridcut/grid_cut.hpp"

namespace comix::comixup {

class Labeller {
  public:
    // init [m, gh, gw] -> labels [m, gh, gw, 2]; returns their thresholded objective.
    double solve(const Partition& partition, const Settings& settings, const std::int64_t* init,
                 std::int64_t* labels);

  private:
    struct Pair {
        int i, j;  // the two inputs of a soft label, i < j
    };

    void begin(const Partition& partition, const Settings& settings, const std::int64_t* init);
    void relabel(int output, bool soft);
    void penalty();
    void soft_labels(int output);
    void cut(int output);
    void choose_alive();
    void resolve();
    double plain_objective() const;
    double* shares(int output) { return shares_.data() + std::int64_t{output} * partition_.inputs; }
    std::int64_t* labels(int output) {
        return labels_.data() + std::int64_t{output} * partition_.blocks() * 2;
    }
    void count_shares(int output);

    Partition partition_;
    Settings settings_;
    double beta_ = 0, gamma_ = 0, tau_ = 0;           // scaled by the number of blocks
    std::vector<double> cost_;                        // [blocks, n]
    std::vector<std::int64_t> labels_, best_labels_;  // [m, blocks, 2]
    std::vector<double> shares_;                      // [m, n]
    Compatibility compatibility_;
    std::vector<double> total_, reach_, rho_;  // [n] shares of the others, A times those, penalty
    std::vector<double> scratch_;              // [n]
    std::vector<std::uint8_t> extra_;  // [m, n] inputs to avoid since the duplicate resolution
    bool resolved_ = false;
    std::vector<Pair> soft_;     // soft labels of the cut at hand
    std::vector<double> unary_;  // [blocks, n + soft]
    std::vector<int> alive_;     // labels of the cut at hand that can win somewhere
    std::vector<double> alive_unary_, pairwise_;
    std::vector<gridcut::Label> cut_labels_;
    gridcut::GridCutter cutter_;
    Descent descent_;
};

}  // namespace comix::comixup
