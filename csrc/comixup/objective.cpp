#include <cmath>

#include "comixup/penalty.hpp"

namespace comix::comixup {

double squared_distance(const std::int64_t* a, const std::int64_t* b) {
    const auto half_product = [](const std::int64_t* x, const std::int64_t* y) {
        return 0.25 * ((x[0] == y[0]) + (x[0] == y[1]) + (x[1] == y[0]) + (x[1] == y[1]));
    };
    return half_product(a, a) + half_product(b, b) - 2 * half_product(a, b);
}

double unary_and_smoothness(const Partition& part, double beta, const std::int64_t* labels) {
    const int blocks = part.blocks(), w = part.width;
    double unary = 0, smoothness = 0;
    for (int o = 0; o < part.outputs; ++o, labels += 2 * blocks) {
        for (int p = 0; p < blocks; ++p) {
            const std::int64_t* here = labels + 2 * p;
            unary += 0.5 * (part.cost[here[0] * blocks + p] + part.cost[here[1] * blocks + p]);
            if (p + w < blocks) smoothness += squared_distance(here, here + 2 * w);
            if ((p + 1) % w != 0) smoothness += squared_distance(here, here + 2);
        }
    }
    return unary + 0.5 * beta * smoothness;
}

void add_shares(const std::int64_t* labels, int blocks, double* shares) {
    for (int k = 0; k < 2 * blocks; ++k) shares[labels[k]] += 0.5;
}

void thresholded(const double* pi, const double* compatibility, int n, double tau,
                 Threshold threshold, double* reach, double* out) {
    const auto times_a = [&](const auto& x, double* y) {
        for (int i = 0; i < n; ++i) {
            double sum = 0;
            for (int j = 0; j < n; ++j) sum += compatibility[std::int64_t{i} * n + j] * x(j);
            y[i] = sum;
        }
    };
    if (compatibility) {
        times_a([&](int j) { return pi[j]; }, reach);
    } else {
        for (int i = 0; i < n; ++i) reach[i] = pi[i];
    }
    switch (threshold) {
        case Threshold::hard:
            for (int i = 0; i < n; ++i) out[i] = reach[i] > tau ? reach[i] : 0.0;
            return;
        case Threshold::soft:
            for (int i = 0; i < n; ++i) out[i] = reach[i] > tau ? reach[i] - tau : 0.0;
            return;
        case Threshold::hard_official:
            // The indicator masks the columns of A instead of the result's rows.
            if (compatibility) {
                times_a([&](int j) { return reach[j] > tau ? pi[j] : 0.0; }, out);
            } else {
                for (int i = 0; i < n; ++i) out[i] = reach[i] > tau ? pi[i] : 0.0;
            }
            return;
    }
}

double objective(const Partition& part, const Settings& settings, const std::int64_t* labels) {
    const int n = part.inputs, blocks = part.blocks();
    const double gamma = settings.gamma / blocks, tau = settings.tau * blocks;
    std::vector<double> shares(static_cast<std::size_t>(part.outputs) *
                               static_cast<std::size_t>(n));
    std::vector<double> total(static_cast<std::size_t>(n)), others(total), reach(total), f(total);
    for (int o = 0; o < part.outputs; ++o) {
        double* s = shares.data() + std::int64_t{o} * n;
        add_shares(labels + std::int64_t{o} * blocks * 2, blocks, s);
        for (int i = 0; i < n; ++i) total[static_cast<std::size_t>(i)] += s[i];
    }
    double diversity = 0;
    for (int o = 0; o < part.outputs; ++o) {
        const double* s = shares.data() + std::int64_t{o} * n;
        for (int i = 0; i < n; ++i)
            others[static_cast<std::size_t>(i)] = total[static_cast<std::size_t>(i)] - s[i];
        thresholded(others.data(), part.compatibility, n, tau, settings.threshold, reach.data(),
                    f.data());
        for (int i = 0; i < n; ++i) diversity += s[i] * f[static_cast<std::size_t>(i)];
    }
    return unary_and_smoothness(part, settings.beta / blocks, labels) + gamma * diversity;
}

}  // namespace comix::comixup
