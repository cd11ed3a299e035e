// Grid labelling problems for tests of the CUDA solvers on the host: drawn at random, solved by the
// kernels' logic and by the CPU's core.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "base/index.hpp"
#include "cuda/gridcut/cutter.hpp"
#include "cuda/gridcut/frontier.hpp"
#include "cuda/gridcut/level_cut.hpp"
#include "cuda/gridcut/swap.hpp"
#include "doctest.h"
#include "gridcut/grid_cut.hpp"
#include "host_teams.hpp"

namespace cut_grids {

using namespace comix::cuda;
namespace kernels = comix::cuda::gridcut;

using comix::at;
using Labels = std::vector<std::int64_t>;
using kernels::Method;
using CpuMethod = comix::gridcut::Method;

struct Grid {
    int h, w, l;
    std::vector<double> unary, pairwise, weight_v, weight_h;

    enum Kind { convex, potts, any };
    Grid(std::mt19937& random, int height, int width, int labels, Kind kind)
        : h(height), w(width), l(labels) {
        std::uniform_real_distribution<double> uniform(0, 1);
        for (int p = 0; p < h * w; ++p) {
            const double centre = 1.5 * uniform(random) * (l - 1) - 0.25 * (l - 1);
            const double slope = uniform(random);
            for (int k = 0; k < l; ++k)
                unary.push_back(kind == convex ? slope * std::abs(k - centre) : uniform(random));
        }
        for (int a = 0; a < l; ++a) {
            for (int b = 0; b < l; ++b) {
                const double distance = (a - b) / std::max(1.0, l - 1.0);
                pairwise.push_back(kind == convex  ? distance * distance
                                   : kind == potts ? a != b
                                                   : uniform(random));
            }
        }
        const double sign = kind == any ? -0.3 : 0.0;
        for (int k = 0; k < (h - 1) * w; ++k) weight_v.push_back(uniform(random) + sign);
        for (int k = 0; k < h * (w - 1); ++k) weight_h.push_back(uniform(random) + sign);
    }
    kernels::Problem device() const {
        return {h, w, l, unary.data(), pairwise.data(), {weight_v.data(), 0}, {weight_h.data(), 0}};
    }
    kernels::Batch batch() const {
        const kernels::Problem grid = device();
        return {1, h, w, l, grid.unary, grid.pairwise, grid.weight_v, grid.weight_h};
    }
    comix::gridcut::GridProblem cpu() const {
        comix::gridcut::GridProblem problem;
        problem.height = h;
        problem.width = w;
        problem.labels = l;
        problem.unary = unary.data();
        problem.pairwise = pairwise.data();
        problem.weight_v.data = weight_v.data();
        problem.weight_h.data = weight_h.data();
        return problem;
    }
    double energy(const Labels& labels) const { return grid_energy(cpu(), labels.data()); }
    struct Answer {
        Labels labels;
        bool optimal;
    };
    Answer solve_on_cpu(CpuMethod method, const std::int64_t* init = nullptr) const {
        std::vector<comix::gridcut::Label> labels(at(h * w));
        for (std::size_t p = 0; init && p < labels.size(); ++p)
            labels[p] = static_cast<comix::gridcut::Label>(init[p]);
        comix::gridcut::Options options;
        options.method = method;
        const bool optimal =
            comix::gridcut::GridCutter().solve(cpu(), options, init != nullptr, labels.data());
        return {Labels(labels.begin(), labels.end()), optimal};
    }
    double on_cpu(CpuMethod method) const { return energy(solve_on_cpu(method).labels); }
    // As the launcher: swap is a kernel of its own, which "automatic" runs second.
    template <class Team>
    void run(Team& team, Method method, const std::int64_t* init, double* memory,
             std::int64_t* labels, std::uint8_t* optimal) const {
        if (kernels::CutterSpace::narrow(h, w)) {
            run_kernels<true>(team, method, init, memory, labels, optimal);
        } else {
            run_kernels<false>(team, method, init, memory, labels, optimal);
        }
    }
    template <bool kNarrow, class Team>
    void run_kernels(Team& team, Method method, const std::int64_t* init, double* memory,
                     std::int64_t* labels, std::uint8_t* optimal) const {
        if (method == Method::swap)
            return kernels::grid_swap<kNarrow>(team, device(), 0, init, memory, labels, optimal);
        const auto levels = kernels::LevelPlan::of(1, h, w, l, method);
        kernels::grid_cut<kNarrow>(team, device(), method != Method::expansion, levels.bytes, 0,
                                   init, memory, labels, optimal);
        if (levels.bytes > 0) run_levels(team, levels, labels, optimal);
        const auto plan = kernels::FrontierPlan::of(h, w, l, method, team.size());
        if (plan.bytes > 0) return run_frontier(team, plan, labels, optimal);
        if (method == Method::automatic && l > 2 && team.uniform(*optimal) == 0)
            kernels::grid_swap<kNarrow>(team, device(), 0, labels, memory, labels, optimal);
    }
    template <class Team>
    void run_levels(Team& team, const kernels::LevelPlan& plan, std::int64_t* labels,
                    std::uint8_t* optimal) const {
        auto* const memory = team.template shared<double>(static_cast<std::size_t>(plan.bytes / 8));
        kernels::level_cut(team, batch(), plan, reinterpret_cast<unsigned char*>(memory), 0, labels,
                           optimal);
    }
    template <class Team>
    void run_frontier(Team& team, const kernels::FrontierPlan& plan, std::int64_t* labels,
                      std::uint8_t* optimal) const {
        // Shared by all threads of a team that runs this on several.
        auto* const memory =
            team.template shared<double>(static_cast<std::size_t>(plan.bytes / 8 + 1));
        const auto cutter_bytes =
            static_cast<std::int64_t>(kernels::CutterSpace::bytes(h, w, team.size(), 0).total());
        const auto space = kernels::FrontierSpace::at(
            memory, cutter_bytes, h, w, static_cast<std::int64_t>(plan.states), team.size());
        kernels::grid_frontiers(team, batch(), 0, 1, space, labels, optimal);
    }
    // What run() asks the team for.
    std::size_t shared_bytes(int threads, Method method) const {
        const auto plan = kernels::FrontierPlan::of(h, w, l, method, threads);
        const auto levels = kernels::LevelPlan::of(1, h, w, l, method);
        return static_cast<std::size_t>(plan.bytes + levels.bytes + 48) +
               kernels::detail::LevelNotes::bytes(threads).total() +
               kernels::frontier_shared().total();
    }
    std::vector<double> memory(int threads, Method method) const {
        const bool swaps = method == Method::swap || method == Method::automatic;
        const auto bytes = kernels::CutterSpace::bytes(h, w, threads, swaps ? l : 0).total();
        return std::vector<double>((bytes + 7) / 8, 1e300);
    }
    Answer solve(HostTeam& team, Method method, const std::int64_t* init = nullptr) const {
        Answer answer{Labels(at(h * w), -1), false};
        auto space = memory(team.size(), method);
        std::uint8_t optimal = 7;
        run(team, method, init, space.data(), answer.labels.data(), &optimal);
        CHECK(optimal <= 1);
        answer.optimal = optimal == 1;
        bool inside = true;
        for (const auto label : answer.labels) inside &= label >= 0 && label < l;
        CHECK(inside);
        return answer;
    }
};

struct Shape {
    int h, w, l;
};

}  // namespace cut_grids
