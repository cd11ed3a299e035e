// The logic of CUDA swap moves on the host, against the CPU's.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "cut_grids.hpp"
#include "doctest.h"

using namespace comix::cuda;
using namespace cut_grids;

namespace {

const Shape kShapes[] = {{1, 1, 2}, {1, 9, 3},  {4, 4, 3},   {7, 3, 4}, {2, 40, 3},
                         {8, 8, 3}, {5, 11, 5}, {16, 16, 3}, {9, 6, 8}, {6, 6, 1}};

// Whole numbers: many ties, and nothing is rounded.
void make_whole(Grid& grid, double unary, double weights) {
    for (auto& value : grid.unary) value = std::floor(unary * value);
    for (auto* edges : {&grid.weight_v, &grid.weight_h})
        for (auto& value : *edges) value = std::floor(weights * value);
}

Labels any_labels(std::mt19937& random, const Grid& grid) {
    Labels labels(at(grid.h * grid.w));
    for (auto& label : labels) label = static_cast<std::int64_t>(random() % at(grid.l));
    return labels;
}

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("swap: the CPU's labels where no joint cost is positive, ties included") {
    std::mt19937 random(851);
    for (const auto& shape : kShapes) {
        for (int trial = 0; trial < 12; ++trial) {
            INFO(shape.h, " x ", shape.w, ", ", shape.l, " labels, trial ", trial);
            Grid grid(random, shape.h, shape.w, shape.l, Grid::potts);
            if (trial % 3) make_whole(grid, trial % 3 == 1 ? 4 : 9, 4);
            if (trial % 4 == 1)  // a metric of more than one value
                for (int k = 0; k < grid.l * grid.l; ++k)
                    grid.pairwise[at(k)] = std::min(2, std::abs(k / grid.l - k % grid.l));
            const Labels init = any_labels(random, grid);
            const auto* start = trial % 2 ? init.data() : nullptr;
            auto team = any_team(random);
            const auto answer = grid.solve(team, Method::swap, start);
            const auto expected = grid.solve_on_cpu(CpuMethod::swap, start);
            CHECK(answer.labels == expected.labels);
            CHECK(answer.optimal == expected.optimal);
        }
    }
}

TEST_CASE("swap: on narrow grids the CPU's energies whatever the signs") {
    std::mt19937 random(852);
    for (const auto& shape : {Shape{4, 4, 3}, Shape{3, 9, 4}, Shape{12, 4, 2}, Shape{1, 9, 5}}) {
        for (int trial = 0; trial < 20; ++trial) {
            INFO(shape.h, " x ", shape.w, ", ", shape.l, " labels, trial ", trial);
            const Grid grid(random, shape.h, shape.w, shape.l, Grid::any);
            const Labels init = any_labels(random, grid);
            const auto* start = trial % 2 ? init.data() : nullptr;
            auto team = any_team(random);
            const auto answer = grid.solve(team, Method::swap, start);
            const auto expected = grid.solve_on_cpu(CpuMethod::swap, start);
            CHECK(grid.energy(answer.labels) ==
                  doctest::Approx(grid.energy(expected.labels)).epsilon(1e-12));
            CHECK(answer.optimal == expected.optimal);
        }
    }
}

TEST_CASE("swap: on wide grids with any signs never above the start, and as good as the CPU's") {
    std::mt19937 random(853);
    for (const auto& shape : {Shape{8, 8, 5}, Shape{12, 12, 3}, Shape{7, 9, 2}}) {
        std::vector<double> own, cpu;
        for (int trial = 0; trial < 60; ++trial) {
            const Grid grid(random, shape.h, shape.w, shape.l, Grid::any);
            const Labels init = any_labels(random, grid);
            auto team = any_team(random);
            const auto improved = grid.solve(team, Method::swap, init.data());
            CHECK(grid.energy(improved.labels) <= grid.energy(init) + 1e-9);
            const auto again = grid.solve(team, Method::swap, improved.labels.data());
            CHECK(grid.energy(again.labels) <= grid.energy(improved.labels) + 1e-9);
            own.push_back(grid.energy(grid.solve(team, Method::swap).labels));
            cpu.push_back(grid.on_cpu(CpuMethod::swap));
        }
        INFO("energy ", mean(own), ", the CPU's ", mean(cpu));
        // The CPU solves undecided pieces up to eight sites wide exactly
        // (test_cuda_logic_cutter.cpp).
        CHECK(mean(own) <= mean(cpu) + 0.01 * std::abs(mean(cpu)));
    }
}

TEST_CASE("auto: never worse than expansion, and swap gains nothing more") {
    std::mt19937 random(854);
    for (const auto& shape : {Shape{4, 9, 20}, Shape{8, 8, 5}}) {
        for (int trial = 0; trial < 20; ++trial) {
            const Grid grid(random, shape.h, shape.w, shape.l, trial % 2 ? Grid::potts : Grid::any);
            auto team = any_team(random);
            const double expansion = grid.energy(grid.solve(team, Method::expansion).labels);
            const auto answer = grid.solve(team, Method::automatic);
            CHECK_FALSE(answer.optimal);
            CHECK(grid.energy(answer.labels) <= expansion + 1e-9);
            const auto more = grid.solve(team, Method::swap, answer.labels.data());
            CHECK(grid.energy(more.labels) >= grid.energy(answer.labels) - 1e-9);
        }
    }
}
