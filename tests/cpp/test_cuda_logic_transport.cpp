// The logic of the CUDA transport kernels on the host, against the CPU's core.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "cuda/transport/cost.hpp"
#include "cuda/transport/layout.hpp"
#include "cuda/transport/transport.hpp"
#include "doctest.h"
#include "host_teams.hpp"
#include "transport/transport.hpp"

using namespace comix::cuda;
namespace cpu = comix::transport;
namespace kernels = comix::cuda::transport;

namespace {

using Plan = std::vector<std::int64_t>;

enum class Draw { uniform, dyadic, sparse, zero };  // dyadic, sparse: many ties

template <class T>
struct Move {
    int height, width;
    double eps;
    std::vector<T> saliency, mask;

    Move(std::mt19937& random, int h, int w, double price, Draw draw)
        : height(h), width(w), eps(price) {
        std::uniform_real_distribution<double> uniform(0, 1);
        for (int p = 0; p < h * w; ++p) {
            double value = 0;
            if (draw == Draw::uniform) value = uniform(random);
            if (draw == Draw::dyadic) value = static_cast<double>(random() % 5) / 4;
            if (draw == Draw::sparse) value = random() % 4 == 0;
            saliency.push_back(static_cast<T>(value));
            mask.push_back(random() % 3 ? static_cast<T>(uniform(random)) : T(0));
        }
    }

    int blocks() const { return height * width; }
    kernels::Grid grid() const { return kernels::checked_grid(height, width, eps); }
    kernels::Maps<T> maps() const { return {saliency.data(), mask.data()}; }

    Plan on_cpu(cpu::Method method) const {
        Plan plan(saliency.size(), -1);
        with_problem([&](const cpu::Problem& problem) {
            cpu::Planner().solve(problem, method, plan.data());
        });
        return plan;
    }
    double cost(const Plan& plan) const {
        double cost = 0;
        with_problem([&](const cpu::Problem& p) { cost = cpu::plan_cost(p, plan.data()); });
        return cost;
    }
    // Costs are rounded to 2^-40 of the largest.
    double tolerance() const {
        const T largest = *std::max_element(saliency.begin(), saliency.end());
        return blocks() * (2 * eps + static_cast<double>(largest)) * 0x1p-38 + 1e-300;
    }

  private:
    template <class Use>
    void with_problem(const Use& use) const {
        const std::vector<double> s(saliency.begin(), saliency.end()), m(mask.begin(), mask.end());
        use(cpu::Problem{height, width, s.data(), m.data(), eps});
    }
};

// Arrays in global memory: of exactly the size that the layout asks for, full of noise.
struct Scratch {
    explicit Scratch(const SharedBytes& bytes) : memory(bytes.total() / 8 + 1, 0xA5A5A5A5A5A5A5A5) {
        memory.resize((bytes.total() + 7) / 8);
    }
    kernels::GlobalMemory view() { return kernels::GlobalMemory(memory.data()); }
    std::vector<std::uint64_t> memory;
};

template <class T, class Team>
Plan exact(Team& team, const Move<T>& move) {
    Plan plan(move.saliency.size(), -1);
    using Memory = kernels::SharedMemory<Team>;
    kernels::Exact<Team, Memory>(team, Memory(team), move.grid()).solve(move.maps(), plan.data());
    return plan;
}
template <class T, class Team>
Plan exact_in_global(Team& team, const Move<T>& move) {
    Plan plan(move.saliency.size(), -1);
    Scratch scratch(kernels::exact_arrays({}, move.blocks()));
    kernels::Exact<Team, kernels::GlobalMemory>(team, scratch.view(), move.grid())
        .solve(move.maps(), plan.data());
    return plan;
}

template <class T, class Team>
Plan greedy(Team& team, const Move<T>& move) {
    Plan plan(move.saliency.size(), -1);
    kernels::SharedMemory<Team> memory(team);
    using Memory = kernels::SharedMemory<Team>&;
    kernels::Greedy<Team, Memory, Memory>(team, memory, memory, move.grid())
        .solve(move.maps(), plan.data());
    return plan;
}
// arrays_shared: only what the blocks lost lies in global memory.
template <class T, class Team>
Plan greedy_in_global(Team& team, const Move<T>& move, bool arrays_shared) {
    Plan plan(move.saliency.size(), -1);
    const kernels::Grid grid = move.grid();
    using Global = kernels::GlobalMemory&;
    const SharedBytes arrays =
        arrays_shared ? SharedBytes() : kernels::greedy_arrays({}, grid.blocks());
    Scratch scratch(kernels::greedy_penalties(arrays, grid.blocks(), grid.side()));
    kernels::GlobalMemory far = scratch.view();
    kernels::SharedMemory<Team> near(team);
    if (arrays_shared)
        kernels::Greedy<Team, kernels::SharedMemory<Team>&, Global>(team, near, far, grid)
            .solve(move.maps(), plan.data());
    else
        kernels::Greedy<Team, Global, Global>(team, far, far, grid).solve(move.maps(), plan.data());
    return plan;
}

bool is_permutation(Plan plan) {
    std::sort(plan.begin(), plan.end());
    for (std::size_t k = 0; k < plan.size(); ++k)
        if (plan[k] != static_cast<std::int64_t>(k)) return false;
    return true;
}

// Everything one problem has to fulfil, on any team.
template <class T>
void check_exact(HostTeam&& team, const Move<T>& move) {
    CAPTURE(move.height);
    CAPTURE(move.width);
    CAPTURE(move.eps);
    const Plan plan = exact(team, move);
    REQUIRE(is_permutation(plan));
    const double best = move.cost(move.on_cpu(cpu::Method::exact));
    CHECK(std::abs(move.cost(plan) - best) <= move.tolerance());
}

const std::pair<int, int> kTiny[] = {{1, 1}, {1, 2}, {2, 1}, {1, 5}, {5, 1}, {2, 2},
                                     {2, 3}, {3, 2}, {1, 6}, {1, 7}, {7, 1}};
const double kEps[] = {0.0, 1e-300, 1e-9, 0.05, 0.8, 4.0, 1e9, 1e300};

}  // namespace

