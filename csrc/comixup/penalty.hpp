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
    // y += factor * A[:, j]
    void add_column(int j, double factor, double* y) const {
        if (identity()) {
            y[j] += factor;
            return;
        }
        const double* column = columns_.data() + std::int64_t{j} * n_;
        for (int i = 0; i < n_; ++i) y[i] += factor * column[i];
    }
    double entry(int i, int j) const {
        return identity() ? i == j : columns_[static_cast<std::size_t>(j * n_ + i)];
    }

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

// What the labels [blocks, 2] of one output cost without the diversity term; beta already divided
// by the number of blocks.
double unary_and_smoothness(const Partition& partition, double beta, const std::int64_t* labels);

// |z_p - z_q|^2 of two blocks, each half `a[0]`, half `a[1]`; a whole number of halves.
inline int halves_apart(const std::int64_t* a, const std::int64_t* b) {
    const int common = (a[0] == b[0]) + (a[0] == b[1]) + (a[1] == b[0]) + (a[1] == b[1]);
    return 2 + (a[0] == a[1]) + (b[0] == b[1]) - common;
}
inline double squared_distance(const std::int64_t* a, const std::int64_t* b) {
    return 0.5 * halves_apart(a, b);
}

// Adds the shares (in blocks) of one output's labels [blocks, 2].
void add_shares(const std::int64_t* labels, int blocks, double* shares);

}  // namespace comix::comixup
