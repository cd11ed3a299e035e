// The logic of CUDA cuts over levels on the host, against the CPU's.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "cut_grids.hpp"
#include "doctest.h"

using namespace comix::cuda;
using namespace cut_grids;

namespace {

enum Distance { linear, quadratic, huber, hinge, skew, monge, none, kDistances };

// Label distances that OrderedCut::applies allows; the last but one is no function of i - j.
double distance_of(Distance kind, int labels, int i, int j) {
    const double d = i - j, far = std::max(1, labels - 1);
    switch (kind) {
        case linear:
            return std::abs(d) / far;
        case quadratic:
            return d * d / (far * far);
        case huber:
            return std::abs(d) <= 2 ? d * d / 4 : std::abs(d) - 1;
        case hinge:  // two kinks, neither at zero
            return std::max(0.0, std::abs(d - 1) - 1.5);
        case skew:
            return d > 0 ? d * d / far : -0.3 * d;
        case monge:
            return -0.4 * std::min(i, 2 * j) - 0.02 * i * j + 0.3 * std::sqrt(1.0 * i) + 0.2 * j;
        default:
            return 0.7;
    }
}

Grid ordered_grid(std::mt19937& random, const Shape& shape, Distance kind) {
    Grid grid(random, shape.h, shape.w, shape.l, Grid::potts);
    for (int i = 0; i < grid.l; ++i)
        for (int j = 0; j < grid.l; ++j)
            grid.pairwise[at(i * grid.l + j)] = distance_of(kind, grid.l, i, j);
    return grid;
}

// As the caller may have them; the last turns distance and weights round.
enum Change { as_drawn, whole, negative, zeros, strong, tiny, huge, inverse, kChanges };

void change_costs(std::mt19937& random, Grid& grid, Change change) {
    const auto each = [](std::vector<double>& values, const auto& update) {
        for (double& value : values) value = update(value);
    };
    const auto weights = [&](const auto& update) {
        each(grid.weight_v, update);
        each(grid.weight_h, update);
    };
    switch (change) {
        case whole:  // many ties
            each(grid.unary, [](double x) { return std::floor(4 * x); });
            each(grid.pairwise, [](double x) { return 60 * x; });
            return weights([](double x) { return std::floor(3 * x) / 8; });
        case negative:
            return each(grid.unary, [](double x) { return -3 - 2 * x; });
        case zeros:
            each(grid.unary, [&](double x) { return random() % 3 ? x : 0; });
            return weights([&](double x) { return random() % 3 ? 3 * x : 0; });
        case strong:
            return weights([](double x) { return 20 * x; });
        case tiny:
            each(grid.unary, [](double x) { return 1e-200 * x; });
            return weights([](double x) { return 1e-200 * x; });
        case huge:
            each(grid.unary, [](double x) { return 1e250 * x; });
            return weights([](double x) { return 1e250 * x; });
        case inverse:
            each(grid.pairwise, [](double x) { return -x; });
            return weights([](double x) { return -x; });
        default:
            return;
    }
}

// Pairs of levels with an arc.
std::int64_t coupled_pairs(const Grid& grid) {
    const auto v = [&](int i, int j) { return grid.pairwise[at(i * grid.l + j)]; };
    double largest = 0;
    for (const double value : grid.pairwise) largest = std::max(largest, std::abs(value));
    std::int64_t count = 0;
    for (int i = 1; i < grid.l; ++i)
        for (int j = 1; j < grid.l; ++j)
            count +=
                std::abs(v(i, j) - v(i - 1, j) - v(i, j - 1) + v(i - 1, j - 1)) > 1e-12 * largest;
    return count;
}

std::int64_t bytes_of(const Grid& grid) {
    return kernels::LevelSizes::of(grid.h, grid.w, grid.l).bytes(coupled_pairs(grid));
}

// Both kernels, with memory for the cut as given; no other one follows.
Grid::Answer solve_by_levels(const Grid& grid, HostTeam& team, std::int64_t bytes) {
    Grid::Answer answer{Labels(at(grid.h * grid.w), -1), false};
    auto memory = grid.memory(team.size(), Method::exact);
    std::uint8_t proof = 7;
    const auto first = [&](auto narrow) {
        kernels::grid_cut<narrow.value>(team, grid.device(), true, bytes, 0, nullptr, memory.data(),
                                        answer.labels.data(), &proof);
    };
    if (kernels::CutterSpace::narrow(grid.h, grid.w)) {
        first(std::true_type{});
    } else {
        first(std::false_type{});
    }
    const kernels::LevelPlan plan{bytes, 1, false};
    if (bytes > 0) grid.run_levels(team, plan, answer.labels.data(), &proof);
    REQUIRE(proof <= 1);
    answer.optimal = proof == 1;
    for (const auto label : answer.labels) REQUIRE((label >= 0 && label < grid.l));
    return answer;
}

void check_optimum(const Grid& grid, const Grid::Answer& answer) {
    CHECK(answer.optimal);
    const double best = grid.on_cpu(CpuMethod::exact);
    double size = 0;
    for (const double value : grid.pairwise) size = std::max(size, std::abs(value));
    double weights = 0, unary = 0;
    for (const auto* edges : {&grid.weight_v, &grid.weight_h})
        for (const double weight : *edges) weights += std::abs(weight);
    for (const double cost : grid.unary) unary = std::max(unary, std::abs(cost));
    const double slack = 1e-13 * (weights * size + unary * grid.h * grid.w);
    CHECK(std::abs(grid.energy(answer.labels) - best) <= slack);
}

}  // namespace