TEST_CASE("transport: methods of both sides have the same names") {
    CHECK(static_cast<int>(kernels::Method::exact) == static_cast<int>(cpu::Method::exact));
    CHECK(static_cast<int>(kernels::Method::greedy) == static_cast<int>(cpu::Method::greedy));
}

TEST_CASE("exact: every team finds the same plan, in shared and in global memory") {
    std::mt19937 random(131);
    for (const auto& [height, width] : {std::pair(1, 1), std::pair(1, 9), std::pair(6, 5)}) {
        for (const auto draw : {Draw::uniform, Draw::sparse}) {
            const Move<double> move(random, height, width, 0.3, draw);
            HostTeam alone(1);
            const Plan expected = exact(alone, move);
            with_host_teams([&](HostTeam& team) {
                CHECK(exact(team, move) == expected);
                const auto bytes =
                    kernels::exact_arrays(kernels::exact_shared(team.size()), move.blocks());
                CHECK(team.shared_bytes() == bytes.total());
                HostTeam other(team.size());
                CHECK(exact_in_global(other, move) == expected);
                CHECK(other.shared_bytes() == kernels::exact_shared(team.size()).total());
            });
        }
    }
}

TEST_CASE("exact: no permutation is cheaper") {
    std::mt19937 random(132);
    for (const auto& [height, width] : kTiny) {
        for (const double eps : kEps) {
            for (const auto draw : {Draw::uniform, Draw::dyadic, Draw::sparse, Draw::zero}) {
                const Move<double> move(random, height, width, eps, draw);
                HostTeam team = any_team(random);
                const Plan plan = exact(team, move);
                REQUIRE(is_permutation(plan));
                Plan other(plan.size());
                std::iota(other.begin(), other.end(), 0);
                double best = std::numeric_limits<double>::infinity();
                do best = std::min(best, move.cost(other));
                while (std::next_permutation(other.begin(), other.end()));
                CHECK(move.cost(plan) <= best + move.tolerance());
            }
        }
    }
}

TEST_CASE("exact: plans cost what the CPU's cost") {
    std::mt19937 random(133);
    for (int round = 0; round < 600; ++round) {
        const int height = 1 + static_cast<int>(random() % 8);
        const int width = 1 + static_cast<int>(random() % 8);
        const double eps = kEps[random() % std::size(kEps)];
        const auto draw = static_cast<Draw>(round % 4);
        check_exact(any_team(random), Move<double>(random, height, width, eps, draw));
        check_exact(any_team(random), Move<float>(random, height, width, eps, draw));
    }
    for (const double eps : {0.0, 0.01, 0.8, 100.0}) {
        check_exact(HostTeam(32), Move<float>(random, 16, 16, eps, Draw::uniform));
        check_exact(HostTeam(128), Move<float>(random, 32, 32, eps, Draw::sparse));
    }
    check_exact(HostTeam(128), Move<float>(random, 19, 32, 1.0, Draw::dyadic));
}

