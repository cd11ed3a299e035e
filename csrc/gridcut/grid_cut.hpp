// One call for every method: minimise a grid energy.
//
//   swap       alpha-beta swap; order and ties fixed (moves.hpp). From init, or from all-zero
//              labels and, unless all costs are integers, also from the unary minimum: the better
//              one. (On integers the result is comparable label by label with other
//              implementations.)
//   expansion  alpha-expansion over the labels that elimination leaves. From init, or from the
//              unary minimum with labels tried in ascending and in descending order: the better
//              one
//   exact      the proven optimum, or InvalidArgument saying why not: steepest descent when all
//              costs are convex (ordered_descent.hpp), a minimum cut when the labels are ordered
//              (ordered.hpp), else the frontier programme (survivor_cut.hpp) when what bounds
//              (tree_bounds.hpp) and elimination leave fits kExactBytes of memory
//   automatic  exact where it is affordable (descent, minimum cut, or at most kAutoSteps steps of
//              the frontier programme), else expansion followed by swap
#pragma once

#include <cstdint>
#include <vector>

#include "gridcut/elimination.hpp"
#include "gridcut/moves.hpp"
#include "gridcut/ordered.hpp"
#include "gridcut/ordered_descent.hpp"
#include "gridcut/problem.hpp"
#include "gridcut/quick_expansion.hpp"
#include "gridcut/survivor_cut.hpp"
#include "gridcut/tree_bounds.hpp"

namespace comix::gridcut {

enum class Method { expansion, swap, exact, automatic };

constexpr double kExactBytes = 256.0 * 1024 * 1024;  // memory of one frontier programme
constexpr double kExactSteps = 2e11;                 // minutes; beyond, "exact" is refused too
constexpr double kAutoSteps = 4e6;                   // about 10 ms
constexpr int kMaxLabels = 65535;                    // back-pointers of the frontier programme

// Problems that a thread takes at once: some 20 microseconds of cutting.
constexpr std::int64_t cuts_per_chunk(std::int64_t sites, std::int64_t labels) {
    constexpr std::int64_t costs = 256;
    return costs / (sites * labels);
}

struct Options {
    Method method = Method::expansion;
    int max_sweeps = 0;  // of expansion and swap; 0: until no move helps
    // Spend time on quality: second attempts, eliminating more labels to make exact affordable, and
    // swap after expansion. Off where a cut is one small step of a larger loop.
    bool thorough = true;
};

// Scratch memory for one thread; problems of one size follow each other without allocation.
class GridCutter {
  public:
    // `labels` holds the start when has_init, and the result afterwards. Returns whether that is a
    // proven optimum (of costs rounded to 2^-50 of their sum of magnitudes).
    bool solve(const GridProblem& problem, const Options& options, bool has_init, Label* labels);

  private:
    bool swap(const GridProblem& problem, const Options& options, bool has_init, Label* labels);
    bool expand(const GridProblem& problem, const Options& options, bool has_init, Label* labels);
    void expand_from(const Options& options, bool quick, Label* labels);
    void choose_candidates();
    bool exact(const GridProblem& problem, const Options& options, Label* labels);
    bool exact_by_bounds(const GridProblem& problem, const Options& options, Label* labels);
    void improve_best(const GridProblem& problem, const Options& options);
    bool solve_survivors(Label* labels);
    void start_at_unary_minimum(Label* labels) const;
    void start_at_zero(Label* labels) const;
    // Makes a second attempt and keeps its labels if they are strictly better.
    template <class Attempt>
    void try_again(Label* labels, const Attempt& attempt);

    FixedGrid grid_;
    Survivors survivors_;
    TreeBounds bounds_;
    bool bounded_ = false;  // bounds_ knows a labelling
    Moves moves_;
    QuickExpansion quick_;
    OrderedCut ordered_;
    OrderedDescent descent_;
    SurvivorCut survivor_cut_;
    std::vector<Label> candidates_, second_, start_;
};

}  // namespace comix::gridcut
