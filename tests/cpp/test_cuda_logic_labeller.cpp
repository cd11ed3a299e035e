// The logic of the CUDA Co-Mixup solver on the host, against the CPU's core: the descent change by
// change, the cuts and the whole iteration by their objectives.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "comixup/descent.hpp"
#include "doctest.h"
#include "label_cases.hpp"

using namespace label_cases;

namespace {

// The mean objective of both sides over random partitions; what differs by chance stays within
// three standard errors of the mean difference.
void check_quality(int count, int n, int h, int w, bool matrix, unsigned seed,
                   comix::comixup::Settings settings) {
    std::mt19937 random(seed);
    double sum = 0, squares = 0, mean = 0;
    for (int k = 0; k < count; ++k) {
        Case c(random, n, n, h, w, matrix);
        c.settings = settings;
        HostTeam team(32);
        const auto labels = c.solve(team);
        const double own = c.value(labels), cpu = c.value(c.on_cpu());
        mean += cpu / count;
        sum += own - cpu;
        squares += (own - cpu) * (own - cpu);
    }
    const double difference = sum / count;
    const double error = std::sqrt(squares / count - difference * difference) / std::sqrt(count);
    INFO("objective ", mean, ", difference ", difference, ", its error ", error);
    CHECK(difference <= 3 * error + 1e-9);
}

}  // namespace

TEST_CASE("labeller: quality is the CPU's") {
    comix::comixup::Settings settings;
    check_quality(60, 16, 4, 4, false, 701, settings);
    check_quality(40, 20, 4, 4, true, 702, settings);
    check_quality(120, 10, 3, 6, true, 703, settings);
    settings.select = comix::comixup::Select::last;
    check_quality(60, 16, 4, 4, true, 704, settings);
    settings.select = comix::comixup::Select::best;
    settings.threshold = comix::comixup::Threshold::hard_official;
    check_quality(40, 12, 4, 4, true, 705, settings);
    settings.threshold = comix::comixup::Threshold::soft;
    check_quality(40, 12, 4, 4, true, 706, settings);
}

TEST_CASE("labeller: quality is the CPU's on wide grids too") {
    comix::comixup::Settings settings;
    check_quality(40, 10, 6, 5, false, 711, settings);
    check_quality(40, 8, 8, 8, true, 712, settings);
}

TEST_CASE("labeller: the answer depends neither on the team nor on where its memory lies") {
    std::mt19937 random(721);
    const int shapes[][4] = {{1, 1, 1, 1}, {2, 3, 1, 5}, {6, 4, 4, 4},
                             {5, 5, 7, 3}, {4, 3, 6, 5}, {40, 3, 2, 2}};
    for (const auto& [n, m, h, w] : shapes) {
        for (const bool matrix : {false, true}) {
            const Case c(random, n, m, h, w, matrix);
            check_any_team(c, c, {0, 1024, 4096});
        }
    }
}

TEST_CASE(
    "labeller: where one way to the moves of a small grid ends, the other finds none that gains") {
    using kernels::Pair;
    std::mt19937 random(726);
    int moved = 0;
    for (int trial = 0; trial < 200; ++trial) {
        const int n = 1 + static_cast<int>(random() % 12),
                  soft = n > 2 ? static_cast<int>(random() % 4) : 0;
        const int h = 1 + static_cast<int>(random() % 4), w = 1 + static_cast<int>(random() % 4);
        Case c(random, n, n, h, w, false);
        if (trial % 4 == 0)  // ties
            for (auto& cost : c.cost) cost = -static_cast<double>(random() % 4) / 16;
        c.settings.beta = trial % 9 == 0 ? -0.3 : 0.05 * static_cast<double>(1 + random() % 10);
        const auto problem = c.problem().cut();
        std::int64_t bytes = 0;
        kernels::CutSpace::at(nullptr, problem.sizes, &bytes);
        for (const bool small_first : {true, false}) {
            std::vector<double> memory(at(bytes / 8), 1e300);
            const auto space = kernels::CutSpace::at(memory.data(), problem.sizes, nullptr);
            for (int i = 0; i < n; ++i) {
                space.label[i] = kernels::pair_of(i, i);
                space.rho[i] = 0.01 * (i % 3);
            }
            for (int k = 0; k < soft; ++k)
                space.label[n + k] = kernels::pair_of(k == 2 ? 1 : 0, k == 0 ? 1 : 2);
            HostTeam team(32, Order::shuffled, static_cast<unsigned>(trial + 1));
            kernels::detail::start_cheapest<kernels::Shape::small>(team, problem, space, n + soft);
            const int tried =
                kernels::detail::price<kernels::Shape::small>(team, problem, space, n + soft);
            CHECK((1 <= tried && tried <= n + soft));
            const auto now = [&] { return std::vector<Pair>(space.now, space.now + h * w); };
            const auto move = [&](bool small) {
                small ? kernels::detail::small_moves(team, problem, space, tried)
                      : kernels::detail::narrow_moves(team, problem, space, tried);
            };
            const auto begin = now();
            move(small_first);
            const auto end = now();
            moved += end != begin;
            move(!small_first);
            CHECK(now() == end);
        }
    }
    CHECK(moved > 100);
}

