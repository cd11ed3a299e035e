// Co-Mixup partitions for tests of the CUDA solver on the host: drawn at random, labelled by the
// kernels' logic and by the CPU's core.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <type_traits>
#include <vector>

#include "base/index.hpp"
#include "comixup/comixup.hpp"
#include "comixup/labeller.hpp"
#include "cuda/comixup/labeller.hpp"
#include "doctest.h"
#include "host_teams.hpp"

namespace label_cases {

using namespace comix::cuda;
using comix::at;
namespace kernels = comix::cuda::comixup;

using Labels = std::vector<std::int64_t>;
constexpr std::int64_t kShared = 40 * 1024;

struct Case {
    int n, m, h, w;
    std::vector<double> cost, compatibility;
    std::vector<std::int64_t> init;
    comix::comixup::Settings settings;

    // Costs as Co-Mixup has them: the saliency of each input sums to one.
    Case(std::mt19937& random, int inputs, int outputs, int height, int width, bool matrix)
        : n(inputs), m(outputs), h(height), w(width) {
        std::uniform_real_distribution<double> uniform(0, 1);
        for (int i = 0; i < n; ++i) {
            double sum = 0;
            std::vector<double> map;
            for (int p = 0; p < h * w; ++p) {
                map.push_back(std::pow(uniform(random), 3));
                sum += map.back();
            }
            for (const double value : map) cost.push_back(-value / sum);
        }
        if (matrix)
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < n; ++j)
                    compatibility.push_back(i == j ? 0.999 : 0.001 * uniform(random));
        for (int k = 0; k < m * h * w; ++k) init.push_back(static_cast<std::int64_t>(random()) % n);
    }
    const double* matrix() const { return compatibility.empty() ? nullptr : compatibility.data(); }
    comix::comixup::Partition view() const { return {n, m, h, w, cost.data(), matrix()}; }
    kernels::SolverProblem problem() const {
        const double blocks = h * w;
        return {{n, m, h, w, matrix() != nullptr},
                cost.data(),
                settings.beta / blocks,
                settings.gamma / blocks,
                settings.tau * blocks,
                static_cast<kernels::Threshold>(settings.threshold),
                settings.sweeps,
                settings.resolve_duplicates,
                settings.select == comix::comixup::Select::best};
    }
    std::vector<std::int64_t> on_cpu() const {
        std::vector<std::int64_t> labels(at(2 * m * h * w));
        comix::comixup::Labeller().solve(view(), settings, init.data(), labels.data());
        return labels;
    }
    double value(const std::vector<std::int64_t>& labels) const {
        return objective(view(), settings, labels.data());
    }
    // `most`: shared memory to use.
    template <class Team>
    void run(Team& team, std::int64_t most, std::vector<double>& scratch,
             std::vector<std::int64_t>& labels, double* result) const {
        const auto plan = kernels::SpacePlan::of(problem().sizes, team.size(), most);
        const auto own = problem();
        const auto solve = [&](auto shape) {
            kernels::solve_labels<decltype(shape)::value>(team, own, matrix(), init.data(), plan,
                                                          scratch.data(), labels.data(), result);
        };
        using kernels::Shape;
        switch (own.sizes.shape()) {
            case Shape::small:
                return solve(std::integral_constant<Shape, Shape::small>{});
            case Shape::narrow:
                return solve(std::integral_constant<Shape, Shape::narrow>{});
            case Shape::wide:
                return solve(std::integral_constant<Shape, Shape::wide>{});
        }
    }
    std::vector<double> scratch(int threads, std::int64_t most) const {
        const auto plan = kernels::SpacePlan::of(problem().sizes, threads, most);
        return std::vector<double>(at(plan.scratch_bytes() / 8), 1e300);
    }
    std::vector<std::int64_t> solve(HostTeam& team, std::int64_t most = kShared) const {
        std::vector<std::int64_t> labels(at(2 * m * h * w), -1);
        auto memory = scratch(team.size(), most);
        double result = 0;
        run(team, most, memory, labels, &result);
        if (std::isfinite(result)) CHECK(result == doctest::Approx(value(labels)).epsilon(1e-10));
        const auto plan = kernels::SpacePlan::of(problem().sizes, team.size(), most);
        CHECK(team.shared_bytes() == kernels::labeller_shared(team.size(), plan).total());
        return labels;
    }
};

inline void check_in_range(const Case& c, const std::vector<std::int64_t>& labels) {
    bool inside = true;
    for (const auto label : labels) inside &= label >= 0 && label < c.n;
    CHECK(inside);
}

// The same labels, all in range, from teams of any size and with any limit of shared memory.
// solver.solve(team[, limit]): that of the case, or with other cuts.
template <class Solver>
void check_any_team(const Case& c, const Solver& solver,
                    std::initializer_list<std::int64_t> limits) {
    HostTeam first(32);
    const auto expected = solver.solve(first);
    check_in_range(c, expected);
    with_host_teams([&](HostTeam& team) { CHECK(solver.solve(team) == expected); });
    for (const std::int64_t most : limits) {
        HostTeam team(32);
        CHECK(solver.solve(team, most) == expected);
    }
}

// What a cut's labels [blocks, 2] cost: unary costs, and 1, or 1/4 between a pair and its own.
inline double cut_energy(const Case& c, const double* rho, const Labels& labels) {
    const int blocks = c.h * c.w;
    double sum = 0;
    const auto distance = [&](int p, int q) {
        const auto i = labels[at(2 * p)], j = labels[at(2 * p + 1)];
        const auto k = labels[at(2 * q)], l = labels[at(2 * q + 1)];
        if (i == k && j == l) return 0.0;
        const bool meet = (i == j) != (k == l) && (i == k || i == l || j == k || j == l);
        return meet ? 0.25 : 1.0;
    };
    for (int p = 0; p < blocks; ++p) {
        const auto i = labels[at(2 * p)], j = labels[at(2 * p + 1)];
        sum += 0.5 * (c.cost[at(i * blocks + p)] + c.cost[at(j * blocks + p)]);
        sum += 0.5 * (rho[i] + rho[j]) - (i == j ? 0 : 5e-4);
        const double beta = c.settings.beta / blocks;
        if (p + c.w < blocks) sum += beta * distance(p, p + c.w);
        if ((p + 1) % c.w != 0) sum += beta * distance(p, p + 1);
    }
    return sum;
}

}  // namespace label_cases
