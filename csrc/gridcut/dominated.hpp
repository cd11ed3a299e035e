// Costs that no optimum pays, brought down to where they still are that.
//
// A label whose unary cost exceeds the smallest of its site by more than all edges of the site can
// make up for is in no optimum, however much more it costs. All costs of a problem share one
// fixed-point scale (base/fixed_point.hpp), so a cost of 1e30 that only forbids a label would round
// the others to nothing. Lowered, it forbids the label as before and leaves the others their bits.
#pragma once

#include <vector>

#include "gridcut/problem.hpp"

namespace comix::gridcut {

class DominatedCosts {
  public:
    // A problem with the same optima, and with the same labellings that no move improves, except
    // those that show a dominated label. `problem` itself while its costs leave enough bits, which
    // includes whole numbers that fit (their ties are the gco library's): then one pass over them
    // is all this costs. The view returned is of memory of this object, until the next call.
    GridProblem lowered(const GridProblem& problem);

  private:
    std::vector<double> unary_;  // [H, W, L]
};

}  // namespace comix::gridcut