TEST_CASE("exact: dyadic costs add up without rounding") {
    std::mt19937 random(134);
    // Sides of 2, 3, 5 blocks: distances are multiples of 1, 1/4, 1/16.
    for (const auto& [height, width] : {std::pair(2, 3), std::pair(3, 3), std::pair(5, 4),
                                        std::pair(5, 5), std::pair(1, 5), std::pair(3, 1)}) {
        for (const double eps : {0.0, 0.25, 1.0, 2.0}) {
            for (int round = 0; round < 10; ++round) {
                const Move<float> move(random, height, width, eps, Draw::dyadic);
                HostTeam team = any_team(random);
                CHECK(move.cost(exact(team, move)) == move.cost(move.on_cpu(cpu::Method::exact)));
            }
        }
    }
}

TEST_CASE("exact: blocks stay at home when moving gains nothing") {
    std::mt19937 random(135);
    for (const double mask : {1.0, 0.0, std::numeric_limits<double>::quiet_NaN()}) {
        Move<double> move(random, 5, 7, 0.8, Draw::uniform);
        move.mask.assign(move.mask.size(), mask);
        HostTeam team = any_team(random);
        Plan home(move.mask.size());
        std::iota(home.begin(), home.end(), 0);
        CHECK(exact(team, move) == home);
    }
}

TEST_CASE("exact: saliency near the end of float64, also where the CPU refuses the sum") {
    std::mt19937 random(136);
    for (const double largest : {1e300, 1.7e308}) {
        Move<double> move(random, 3, 3, 8e307, Draw::uniform);
        for (auto& saliency : move.saliency) saliency *= largest;
        HostTeam team = any_team(random);
        const Plan plan = exact(team, move);
        REQUIRE(is_permutation(plan));
        // The same problem in smaller numbers.
        Move<double> small = move;
        small.eps = std::ldexp(move.eps, -1000);
        for (auto& saliency : small.saliency) saliency = std::ldexp(saliency, -1000);
        CHECK(std::abs(small.cost(plan) - small.cost(small.on_cpu(cpu::Method::exact))) <=
              small.tolerance());
    }
}

TEST_CASE("greedy: the CPU's plan, on any team and in any memory") {
    std::mt19937 random(137);
    for (int round = 0; round < 800; ++round) {
        const int height = 1 + static_cast<int>(random() % 7);
        const int width = 1 + static_cast<int>(random() % 7);
        const double eps = kEps[random() % std::size(kEps)];
        Move<float> move(random, height, width, eps, static_cast<Draw>(round % 4));
        for (auto& saliency : move.saliency) saliency *= static_cast<float>(1 + round % 3 * 2);
        CAPTURE(height);
        CAPTURE(width);
        CAPTURE(eps);
        const Plan expected = move.on_cpu(cpu::Method::greedy);
        HostTeam team = any_team(random), second = any_team(random), third = any_team(random);
        CHECK(greedy(team, move) == expected);
        CHECK(greedy_in_global(second, move, true) == expected);
        CHECK(greedy_in_global(third, move, false) == expected);
        const auto arrays =
            kernels::greedy_arrays(kernels::greedy_shared(team.size()), move.blocks());
        CHECK(team.shared_bytes() ==
              kernels::greedy_penalties(arrays, move.blocks(), std::max(height, width)).total());
    }
    // Up to float32 that overflows, where the contest deals in infinities.
    for (const double eps : {1e-9, 0.8, 10.0, 1e39}) {
        for (const int side : {16, 32}) {
            Move<double> move(random, side, side, eps, Draw::uniform);
            if (eps == 10.0) move.saliency[7] = 1e39;
            for (auto& saliency : move.saliency) saliency /= eps == 0.8 ? side : 1;
            HostTeam team(128);
            CHECK(greedy(team, move) == move.on_cpu(cpu::Method::greedy));
        }
    }
    Move<double> move(random, 5, 8, 0.4, Draw::sparse);
    const Plan expected = move.on_cpu(cpu::Method::greedy);
    with_host_teams([&](HostTeam& team) { CHECK(greedy(team, move) == expected); });
}

TEST_CASE("transport: any values give permutations") {
    std::mt19937 random(138);
    const double odd[] = {std::nan(""), HUGE_VAL, -HUGE_VAL, -1.0, 1.7e308, 5e-324, -0.0, 0.25};
    for (int round = 0; round < 200; ++round) {
        Move<double> move(random, 1 + round % 6, 5, kEps[random() % std::size(kEps)],
                          Draw::uniform);
        for (auto* map : {&move.saliency, &move.mask})
            for (auto& value : *map)
                if (random() % 2) value = odd[random() % std::size(odd)];
        HostTeam team = any_team(random), second = any_team(random);
        CHECK(is_permutation(exact(team, move)));
        CHECK(is_permutation(greedy(second, move)));
    }
}

