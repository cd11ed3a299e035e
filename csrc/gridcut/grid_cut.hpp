// One call for every method: minimise a grid energy.
//
//   swap       alpha-beta swap from all-zero labels (or init); order and ties fixed (moves.hpp)
//   expansion  alpha-expansion from the unary minimum (or init) over the labels that elimination leaves
//   exact      the proven optimum, or InvalidArgument saying why not: a minimum cut when the labels
//              are ordered (ordered.hpp), else the frontier programme (frontier.hpp) when it fits
//              kExactBytes of memory
//   automatic  exact where it is affordable (minimum cut, or at most `auto_steps` steps of the
//              frontier programme), else expansion followed by swap
#pragma once

#include <cstdint>
#include <vector>

#include "gridcut/elimination.hpp"
#include "gridcut/frontier.hpp"
#include "gridcut/moves.hpp"
#include "gridcut/ordered.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

enum class Method { expansion, swap, exact, automatic };

constexpr double kExactBytes = 256.0 * 1024 * 1024;  // memory of one frontier programme
constexpr double kExactSteps = 2e11;                 // minutes; beyond, "exact" is refused too
constexpr double kAutoSteps = 4e6;                   // about 10 ms
constexpr int kMaxLabels = 65535;                    // back-pointers of the frontier programme

struct Options {
    Method method = Method::expansion;
    int max_sweeps = 0;             // of expansion and swap; 0: until no move helps
    double auto_steps = kAutoSteps;
};

// Scratch memory for one thread; problems of one size follow each other without allocation.
class GridCutter {
  public:
    // `labels` holds the start when has_init, and the result afterwards. Returns whether that is a
    // proven optimum (of costs rounded to 2^-53 of their sum of magnitudes).
    bool solve(const GridProblem& problem, const Options& options, bool has_init, Label* labels);

  private:
    bool expand(const Options& options, bool has_init, Label* labels);
    bool exact(const GridProblem& problem, const Options& options, Label* labels);
    void start(bool has_init, bool at_unary_minimum, Label* labels) const;

    FixedGrid grid_;
    Survivors survivors_;
    Moves moves_;
    OrderedCut ordered_;
    FrontierCut frontier_;
};

}  // namespace comix::gridcut
