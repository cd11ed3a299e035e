// The pieces of the Co-Mixup objective that its solver shares.
#pragma once

#include "comixup/comixup.hpp"

namespace comix::comixup {

// f(pi) of the diversity term, out [n]. compatibility nullptr: the identity. reach [n] gets A pi.
void thresholded(const double* pi, const double* compatibility, int n, double tau,
                 Threshold threshold, double* reach, double* out);

// Unary and smoothness part of the objective; beta already divided by the number of blocks.
double unary_and_smoothness(const Partition& partition, double beta, const std::int64_t* labels);

// |z_p - z_q|^2 of two blocks, each half `a[0]`, half `a[1]`.
double squared_distance(const std::int64_t* a, const std::int64_t* b);

// Adds the shares (in blocks) of one output's labels [blocks, 2].
void add_shares(const std::int64_t* labels, int blocks, double* shares);

}  // namespace comix::comixup
