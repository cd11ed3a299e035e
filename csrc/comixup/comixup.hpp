// Co-Mixup: n inputs -> m outputs, jointly, by iterative submodular minimisation.
//
// Each output labels every block with an input (or with two inputs at half weight). Minimised is
//   sum_o sum_p c[l_op, p]  +  beta/2 sum_o sum_edges |z_op - z_oq|^2  +  gamma sum_o s_o . f(pi_o)
// with s_o[i] = share of input i in output o (in blocks), pi_o = sum of the other outputs' s, A the
// compatibility, and f(pi) = [A pi > tau] A pi (hard): outputs that draw on the same inputs pay.
//
// Algorithm: in turn each output is re-solved with the others fixed; the diversity term,
//   linearised at the others' shares, joins the unary costs of a grid cut (Kim et al., "Co-Mixup",
//   ICLR 2021, sections 3-4 and algorithm 1). From the second sweep on, the two or three largest
//   inputs of an output may also mix half and half in a block.
// Guarantee: the linearised step is no descent step, so an optimum is not to be expected; on
//   request (Select::best) the best sweep and the second one are improved by descent (descent.hpp),
//   and the better result is kept. The cut inside is exact when the method is.
// Cost: sweeps * outputs * one grid cut of at most n + 3 labels.
#pragma once

#include <cstdint>
#include <vector>

#include "gridcut/grid_cut.hpp"

namespace comix::comixup {

enum class Threshold { hard, soft, hard_official };
enum class Select { best, last };

struct Settings {
    double beta = 0.32, gamma = 1.0, tau = 0.83;  // as users give them; scaled by the grid inside
    Threshold threshold = Threshold::hard;
    int sweeps = 4;
    bool resolve_duplicates = true;
    Select select = Select::best;
    gridcut::Method method = gridcut::Method::automatic;
};

struct Partition {
    int inputs = 0, outputs = 0, height = 0, width = 0;
    const double* cost = nullptr;           // [n, gh, gw], prior included
    const double* compatibility = nullptr;  // [n, n], nullptr: the identity

    int blocks() const { return height * width; }
};

// The thresholded objective above. labels [m, gh, gw, 2]: a block's two inputs, equal when one
// fills it.
double objective(const Partition& partition, const Settings& settings, const std::int64_t* labels);

}  // namespace comix::comixup
