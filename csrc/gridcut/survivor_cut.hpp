// Exact labelling of what elimination has left, part by part.
//
// Sites with one label left are decided, and what they cost their neighbours is known. The others
// fall into parts that do not touch, each of which may be solved alone; the frontier programme
// (frontier.hpp) solves those that share no rows in one run, with all other sites at one label.
// Guarantee: the best of the surviving labellings.
// Cost: that of the frontier programme, where the labels of different parts no longer multiply.
#pragma once

#include <vector>

#include "gridcut/elimination.hpp"
#include "gridcut/frontier.hpp"

namespace comix::gridcut {

class SurvivorCut {
  public:
    // What solve() will take.
    FrontierPlan plan(const FixedGrid& grid, const Survivors& survivors);
    // Writes the best labelling that survives. The caller checks the plan first.
    void solve(const FixedGrid& grid, Label* labels);

  private:
    struct Part {
        int first, last;  // rows, or columns where those are more
        int run = 0;
    };

    void find_parts(const FixedGrid& grid, const Survivors& survivors);
    int share_runs();
    void show_run(int run);

    bool whole_ = true;  // in one run, without a look at parts
    Survivors shown_;    // with one label at the sites of other runs
    std::vector<FrontierPlan> plans_;
    std::vector<Part> parts_;
    std::vector<int> part_, waiting_, ends_;  // part_ [sites]: -1 where the label is known
    std::vector<int> counts_;                 // [sites]
    std::vector<Label> now_;
    FrontierCut frontier_;
};

}  // namespace comix::gridcut
