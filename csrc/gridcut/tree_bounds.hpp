// Lower bounds from trees: tree-reweighted message passing.
//
// The energy is split into that of all rows and that of all columns, each a chain that dynamic
// programming solves. Messages between neighbours shift unary costs from one to the other until
// the sum of both minima stops rising. No labelling costs less than that sum, and none with label a
// at site p less than the sum and what a adds to the minima of p's row and column: labels that
// cannot beat the best labelling known are struck off.
// Guarantee: the labels that survive, or best(), hold an optimum; any weights, any label distance.
//   Messages may be off as they like: whatever they are, bounds are sums of whole numbers.
//   Nothing says that few labels survive, but where costs are not at odds with each other mostly
//   one does, on grids of any size.
// Cost: steps() per round, and again per strike.
// Source: Kolmogorov, "Convergent tree-reweighted message passing for energy minimization",
//   PAMI 2006 (sequential messages, section 4; rounding, section 7); Wainwright, Jaakkola &
//   Willsky, "MAP estimation via agreement on trees", IEEE Trans. Inf. Theory 2005.
#pragma once

#include <cstdint>
#include <vector>

#include "gridcut/elimination.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

class TreeBounds {
  public:
    // Sums that a round takes, and memory in all.
    static double steps(const FixedGrid& grid);
    static double bytes(const FixedGrid& grid);

    // No message has been sent. The grid must stay as it is until the last call.
    void begin(const FixedGrid& grid);

    // Messages from the first site to the last and back; with `label`, both ways every site also
    // takes the label that is best for the messages and the sites before it. Before a strike, so
    // that there is a best().
    void round(bool label);

    // Strikes off what no labelling better than best() can have. False when nothing is left at some
    // site: best() is an optimum.
    bool strike(Survivors& survivors);

    // What the last strike found: no labelling costs less.
    Cost bound() const { return bound_; }

    // The best labelling that rounds came across, or were offered.
    void offer(const Label* labels);
    const Label* best() const { return best_.data(); }
    Cost best_energy() const { return best_energy_; }

  private:
    // Two neighbours, in the order of their sites.
    struct Edge {
        int first, second;
        double weight;
    };
    enum From { left, right, above, below };

    Edge across(int site) const;
    Edge down(int site) const;
    double* message(From from, int site) {
        return messages_[from].data() + std::int64_t{site} * stride_;
    }
    const double* unary(int site) const { return unary_.data() + std::int64_t{site} * stride_; }
    void add_messages(int site);
    Label choose(int site, bool ascending);
    void send(int site, bool ascending);
    void pass(bool ascending, bool label);
    void least_over(const Edge& edge, bool to_second, const double* costs, double* least) const;
    void split();
    bool bound_chain(int first, int step, int count, const std::vector<double>& costs);

    const FixedGrid* grid_ = nullptr;
    int labels_ = 0, stride_ = 0;  // stride: labels, filled up to whole vectors
    bool two_costs_ = false;  // one pair cost between equal labels, a higher one between others
    double largest_distance_ = 0;
    std::vector<double> unary_;                 // [sites, stride]
    std::vector<double> distance_, transpose_;  // [labels, stride]
    std::vector<double> messages_[4];           // [sites, stride] from each side
    std::vector<double> sum_, scratch_;         // [stride]
    std::vector<double> rows_, columns_;        // [sites, stride] unary costs of the chains
    std::vector<double> excess_;                // [sites, stride] beyond the minima of the chains
    std::vector<double> ahead_, behind_;        // of one chain
    Cost bound_ = 0;
    std::vector<Label> now_, best_;
    Cost best_energy_ = 0;
    bool has_best_ = false;
};

}  // namespace comix::gridcut