TEST_CASE("level cut: the CPU's proven optimum") {
    std::mt19937 random(901);
    const Shape shapes[] = {{5, 5, 20}, {6, 7, 9},  {5, 11, 8}, {8, 8, 5},   {16, 16, 3},
                            {4, 20, 7}, {2, 3, 24}, {1, 1, 9},  {1, 40, 40}, {9, 6, 32}};
    for (const auto& shape : shapes) {
        const int step = shape.h * shape.w * shape.l > 1000 ? 3 : 1;
        for (int kind = 0; kind < kDistances; ++kind) {
            for (int change = kind % step; change < kChanges; change += step) {
                INFO(shape.h, " x ", shape.w, ", ", shape.l, " labels, distance ", kind,
                     ", change ", change);
                Grid grid = ordered_grid(random, shape, static_cast<Distance>(kind));
                change_costs(random, grid, static_cast<Change>(change));
                auto team = any_team(random);
                check_optimum(grid, solve_by_levels(grid, team, bytes_of(grid)));
            }
        }
    }
}

TEST_CASE("level cut: exact and auto take it where the frontier programme would be slow") {
    std::mt19937 random(902);
    const auto check = [&](const Shape& shape, Distance kind) {
        for (const auto method : {Method::exact, Method::automatic}) {
            CHECK(kernels::LevelPlan::of(1, shape.h, shape.w, shape.l, method).bytes > 0);
            const Grid grid = ordered_grid(random, shape, kind);
            auto team = any_team(random);
            check_optimum(grid, grid.solve(team, method));
        }
    };
    for (const auto& shape : {Shape{7, 9, 12}, Shape{12, 10, 6}, Shape{5, 8, 30}})
        for (const auto kind : {linear, quadratic, monge}) check(shape, kind);
    check({5, 4, 25}, linear);  // where the frontier programme could follow
}

