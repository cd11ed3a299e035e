// The logic of the CUDA grid cut kernels on the host, against the CPU's core.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "cuda/gridcut/energy.hpp"
#include "doctest.h"
#include "gridcut/problem.hpp"
#include "host_teams.hpp"

using namespace comix;
using namespace comix::cuda;
namespace kernels = comix::cuda::gridcut;

namespace {

struct Grids {
    int count, height, width, labels;
    std::vector<double> unary, pairwise, weight_v, weight_h;
    std::vector<std::int64_t> labelling;

    Grids(std::mt19937& random, int p, int h, int w, int l)
        : count(p), height(h), width(w), labels(l) {
        std::uniform_real_distribution<double> uniform(-1, 1);
        const auto numbers = [&](int size) {
            std::vector<double> values(static_cast<std::size_t>(size));
            for (auto& value : values) value = uniform(random);
            return values;
        };
        unary = numbers(p * h * w * l);
        pairwise = numbers(l * l);
        weight_v = numbers(p * (h - 1) * w);
        weight_h = numbers(p * h * (w - 1));
        for (int k = 0; k < p * h * w; ++k)
            labelling.push_back(static_cast<std::int64_t>(random()) % l);
    }
    kernels::Batch batch(bool uniform) const {
        kernels::Batch batch;
        batch.problems = count;
        batch.height = height;
        batch.width = width;
        batch.labels = labels;
        batch.unary = unary.data();
        batch.pairwise = pairwise.data();
        batch.weight_v =
            uniform ? kernels::EdgeWeights{nullptr, 0.7} : kernels::EdgeWeights{weight_v.data(), 0};
        batch.weight_h = uniform ? kernels::EdgeWeights{nullptr, -0.3}
                                 : kernels::EdgeWeights{weight_h.data(), 0};
        return batch;
    }
    double expected(int i, bool uniform) const {
        comix::gridcut::GridProblem problem;
        problem.height = height;
        problem.width = width;
        problem.labels = labels;
        const int sites = height * width;
        problem.unary = unary.data() + i * sites * labels;
        problem.pairwise = pairwise.data();
        if (uniform) {
            problem.weight_v = {nullptr, 0.7};
            problem.weight_h = {nullptr, -0.3};
        } else {
            problem.weight_v.data = weight_v.data() + i * (height - 1) * width;
            problem.weight_h.data = weight_h.data() + i * height * (width - 1);
        }
        return grid_energy(problem, labelling.data() + i * sites);
    }
};

struct Shape {
    int height, width, labels;
};
const Shape kShapes[] = {{1, 1, 1}, {1, 9, 3}, {9, 1, 3}, {4, 4, 2}, {5, 7, 4}, {17, 13, 6}};

}  // namespace

TEST_CASE("grid_energy: teams of any size add up the CPU's energy") {
    std::mt19937 random(101);
    for (const auto& shape : kShapes) {
        const Grids grids(random, 3, shape.height, shape.width, shape.labels);
        for (const bool uniform : {false, true}) {
            const auto batch = grids.batch(uniform);
            for (int i = 0; i < grids.count; ++i) {
                const double expected = grids.expected(i, uniform);
                with_host_teams([&](HostTeam& team) {
                    double energy = 0;
                    kernels::grid_energy(team, batch[i], grids.labelling.data() + i * batch.sites(),
                                         &energy);
                    CHECK(energy == doctest::Approx(expected).epsilon(1e-12));
                    CHECK(team.shared_bytes() == kernels::energy_shared(team.size()).total());
                });
            }
        }
    }
}

TEST_CASE("grid_energy: the order of threads is of no account, and threads do not race") {
    std::mt19937 random(102);
    const Grids grids(random, 1, 9, 11, 4);
    double forward = 0, other = 0;
    HostTeam team(32);
    kernels::grid_energy(team, grids.batch(false)[0], grids.labelling.data(), &forward);
    for (const auto order : {Order::reversed, Order::shuffled}) {
        HostTeam turned(32, order);
        kernels::grid_energy(turned, grids.batch(false)[0], grids.labelling.data(), &other);
        CHECK(other == forward);
    }
    double spmd = 0;
    SpmdTeam::run(5, kernels::energy_shared(5).total(), [&](SpmdTeam& threads) {
        kernels::grid_energy(threads, grids.batch(false)[0], grids.labelling.data(), &spmd);
    });
    CHECK(spmd == doctest::Approx(forward).epsilon(1e-12));
}

TEST_CASE("grid_energy: labels out of range count as the nearest") {
    std::mt19937 random(103);
    Grids grids(random, 1, 4, 4, 3);
    grids.labelling[3] = 2;
    grids.labelling[7] = 0;
    const double expected = grids.expected(0, false);
    grids.labelling[3] = INT64_MAX;
    grids.labelling[7] = -1;
    HostTeam team(7);
    double energy = 0;
    kernels::grid_energy(team, grids.batch(false)[0], grids.labelling.data(), &energy);
    CHECK(energy == doctest::Approx(expected).epsilon(1e-12));
}