TEST_CASE("transport: threads do not race") {
    std::mt19937 random(139);
    const Move<float> move(random, 5, 4, 0.2, Draw::uniform);
    const auto blocks = move.blocks();
    Plan plan;
    const auto on_threads = [&](const SharedBytes& bytes, const auto& solve) {
        Plan found(move.saliency.size(), -1);
        SpmdTeam::run(5, bytes.total(), [&](SpmdTeam& team) { solve(team, found.data()); });
        return found;
    };
    HostTeam alone(1);
    using Shared = kernels::SharedMemory<SpmdTeam>;
    CHECK(on_threads(kernels::exact_arrays(kernels::exact_shared(5), blocks),
                     [&](SpmdTeam& team, std::int64_t* found) {
                         kernels::Exact<SpmdTeam, Shared>(team, Shared(team), move.grid())
                             .solve(move.maps(), found);
                     }) == exact(alone, move));
    const auto arrays = kernels::greedy_arrays(kernels::greedy_shared(5), blocks);
    const Plan expected = move.on_cpu(cpu::Method::greedy);
    CHECK(on_threads(kernels::greedy_penalties(arrays, blocks, 5), [&](SpmdTeam& team,
                                                                       std::int64_t* found) {
              Shared memory(team);
              kernels::Greedy<SpmdTeam, Shared&, Shared&>(team, memory, memory, move.grid())
                  .solve(move.maps(), found);
          }) == expected);
    double cost = 0;
    SpmdTeam::run(5, kernels::cost_shared(5).total(), [&](SpmdTeam& team) {
        kernels::plan_cost(team, move.grid(), move.maps(), expected.data(), &cost);
    });
    CHECK(cost == doctest::Approx(move.cost(expected)).epsilon(1e-12));
}

TEST_CASE("transport cost: the CPU's sum, and blocks out of range count as the nearest") {
    std::mt19937 random(140);
    for (const auto& [height, width] : {std::pair(1, 1), std::pair(3, 8), std::pair(16, 16)}) {
        const Move<float> move(random, height, width, 0.7, Draw::uniform);
        Plan plan(move.saliency.size());
        for (auto& block : plan) block = static_cast<std::int64_t>(random() % plan.size());
        plan.back() = move.blocks() - 1;
        plan.front() = 0;
        Plan beyond = plan;
        beyond.back() = INT64_MAX;
        if (plan.size() > 1) beyond.front() = INT64_MIN;
        with_host_teams([&](HostTeam& team) {
            double cost = 0;
            kernels::plan_cost(team, move.grid(), move.maps(), beyond.data(), &cost);
            CHECK(cost == doctest::Approx(move.cost(plan)).epsilon(1e-12));
            CHECK(team.shared_bytes() == kernels::cost_shared(team.size()).total());
        });
    }
}

TEST_CASE("transport: what fits shared memory, and how many plans take turns elsewhere") {
    for (const int side : {1, 2, 16, 20, 21, 36, 37, 48, 49, 128}) {
        CAPTURE(side);
        const int blocks = side * side;
        const auto of_exact = kernels::exact_layout(blocks);
        const auto of_greedy = kernels::greedy_layout(blocks, side);
        CHECK((of_exact.global == 0) == (side <= 36));
        CHECK((of_greedy.global == 0) == (side <= 20));
        CHECK(of_greedy.arrays_shared == (side <= 48));
        for (const auto& layout : {of_exact, of_greedy}) {
            CHECK(layout.shared <= kernels::kMostShared);
            CHECK(layout.shared % 16 == 0);
            CHECK(layout.global % 16 == 0);
            CHECK(layout.slots(0) == 0);
            CHECK(layout.slots(3) == 3);
            CHECK(layout.slots(1 << 20) * layout.global <= std::int64_t{1} << 28);
        }
    }
}

TEST_CASE("transport: grids and prices that are refused") {
    const auto refuse = [](std::int64_t height, std::int64_t width, double eps, const char* text) {
        CHECK_THROWS_WITH_AS(kernels::checked_grid(height, width, eps), text,
                             comix::InvalidArgument);
    };
    refuse(0, 3, 0.8, "saliency: expected at least one block");
    refuse(129, 128, 0.8, "saliency: expected at most 16384 blocks (128 x 128) to move");
    refuse(3, 3, -1.0, "eps: expected a finite number >= 0");
    refuse(3, 3, std::nan(""), "eps: expected a finite number >= 0");
    refuse(3, 3, 1.7e308,
           "eps, saliency: expected costs that float64 can hold, got some that overflow");
}