TEST_CASE("level cut: not where a mixed difference and its weight have the wrong signs") {
    std::mt19937 random(903);
    const auto truncated = [](int i, int j) { return std::min(2.0, std::abs(1.0 * (i - j))); };
    for (int trial = 0; trial < 25; ++trial) {
        Grid grid = ordered_grid(random, {5 + trial % 4, 6, 4 + trial % 4}, quadratic);
        switch (trial % 5) {
            case 0:
                for (int k = 0; k < grid.l * grid.l; ++k)
                    grid.pairwise[at(k)] = truncated(k / grid.l, k % grid.l);
                break;
            case 1:
                grid.weight_v[random() % grid.weight_v.size()] = -1e-9;
                break;
            case 2:
                grid.weight_h[random() % grid.weight_h.size()] = -2;
                break;
            case 3:
                change_costs(random, grid, inverse);
                for (double& weight : grid.weight_v) weight = -weight;
                break;
            default:  // one difference alone
                grid.pairwise[0] += 5;
        }
        auto team = any_team(random);
        const auto answer = solve_by_levels(grid, team, std::int64_t{1} << 22);
        CHECK_FALSE(answer.optimal);
        CHECK(answer.labels == grid.solve(team, Method::expansion).labels);
    }
}

TEST_CASE("level cut: edges of weight zero allow any distance") {
    std::mt19937 random(910);
    Grid grid(random, 7, 6, 8, Grid::any);
    for (auto* edges : {&grid.weight_v, &grid.weight_h})
        std::fill(edges->begin(), edges->end(), 0.0);
    HostTeam team(32);
    check_optimum(grid, solve_by_levels(grid, team, bytes_of(grid)));
}

TEST_CASE("level cut: sums beyond the range of a double are left to expansion") {
    std::mt19937 random(911);
    for (const bool distances : {false, true}) {
        Grid grid = ordered_grid(random, {6, 5, 40}, quadratic);
        if (distances) {  // that no edge pays
            for (double& value : grid.pairwise) value *= 1.5e308;
            for (auto* edges : {&grid.weight_v, &grid.weight_h})
                std::fill(edges->begin(), edges->end(), 0.0);
        } else {
            for (int k = 0; k < grid.l; ++k) grid.unary[at(k)] = k % 2 ? 0 : 1e307;
        }
        HostTeam team(32);
        const auto answer = solve_by_levels(grid, team, std::int64_t{1} << 23);
        CHECK_FALSE(answer.optimal);
        CHECK(answer.labels == grid.solve(team, Method::expansion).labels);
    }
}

TEST_CASE("level cut: what its memory does not hold is left to expansion") {
    std::mt19937 random(904);
    for (const auto kind : {linear, quadratic, none}) {
        const Grid grid = ordered_grid(random, {6, 7, 8}, kind);
        const std::int64_t needed = bytes_of(grid);
        HostTeam team(32);
        CHECK(solve_by_levels(grid, team, needed).optimal);
        for (const std::int64_t bytes : {needed - 16, std::int64_t{16}, std::int64_t{0}}) {
            const auto answer = solve_by_levels(grid, team, bytes);
            CHECK_FALSE(answer.optimal);
            CHECK(answer.labels == grid.solve(team, Method::expansion).labels);
        }
    }
}

