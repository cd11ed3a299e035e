// The logic of the CUDA grid cut solver on the host: moves against enumeration and the CPU's
// minimum cut, whole cuts against the CPU's.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "cut_grids.hpp"
#include "doctest.h"
#include "gridcut/grid_move.hpp"

using namespace comix::cuda;
using namespace cut_grids;

namespace {

const Shape kShapes[] = {{1, 1, 2}, {1, 9, 3},  {4, 4, 3},  {7, 3, 4},
                         {8, 8, 3}, {5, 11, 5}, {16, 16, 3}};

}  // namespace

TEST_CASE("solve_strip: the minimum, whatever the signs") {
    std::mt19937 random(801);
    for (int trial = 0; trial < 200; ++trial) {
        const int rows = 1 + static_cast<int>(random() % 4), columns = 1 + trial % 4;
        std::vector<kernels::StripRow<std::int32_t>> costs(at(rows));
        const auto number = [&] { return static_cast<std::int32_t>(random() % 21) - 10; };
        for (int r = 0; r < rows; ++r) {
            for (int c = 0; c < 4; ++c) {
                costs[at(r)].alone[c] = c < columns ? number() : 0;
                costs[at(r)].above[c] = r > 0 && c < columns ? number() : 0;
                costs[at(r)].left[c] = c > 0 && c < columns ? number() : 0;
            }
        }
        const auto energy = [&](unsigned choice) {
            const auto taken = [&](int r, int c) { return choice >> (4 * r + c) & 1; };
            std::int32_t sum = 0;
            for (int r = 0; r < rows; ++r) {
                for (int c = 0; c < 4; ++c) {
                    if (!taken(r, c)) continue;
                    sum += costs[at(r)].alone[c];
                    if (r > 0 && taken(r - 1, c)) sum += costs[at(r)].above[c];
                    if (c > 0 && taken(r, c - 1)) sum += costs[at(r)].left[c];
                }
            }
            return sum;
        };
        std::int32_t expected = 0;
        for (unsigned choice = 0; choice < 1U << (4 * rows); ++choice)
            expected = std::min(expected, energy(choice));
        std::vector<std::uint16_t> decisions(at(3 * 4 * rows));
        const auto row = [&](int r, kernels::StripRow<std::int32_t>& own) { own = costs[at(r)]; };
        const auto minimum = kernels::solve_strip<std::int32_t>(rows, row, decisions.data(), 3);
        CHECK(minimum.energy == expected);
        unsigned choice = 0;
        kernels::walk_strip_back(rows, minimum.state, decisions.data(), 3,
                                 [&](int r, int c) { choice |= 1U << (4 * r + c); });
        CHECK(energy(choice) == expected);
    }
}

TEST_CASE("solve_flow: the CPU's minimum, proven, for teams of any size") {
    std::mt19937 random(802);
    for (int trial = 0; trial < 120; ++trial) {
        const int h = 5 + static_cast<int>(random() % 9), w = 5 + static_cast<int>(random() % 9);
        const int most = trial % 3 == 0 ? 3 : 40;  // few values: many ties
        comix::gridcut::GridMove<double> cpu;
        cpu.resize(h, w);
        for (int p = 0; p < h * w; ++p) {
            cpu.alone()[p] = static_cast<double>(random() % 61) - 20;
            cpu.joint_right()[p] = (p + 1) % w ? -static_cast<double>(random() % at(most)) : 0;
            cpu.joint_down()[p] = p + w < h * w ? -static_cast<double>(random() % at(most)) : 0;
        }
        const double expected = cpu.solve();
        auto team = any_team(random);
        std::vector<std::int64_t> memory(kernels::FlowMove<std::int64_t>::bytes(h * w).total() / 8 +
                                         1);
        const auto flow = kernels::FlowMove<std::int64_t>::at(memory.data(), h, w);
        const auto joint = [&](int d, int p) {
            const double cost = d == kernels::kRight  ? cpu.joint_right()[p]
                                : d == kernels::kLeft ? (p % w ? cpu.joint_right()[p - 1] : 0)
                                : d == kernels::kDown ? cpu.joint_down()[p]
                                                      : (p >= w ? cpu.joint_down()[p - w] : 0);
            return static_cast<std::int64_t>(cost);
        };
        for (int p = 0; p < h * w; ++p) {
            std::int64_t joints[4], own = 2 * static_cast<std::int64_t>(cpu.alone()[p]);
            for (int d = 0; d < 4; ++d) own += joints[d] = joint(d, p);
            flow.set(p, own, joints);
        }
        CHECK(solve_flow(team, flow));
        double sum = 0;
        for (int p = 0; p < h * w; ++p) {
            if (!flow.takes(p)) continue;
            sum += cpu.alone()[p];
            if ((p + 1) % w && flow.takes(p + 1)) sum += cpu.joint_right()[p];
            if (p + w < h * w && flow.takes(p + w)) sum += cpu.joint_down()[p];
        }
        CHECK(sum == expected);
    }
}

