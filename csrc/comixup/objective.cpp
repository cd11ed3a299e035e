#include <algorithm>

#include "comixup/penalty.hpp"

namespace comix::comixup {

double unary_and_smoothness(const Partition& part, double beta, const std::int64_t* labels) {
    const int blocks = part.blocks(), w = part.width;
    double unary = 0;
    std::int64_t halves = 0;  // of the distances of neighbours
    for (int p = 0, right_end = w - 1; p < blocks; ++p) {
        const std::int64_t* here = labels + 2 * p;
        unary += 0.5 * (part.cost[here[0] * blocks + p] + part.cost[here[1] * blocks + p]);
        if (p + w < blocks) halves += halves_apart(here, here + 2 * w);
        if (p != right_end) {
            halves += halves_apart(here, here + 2);
        } else {
            right_end += w;
        }
    }
    return unary + 0.5 * beta * (0.5 * static_cast<double>(halves));
}

void add_shares(const std::int64_t* labels, int blocks, double* shares) {
    for (int k = 0; k < 2 * blocks; ++k) shares[labels[k]] += 0.5;
}

void Compatibility::assign(const double* matrix, int n) {
    n_ = n;
    columns_.clear();
    if (!matrix) return;
    const auto size = static_cast<std::size_t>(n);
    columns_.resize(size * size);
    for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = 0; j < size; ++j) columns_[j * size + i] = matrix[i * size + j];
}

void Compatibility::multiply(const double* x, double* y) const {
    if (identity()) {
        std::copy(x, x + n_, y);
        return;
    }
    std::fill(y, y + n_, 0.0);
    for (int j = 0; j < n_; ++j) {
        if (x[j] == 0.0) continue;
        const double* column = columns_.data() + std::int64_t{j} * n_;
        for (int i = 0; i < n_; ++i) y[i] += column[i] * x[j];
    }
}

void thresholded(const double* pi, const Compatibility& compatibility, int n, double tau,
                 Threshold threshold, double* reach, double* scratch, double* out) {
    compatibility.multiply(pi, reach);
    if (threshold != Threshold::hard_official) {
        for (int i = 0; i < n; ++i) out[i] = penalty_at(reach[i], tau, threshold);
        return;
    }
    // The indicator masks the columns of A instead of the result's rows.
    for (int i = 0; i < n; ++i) scratch[i] = reach[i] > tau ? pi[i] : 0.0;
    compatibility.multiply(scratch, out);
}

double objective(const Partition& part, const Settings& settings, const std::int64_t* labels) {
    const int n = part.inputs, blocks = part.blocks();
    const double gamma = settings.gamma / blocks, tau = settings.tau * blocks;
    std::vector<double> shares(static_cast<std::size_t>(part.outputs) *
                               static_cast<std::size_t>(n));
    std::vector<double> total(static_cast<std::size_t>(n)), others(total), reach(total),
        scratch(total), f(total);
    Compatibility compatibility;
    compatibility.assign(part.compatibility, n);
    for (int o = 0; o < part.outputs; ++o) {
        double* s = shares.data() + std::int64_t{o} * n;
        add_shares(labels + std::int64_t{o} * blocks * 2, blocks, s);
        for (int i = 0; i < n; ++i) total[static_cast<std::size_t>(i)] += s[i];
    }
    double diversity = 0, labels_cost = 0;
    for (int o = 0; o < part.outputs; ++o) {
        labels_cost += unary_and_smoothness(part, settings.beta / blocks,
                                            labels + std::int64_t{o} * blocks * 2);
        const double* s = shares.data() + std::int64_t{o} * n;
        for (int i = 0; i < n; ++i)
            others[static_cast<std::size_t>(i)] = total[static_cast<std::size_t>(i)] - s[i];
        thresholded(others.data(), compatibility, n, tau, settings.threshold, reach.data(),
                    scratch.data(), f.data());
        for (int i = 0; i < n; ++i) diversity += s[i] * f[static_cast<std::size_t>(i)];
    }
    return labels_cost + gamma * diversity;
}

}  // namespace comix::comixup