TEST_CASE("LevelPlan: problems share what 64 MiB hold, one alone may take 256 MiB") {
    const auto of = [](std::int64_t problems, int h, int w, int labels, Method method) {
        return kernels::LevelPlan::of(problems, h, w, labels, method);
    };
    constexpr std::int64_t kShared = std::int64_t{1} << 26, kAlone = std::int64_t{1} << 28;
    for (const auto method : {Method::expansion, Method::swap})
        CHECK(of(9, 16, 16, 8, method).bytes == 0);
    for (const auto method : {Method::exact, Method::automatic}) {
        CHECK(of(0, 16, 16, 8, method).bytes == 0);
        CHECK(of(9, 16, 16, 2, method).bytes == 0);
        CHECK(of(9, 4, 4, 3, method).bytes == 0);  // the frontier programme is quick
        const auto one = of(1, 16, 16, 8, method), ten = of(10, 16, 16, 8, method);
        CHECK(one.slots == 1);
        CHECK(ten.slots == 10);
        CHECK(ten.bytes == 10 * one.bytes);
        CHECK(of(std::int64_t{1} << 40, 16, 16, 8, method).bytes == kShared);
        CHECK(of(1, 64, 64, 40, method).bytes > kShared);
        CHECK(of(1, 64, 64, 40, method).bytes < kAlone);
        CHECK(of(1, 64, 64, 1000, method).bytes == kAlone);
        CHECK(of(1, 64, 64, 4096, method).bytes == 0);
    }
    for (const int side : {1, 5, 16, 33, 64}) {
        for (const int labels : {3, 20, 300, 4096}) {
            for (const std::int64_t problems : {1, 7, 1 << 30}) {
                const auto plan = of(problems, side, side, labels, Method::exact);
                const auto sizes = kernels::LevelSizes::of(side, side, labels);
                CHECK(plan.bytes <= kAlone);
                CHECK(plan.slots <= problems);
                CHECK((plan.slots > 0) == (plan.bytes > 0));
                if (plan.bytes > 0) CHECK(plan.slots * sizes.bytes(0) <= plan.bytes);
                // Whichever pairs are coupled.
                const auto all = static_cast<double>(sizes.bytes(sizes.most_pairs())) *
                                 static_cast<double>(problems);  // may be beyond integers
                const bool fit = static_cast<double>(plan.bytes) >= all;
                CHECK(plan.alone == (plan.bytes > 0 && fit));
                if (plan.alone) CHECK(plan.slots == problems);
            }
        }
    }
}

TEST_CASE("level cut: slots share problems and memory, and touch what is left to them only") {
    std::mt19937 random(905);
    const int h = 5, w = 6, l = 6, problems = 9, sites = h * w;
    for (const std::int64_t room : {0, 1, 2, 4, 20}) {  // 0: as much as all pairs of all problems
        std::vector<Grid> grids;
        std::vector<double> unary, weight_v, weight_h;
        for (int i = 0; i < problems; ++i) {
            grids.push_back(ordered_grid(random, {h, w, l}, huber));
            const auto append = [](std::vector<double>& to, const std::vector<double>& from) {
                to.insert(to.end(), from.begin(), from.end());
            };
            append(unary, grids.back().unary);
            append(weight_v, grids.back().weight_v);
            append(weight_h, grids.back().weight_h);
        }
        const kernels::Batch batch{problems,
                                   h,
                                   w,
                                   l,
                                   unary.data(),
                                   grids[0].pairwise.data(),
                                   {weight_v.data(), 0},
                                   {weight_h.data(), 0}};
        const auto sizes = kernels::LevelSizes::of(h, w, l);
        const std::int64_t bytes =
            room > 0 ? bytes_of(grids[0]) * room + 32 : problems * sizes.bytes(sizes.most_pairs());
        const kernels::LevelPlan plan{bytes, room > 0 ? 7 : problems, room == 0};
        std::vector<double> memory(at(bytes / 8 + 2), 3.0);
        Labels labels(at(problems * sites), -1);
        std::vector<std::uint8_t> optimal(problems, kernels::kLeftToLevels);
        optimal[2] = kernels::kProven;
        optimal[5] = kernels::kUnproven;
        for (std::int64_t slot = plan.slots - 1; slot >= 0; --slot) {
            auto team = any_team(random);
            kernels::level_cut(team, batch, plan, reinterpret_cast<unsigned char*>(memory.data()),
                               slot, labels.data(), optimal.data());
        }
        CHECK(memory[memory.size() - 2] == 3.0);
        CHECK(memory.back() == 3.0);
        for (int i = 0; i < problems; ++i) {
            const Labels own(labels.begin() + i * sites, labels.begin() + (i + 1) * sites);
            if (i == 2 || i == 5) {
                CHECK(own == Labels(at(sites), -1));
                CHECK(optimal[at(i)] == (i == 2 ? kernels::kProven : kernels::kUnproven));
            } else {
                check_optimum(grids[at(i)], {own, optimal[at(i)] == kernels::kProven});
            }
        }
    }
}