TEST_CASE("grid_cut: convex costs are solved to the CPU's proven optimum") {
    std::mt19937 random(803);
    for (const auto& shape : kShapes) {
        for (int trial = 0; trial < 12; ++trial) {
            const Grid grid(random, shape.h, shape.w, shape.l, Grid::convex);
            auto team = any_team(random);
            const auto answer = grid.solve(team, Method::exact);
            CHECK(answer.optimal);
            CHECK(grid.energy(answer.labels) ==
                  doctest::Approx(grid.on_cpu(CpuMethod::exact)).epsilon(1e-12));
        }
    }
}

TEST_CASE("grid_cut: two labels are one binary problem") {
    std::mt19937 random(804);
    for (const auto& shape : kShapes) {
        for (int trial = 0; trial < 12; ++trial) {
            const auto kind = trial % 2 ? Grid::potts : Grid::any;
            const bool narrow = std::min(shape.h, shape.w) <= 4;
            const Grid grid(random, shape.h, shape.w, 2, kind);
            auto team = any_team(random);
            const auto answer = grid.solve(team, trial % 3 ? Method::expansion : Method::exact);
            if (kind == Grid::potts || narrow) {
                CHECK(answer.optimal);
                CHECK(grid.energy(answer.labels) ==
                      doctest::Approx(grid.on_cpu(CpuMethod::exact)).epsilon(1e-12));
            }
        }
    }
}

TEST_CASE("grid_cut: narrow grids are solved to the CPU's proven optimum, whatever the costs") {
    std::mt19937 random(808);
    for (const auto& shape : {Shape{1, 1, 5}, Shape{1, 9, 4}, Shape{4, 4, 3}, Shape{9, 2, 6},
                              Shape{3, 7, 4}, Shape{5, 6, 3}, Shape{7, 8, 2}}) {
        for (int trial = 0; trial < 8; ++trial) {
            INFO(shape.h, " x ", shape.w, ", ", shape.l, " labels, trial ", trial);
            const Grid grid(random, shape.h, shape.w, shape.l, trial % 3 ? Grid::any : Grid::potts);
            const double best = grid.on_cpu(CpuMethod::exact);
            for (const auto method : {Method::exact, Method::automatic}) {
                auto team = any_team(random);
                const auto answer = grid.solve(team, method);
                CHECK(answer.optimal);
                CHECK(grid.energy(answer.labels) == doctest::Approx(best).epsilon(1e-12));
            }
        }
    }
}

TEST_CASE("FrontierPlan: as far as memory and steps go, without overflow") {
    const auto bytes = [](int h, int w, int labels, Method method) {
        return kernels::FrontierPlan::of(h, w, labels, method, 256).bytes;
    };
    CHECK(bytes(4, 4, 20, Method::exact) > 0);
    CHECK(bytes(4, 4, 20, Method::automatic) == 0);
    CHECK(bytes(4, 4, 8, Method::automatic) > 0);
    CHECK(bytes(4, 4, 8, Method::expansion) == 0);
    CHECK(bytes(4, 4, 8, Method::swap) == 0);
    CHECK(bytes(1, 4096, 100, Method::exact) > 0);
    CHECK(bytes(1, 1, 4096, Method::exact) > 0);
    CHECK(bytes(16, 16, 3, Method::exact) == 0);
    CHECK(bytes(64, 64, 4096, Method::exact) == 0);
    for (const int side : {1, 2, 3, 4, 5, 8, 12})
        for (const int labels : {1, 2, 3, 20, 300, 4096})
            CHECK(bytes(side, side, labels, Method::exact) <= std::int64_t{1} << 29);
}

TEST_CASE("grid_cut: expansion is as good as the CPU's") {
    std::mt19937 random(805);
    for (const auto kind : {Grid::potts, Grid::any}) {
        for (const auto& shape : {Shape{4, 4, 6}, Shape{4, 9, 5}, Shape{8, 8, 5}}) {
            double own = 0, cpu = 0, squares = 0;
            const int count = 60;
            for (int trial = 0; trial < count; ++trial) {
                const Grid grid(random, shape.h, shape.w, shape.l, kind);
                auto team = any_team(random);
                const auto answer = grid.solve(team, Method::expansion);
                const double value = grid.energy(answer.labels);
                const double other = grid.on_cpu(CpuMethod::expansion);
                own += value / count;
                cpu += other / count;
                squares += (value - other) * (value - other) / count;
                CHECK_FALSE(answer.optimal);
                // From the answer nothing is gained, and nothing lost.
                const auto again = grid.solve(team, Method::expansion, answer.labels.data());
                CHECK(grid.energy(again.labels) <= value + 1e-9);
            }
            INFO("energy ", own, ", the CPU's ", cpu);
            // Wide grids with random signs: what clear choices leave undecided hangs together in
            // pieces that the CPU solves exactly up to eight sites wide; here positive joint costs
            // are shared between their sites (binary_move.hpp), which misses 0.2 % on average.
            const bool shared = kind == Grid::any && shape.h > 4 && shape.w > 4;
            CHECK(own <= cpu + 3 * std::sqrt(squares / count) + 1e-9 + (shared ? 0.005 * cpu : 0));
        }
    }
}

