// Exact labelling for convex costs: one label up at a time.
//
// When every unary cost is convex in the label, the label distance is a convex function of i - j
// and no weight is negative, the energy is L-natural-convex. Let x_k be a minimum over the labels
// 0..k. Then some minimum over 0..k+1 lies between x_k and x_k + 1: the best set of sites to go up
// by one label - a binary decision per site with joint costs of at most zero, which grid_move.hpp
// solves exactly - leads there. (Both bounds follow from translation submodularity,
// f(p) + f(q) >= f((p - a) v q) + f(p ^ (q + a)), with p the minimum, q = x_k, and a = 1, a = 0.)
// Guarantee: the optimum, for costs rounded to 2^-50 of the sum of their magnitudes, on grids of
//   any size, where prepare() says so.
// Cost: L - 1 moves (grid_move.hpp), fewer when one gains nothing.
// Source: Murota, "Discrete Convex Analysis", SIAM 2003, chapter 7 and section 10.3.1; Murota &
//   Shioura, "Exact bounds for steepest descent algorithms of L-convex function minimization",
//   Operations Research Letters 2014.
#pragma once

#include <vector>

#include "gridcut/grid_move.hpp"
#include "gridcut/problem.hpp"

namespace comix::gridcut {

class OrderedDescent {
  public:
    // Takes the problem in; false where the energy is not convex (or not finite).
    bool prepare(const GridProblem& problem);
    // Writes an optimal labelling of the problem that prepare() took.
    void solve(Label* labels);

  private:
    // What an edge costs more when only its first or only its second site goes up; by first site.
    struct Edges {
        SiteSet places;        // of the first sites
        Field<double> weight;  // scaled; 0 where there is no edge
        Field<double> first, second;
    };

    void resize(const GridProblem& problem);
    bool take_distances(const GridProblem& problem);
    bool take_weights(const GridProblem& problem, double* sum);
    template <class Visit>
    void for_each_pair(const GridProblem& problem, const Visit& visit) const;
    double unary_variation(const GridProblem& problem) const;
    bool take_steps(const GridProblem& problem, int shift);
    void begin_edges(Edges& edges, double* joint);
    void note_edge(Edges& edges, int site, int difference, double* joint);
    bool rise();
    void note_moves(const Label* labels);

    int height_ = 0, width_ = 0, sites_ = 0, labels_ = 0;
    std::vector<double> grow_, shrink_;  // what the label distance changes by when the difference
                                         // grows or shrinks by one; by difference + L - 1
    double largest_change_ = 0;          // what a move can pay on an edge of weight 1, at most
    std::vector<double> steps_;          // [l, site]: what label l + 1 costs more than label l
    int plane_ = 0;                      // sites in a plane of them: whole vectors
    std::vector<double> nothing_;        // [l]: costs where there is no site
    Field<double> up_;                   // what one label more costs
    Edges right_, below_;
    GridMove<double> move_;
};

}  // namespace comix::gridcut