TEST_CASE("level cut: one weight for all edges") {
    std::mt19937 random(906);
    for (const double weight : {0.0, 0.4, 3.0}) {
        Grid grid = ordered_grid(random, {6, 5, 10}, quadratic);
        for (auto* edges : {&grid.weight_v, &grid.weight_h})
            std::fill(edges->begin(), edges->end(), weight);
        kernels::Batch batch = grid.batch();
        batch.weight_v = batch.weight_h = {nullptr, weight};
        const kernels::LevelPlan plan{bytes_of(grid), 1, false};
        std::vector<double> memory(at(plan.bytes / 8));
        Labels labels(at(grid.h * grid.w), -1);
        std::uint8_t optimal = kernels::kLeftToLevels;
        HostTeam team(32);
        kernels::level_cut(team, batch, plan, reinterpret_cast<unsigned char*>(memory.data()), 0,
                           labels.data(), &optimal);
        check_optimum(grid, {labels, optimal == 1});
    }
}

TEST_CASE("level cut: the answer does not depend on the team, and threads do not race") {
    std::mt19937 random(907);
    for (const auto kind : {linear, quadratic, hinge}) {
        const Grid grid = ordered_grid(random, {5, 6, 6}, kind);
        const std::int64_t bytes = bytes_of(grid);
        HostTeam first(1);
        const auto expected = solve_by_levels(grid, first, bytes);
        CHECK(expected.optimal);
        with_host_teams([&](HostTeam& team) {
            const auto answer = solve_by_levels(grid, team, bytes);
            CHECK(answer.labels == expected.labels);
            CHECK(answer.optimal);
        });
        Labels labels(expected.labels.size(), -1);
        std::vector<double> memory(at(bytes / 8));
        std::uint8_t optimal = kernels::kLeftToLevels;
        SpmdTeam::run(5, kernels::detail::LevelNotes::bytes(5).total(), [&](SpmdTeam& team) {
            kernels::level_cut(team, grid.batch(), {bytes, 1},
                               reinterpret_cast<unsigned char*>(memory.data()), 0, labels.data(),
                               &optimal);
        });
        CHECK(labels == expected.labels);
        CHECK(optimal == kernels::kProven);
    }
}

TEST_CASE("level cut: any values end, within bounds") {
    std::mt19937 random(908);
    const double odd[] = {std::nan(""), INFINITY, -INFINITY, 1e308, -1e308, 5e-324, 1e301};
    for (int trial = 0; trial < 160; ++trial) {
        Grid grid = ordered_grid(random, {5 + trial % 2, 6, 9}, trial % 3 ? linear : quadratic);
        if (trial % 7 == 0) std::fill(grid.weight_v.begin(), grid.weight_v.end(), 0.0);
        if (trial % 7 == 0) std::fill(grid.weight_h.begin(), grid.weight_h.end(), 0.0);
        auto* part = trial % 4 == 0   ? &grid.unary
                     : trial % 4 == 1 ? &grid.pairwise
                     : trial % 4 == 2 ? &grid.weight_v
                                      : &grid.weight_h;
        const double value = odd[random() % 7];
        (*part)[random() % part->size()] = value;
        auto team = any_team(random);
        const auto answer = solve_by_levels(grid, team, bytes_of(grid));
        if (!std::isfinite(value)) CHECK_FALSE(answer.optimal);
    }
}

TEST_CASE("level cut: flow finds the longest ways") {
    // A supply and a drain at opposite corners, nothing in between: flow takes the longest ways.
    std::mt19937 random(909);
    for (const auto kind : {linear, quadratic, huber}) {
        Grid grid = ordered_grid(random, {12, 13, 10}, kind);
        std::fill(grid.unary.begin(), grid.unary.end(), 0.0);
        for (int k = 0; k < grid.l; ++k) {
            grid.unary[at(k)] = 3.0 * (grid.l - 1 - k);
            grid.unary[grid.unary.size() - at(grid.l) + at(k)] = 3 * std::sqrt(1.0 * k);
        }
        HostTeam team(64);
        check_optimum(grid, solve_by_levels(grid, team, bytes_of(grid)));
    }
}