TEST_CASE("labeller: the threads of two warps do not race") {
    std::mt19937 random(727);
    Case c(random, 5, 4, 4, 4, true);
    c.settings.sweeps = 2;
    HostTeam team(64);
    const auto expected = c.solve(team);
    CHECK(c.solve_at_once(64, kShared) == expected);
}

TEST_CASE("labeller: threads do not race") {
    std::mt19937 random(722);
    for (const int width : {4, 6}) {
        Case c(random, 5, 4, 5, width, true);
        c.settings.sweeps = 3;
        HostTeam team(5);
        const auto expected = c.solve(team);
        CHECK(c.solve_at_once(5, 2048) == expected);
    }
}

TEST_CASE("labeller: without edges the cuts are exact, and so the CPU's") {
    std::mt19937 random(723);
    for (const bool matrix : {false, true}) {
        Case c(random, 8, 6, 4, 5, matrix);
        c.settings.beta = 0;
        HostTeam team(32);
        CHECK(c.solve(team) == c.on_cpu());
    }
}

TEST_CASE("labeller: any values end, within bounds") {
    std::mt19937 random(724);
    const double odd[] = {std::nan(""), INFINITY, -INFINITY, 1e308, -1e308, 5e-324};
    for (int trial = 0; trial < 60; ++trial) {
        Case c(random, 5, 4, 4, trial % 2 ? 4 : 6, trial % 3 > 0);
        for (auto& value : c.cost)
            if (random() % 4 == 0) value = odd[random() % 6];
        if (trial % 5 == 0) c.settings.beta = odd[random() % 6];
        if (trial % 7 == 0) c.settings.beta = -0.5;
        if (trial % 5 == 1) c.settings.gamma = odd[random() % 6];
        if (trial % 5 == 2) c.settings.tau = odd[random() % 6];
        if (trial % 5 == 3)
            for (auto& value : c.compatibility) value = odd[random() % 6];
        c.init[0] = INT64_MAX;
        c.init[1] = INT64_MIN;
        c.settings.threshold = static_cast<comix::comixup::Threshold>(trial % 3);
        auto team = any_team(random);
        check_in_range(c, c.solve(team));
    }
}

TEST_CASE("descent: the CPU's, change by change") {
    std::mt19937 random(725);
    for (int trial = 0; trial < 30; ++trial) {
        Case c(random, 6, 5, 4, 3 + trial % 3, trial % 2 == 0);
        c.settings.tau = 0.5;
        if (trial % 3 == 0) c.settings.threshold = comix::comixup::Threshold::soft;
        std::vector<std::int64_t> labels;
        for (const auto input : c.init) {
            const std::int64_t other = random() % 3 ? input : static_cast<int>(random()) & 3;
            labels.push_back(std::min(input, other));
            labels.push_back(std::max(input, other));
        }
        auto expected = labels;
        comix::comixup::Descent().run(c.view(), c.settings, expected.data());
        auto team = any_team(random);
        const auto problem = c.problem();
        std::int64_t bytes = 0;
        kernels::DescentSpace::at(nullptr, problem.sizes, team.size(), &bytes);
        std::vector<double> memory(at(bytes / 8));
        const auto space =
            kernels::DescentSpace::at(memory.data(), problem.sizes, team.size(), nullptr);
        const auto& state = space.state;
        for (int k = 0; k < c.m * c.h * c.w; ++k)
            state.labels[k] = kernels::pair_of(static_cast<int>(labels[at(2 * k)]),
                                               static_cast<int>(labels[at(2 * k + 1)]));
        if (problem.sizes.matrix)
            for (int k = 0; k < c.n * c.n; ++k)
                state.columns[k % c.n * c.n + k / c.n] = c.compatibility[at(k)];
        descend(team, problem, space);
        std::vector<std::int64_t> own;
        for (int k = 0; k < c.m * c.h * c.w; ++k) {
            own.push_back(kernels::first_of(state.labels[k]));
            own.push_back(kernels::second_of(state.labels[k]));
        }
        CHECK(own == expected);
    }
}