TEST_CASE("grid_cut: the answer does not depend on the team, and threads do not race") {
    std::mt19937 random(806);
    for (const auto& shape : {Shape{4, 5, 3}, Shape{6, 7, 3}}) {
        for (const auto method :
             {Method::expansion, Method::swap, Method::exact, Method::automatic}) {
            const Grid grid(random, shape.h, shape.w, shape.l,
                            method == Method::exact ? Grid::convex : Grid::any);
            HostTeam first(1);
            const auto expected = grid.solve(first, method);
            with_host_teams([&](HostTeam& team) {
                const auto answer = grid.solve(team, method);
                CHECK(answer.labels == expected.labels);
                CHECK(answer.optimal == expected.optimal);
            });
            Labels labels(expected.labels.size(), -1);
            auto memory = grid.memory(5, method);
            std::uint8_t optimal = 7;
            SpmdTeam::run(5, grid.shared_bytes(5, method), [&](SpmdTeam& team) {
                grid.run(team, method, nullptr, memory.data(), labels.data(), &optimal);
            });
            CHECK(labels == expected.labels);
        }
    }
}

TEST_CASE("grid_cut: any values end, within bounds") {
    std::mt19937 random(807);
    const double odd[] = {std::nan(""), INFINITY, -INFINITY, 1e308, -1e308, 5e-324};
    for (int trial = 0; trial < 120; ++trial) {
        Grid grid(random, 4 + trial % 3, 6, 2 + trial % 2, trial % 2 ? Grid::convex : Grid::any);
        auto* part = trial % 4 == 0   ? &grid.unary
                     : trial % 4 == 1 ? &grid.pairwise
                     : trial % 4 == 2 ? &grid.weight_v
                                      : &grid.weight_h;
        const double value = odd[random() % 6];
        (*part)[random() % part->size()] = value;
        auto team = any_team(random);
        const Labels init(at(grid.h * grid.w), trial % 3 ? INT64_MAX : INT64_MIN);
        const Method methods[] = {Method::expansion, Method::swap, Method::exact,
                                  Method::automatic};
        const auto answer =
            grid.solve(team, methods[random() % 4], trial % 5 ? init.data() : nullptr);
        if (!std::isfinite(value)) CHECK_FALSE(answer.optimal);
    }
}

TEST_CASE("frontier: slots share problems, and touch what is not proven only") {
    std::mt19937 random(77);
    const int h = 3, w = 4, l = 3, problems = 9, sites = h * w;
    std::vector<Grid> grids;
    std::vector<double> unary, weight_v, weight_h;
    for (int i = 0; i < problems; ++i) {
        grids.emplace_back(random, h, w, l, Grid::potts);
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
    for (const std::int64_t slots : {1, 2, 4, 9}) {
        for (const int size : {1, 2, 7, 32}) {
            const auto plan = kernels::FrontierPlan::of(h, w, l, Method::exact, size);
            const auto bytes =
                static_cast<std::int64_t>(kernels::CutterSpace::bytes(h, w, size, 0).total());
            std::vector<double> memory(at(plan.bytes / 8 + 1));
            Labels labels(at(problems * sites), -1);
            std::vector<std::uint8_t> optimal(problems, 0);
            optimal[2] = optimal[5] = 1;
            for (std::int64_t slot = slots - 1; slot >= 0; --slot) {
                HostTeam team(size, Order::shuffled, static_cast<unsigned>(random()));
                const auto space = kernels::FrontierSpace::at(
                    memory.data(), bytes, h, w, static_cast<std::int64_t>(plan.states), size);
                kernels::grid_frontiers(team, batch, slot, slots, space, labels.data(),
                                        optimal.data());
                CHECK(team.shared_bytes() == kernels::frontier_shared().total());
            }
            CHECK(optimal == std::vector<std::uint8_t>(problems, 1));
            for (int i = 0; i < problems; ++i) {
                const Labels own(labels.begin() + i * sites, labels.begin() + (i + 1) * sites);
                if (i == 2 || i == 5) {
                    CHECK(own == Labels(at(sites), -1));
                    continue;
                }
                HostTeam team(32);
                CHECK(own == grids[at(i)].solve(team, Method::exact).labels);
            }
            // Nothing is left: one look at all, whatever their number.
            HostTeam team(size);
            kernels::grid_frontiers(team, batch, 0, 1, {}, labels.data(), optimal.data());
            CHECK(team.phases() == 2);
        }
    }
}
