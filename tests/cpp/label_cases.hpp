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
#include "comixup/batch.hpp"
#include "comixup/comixup.hpp"
#include "cuda/comixup/improve.hpp"
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
        comix::comixup::solve_batch({{view(), init.data(), labels.data()}}, 1, settings, 1);
        return labels;
    }
    double value(const std::vector<std::int64_t>& labels) const {
        return objective(view(), settings, labels.data());
    }
    Labels solve(HostTeam& team, std::int64_t most = kShared) const;
    // The same on threads of the operating system.
    Labels solve_at_once(int threads, std::int64_t most) const;
};

// Sweeps, improvement and choice, as three kernels: run(bytes, algorithm) calls algorithm(team) for
// a team with that much shared memory. most: shared memory to use.
template <class Run, class Sweep>
Labels solve_in_steps(const Case& c, int threads, std::int64_t most, const Run& run,
                      std::size_t bytes, const Sweep& sweep) {
    const auto problem = c.problem();
    std::vector<double> memory(at(kernels::Candidates::bytes(problem.sizes, 1) / 8), 1e300);
    const auto found = kernels::Candidates::at(memory.data(), problem.sizes, 0);
    run(bytes, [&](auto& team) { sweep(team, found); });
    const auto plan = kernels::ImprovePlan::of(problem.sizes, threads, most);
    for (int candidate = 0; candidate < kernels::kCandidates && problem.select_best; ++candidate) {
        std::vector<double> scratch(at(plan.scratch_bytes() / 8), 1e300);
        run(plan.shared(threads).total(), [&](auto& team) {
            plan.in_shared ? kernels::improve<true>(team, problem, c.matrix(), plan, scratch.data(),
                                                    found, candidate)
                           : kernels::improve<false>(team, problem, c.matrix(), plan,
                                                     scratch.data(), found, candidate);
        });
    }
    Labels labels(at(2 * c.m * c.h * c.w), -1);
    double objective = 0;
    run(0, [&](auto& team) { kernels::choose(team, problem, found, labels.data(), &objective); });
    if (std::isfinite(objective))
        CHECK(objective == doctest::Approx(c.value(labels)).epsilon(1e-10));
    return labels;
}

// The same by teams on the host, whose need of shared memory is checked.
template <class Sweep>
Labels solve_in_steps(const Case& c, const HostTeam& like, std::int64_t most, std::size_t bytes,
                      const Sweep& sweep) {
    const auto run = [&](std::size_t expected, const auto& algorithm) {
        HostTeam team = like.another();
        algorithm(team);
        if (team.shared_bytes() > 0) CHECK(team.shared_bytes() == expected);
    };
    return solve_in_steps(c, like.size(), most, run, bytes, sweep);
}

template <class Sweep>
Labels solve_at_once(const Case& c, int threads, std::int64_t most, std::size_t bytes,
                     const Sweep& sweep) {
    const auto run = [&](std::size_t shared, const auto& algorithm) {
        SpmdTeam::run(threads, shared, algorithm);
    };
    return solve_in_steps(c, threads, most, run, bytes, sweep);
}

// Calls solve(size of the shared memory, sweep) with cuts by expansion.
template <class Solve>
Labels with_expansion(const Case& c, int threads, std::int64_t most, const Solve& solve) {
    using kernels::Shape;
    const auto problem = c.problem();
    const auto plan = kernels::SpacePlan::of(problem.sizes, most);
    std::vector<double> scratch(at(plan.scratch_bytes() / 8), 1e300);
    const auto with = [&](auto shape) {
        return solve(kernels::labeller_shared(threads, plan).total(),
                     [&](auto& team, const kernels::Candidates& found) {
                         constexpr Shape kShape = decltype(shape)::value;
                         const auto label = [&](auto in_shared) {
                             kernels::solve_labels<kShape, decltype(in_shared)::value>(
                                 team, problem, c.matrix(), c.init.data(), plan, scratch.data(),
                                 found);
                         };
                         plan.all_shared() ? label(std::true_type{}) : label(std::false_type{});
                     });
    };
    switch (problem.sizes.shape()) {
        case Shape::small:
            return with(std::integral_constant<Shape, Shape::small>{});
        case Shape::narrow:
            return with(std::integral_constant<Shape, Shape::narrow>{});
        default:
            return with(std::integral_constant<Shape, Shape::wide>{});
    }
}

inline Labels Case::solve(HostTeam& team, std::int64_t most) const {
    return with_expansion(*this, team.size(), most, [&](std::size_t bytes, const auto& sweep) {
        return solve_in_steps(*this, team, most, bytes, sweep);
    });
}

inline Labels Case::solve_at_once(int threads, std::int64_t most) const {
    return with_expansion(*this, threads, most, [&](std::size_t bytes, const auto& sweep) {
        return label_cases::solve_at_once(*this, threads, most, bytes, sweep);
    });
}

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
