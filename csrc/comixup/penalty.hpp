// The pieces of the Co-Mixup objective that its solver shares.
#pragma once

#include <vector>

#include "comixup/comixup.hpp"

namespace comix::comixup {

// The compatibility A as a linear map; without a matrix, the identity.
class Compatibility {
  public:
    // matrix [n, n] or nullptr.
    void assign(const double* matrix, int n);
    bool identity() const { return columns_.empty(); }
    // y = A x, every sum in ascending order of x's entries.
    void multiply(const double* x, double* y) const;

  private:
    int n_ = 0;
    std::vector<double> columns_;  // [n, n] transposed: one column of A after the other
};

// What one input pays at the reach (A pi)_i. Not for hard_official, whose penalty couples the
// inputs.
inline double penalty_at(double reach, double tau, Threshold threshold) {
    if (!(reach > tau)) return 0.0;
    return threshold == Threshold::soft ? reach - tau : reach;
}

// f(pi) of the diversity term, out [n]. reach [n] gets A pi; scratch [n].
void thresholded(const double* pi, const Compatibility& compatibility, int n, double tau,
                 Threshold threshold, double* reach, double* scratch, double* out);

// Unary and smoothness part of the objective; beta already divided by the number of blocks.
double unary_and_smoothness(const Partition& partition, double beta, const std::int64_t* labels);

// |z_p - z_q|^2 of two blocks, each half `a[0]`, half `a[1]`.
double squared_distance(const std::int64_t* a, const std::int64_t* b);

// Adds the shares (in blocks) of one output's labels [blocks, 2].
void add_shares(const std::int64_t* labels, int blocks, double* shares);

}  // namespace comix::comixup
