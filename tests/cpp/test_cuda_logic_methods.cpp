// The logic of Co-Mixup's exact and swap cuts on CUDA, on the host, against the CPU's.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <type_traits>
#include <vector>

#include "base/errors.hpp"
#include "comixup/label_cut.hpp"
#include "cuda/comixup/label_batch.hpp"
#include "cuda/comixup/method_plan.hpp"
#include "doctest.h"
#include "draws.hpp"
#include "label_cases.hpp"

using namespace label_cases;

namespace {

using kernels::CutMethod;
using kernels::MethodPlan;
using CpuMethod = comix::gridcut::Method;
using Soft = std::vector<comix::comixup::Pair>;

// Nothing where the CPU refuses.
std::optional<Labels> cut_on_cpu(const Case& c, const double* rho, const Soft& soft,
                                 CpuMethod method) {
    Labels labels(at(2 * c.h * c.w));
    comix::comixup::LabelCut cut;
    std::vector<comix::comixup::LabelCut::Label> asked;
    cut.begin(c.view(), c.settings.beta / (c.h * c.w), method);
    try {
        cut.solve(rho, soft, asked, labels.data());
    } catch (const comix::InvalidArgument&) {
        return std::nullopt;
    }
    return labels;
}

Soft soft_of(const kernels::CutSpace& space, int n, int count) {
    Soft soft;
    for (int k = n; k < n + count; ++k)
        soft.push_back({kernels::first_of(space.label[k]), kernels::second_of(space.label[k])});
    return soft;
}

Labels labels_of(const kernels::CutSpace& space, int blocks) {
    Labels labels;
    for (int p = 0; p < blocks; ++p) {
        labels.push_back(kernels::first_of(space.now[p]));
        labels.push_back(kernels::second_of(space.now[p]));
    }
    return labels;
}

// visit(cut type) for the exact or swap cut of the sizes.
template <class Visit>
void with_cut(CutMethod method, const kernels::SolverSizes& sizes, const Visit& visit) {
    using kernels::Shape;
    const bool wide = sizes.shape() == Shape::wide;
    if (method == CutMethod::exact) {
        if (wide) return visit(kernels::ExactCut<Shape::wide>{});
        return visit(kernels::ExactCut<Shape::narrow>{});
    }
    if (wide) return visit(kernels::SwapCut<false>{});
    visit(kernels::SwapCut<true>{});
}

// One cut of a partition with these costs and soft labels beside.
struct OneCut {
    Case partition;
    std::vector<double> rho;
    Soft soft;

    OneCut(std::mt19937& random, int n, int h, int w, double beta, bool ties = false)
        : partition(random, n, n, h, w, false) {
        partition.settings.beta = beta;
        if (ties)
            for (auto& cost : partition.cost) cost = -static_cast<double>(random() % 4) / 16;
        for (int i = 0; i < n; ++i)
            rho.push_back(ties ? 0.0 : 0.1 * std::uniform_real_distribution<double>(0, 1)(random));
        if (n > 2) soft = {{0, 1}, {0, 2}, {1, 2}};
        soft.resize(std::min(soft.size(), static_cast<std::size_t>(random() % 4)));
    }
    double energy(const Labels& labels) const { return cut_energy(partition, rho.data(), labels); }
    std::optional<Labels> on_cpu(CpuMethod method) const {
        return cut_on_cpu(partition, rho.data(), soft, method);
    }
    kernels::CutSpace space(std::vector<double>& memory) const {
        const auto sizes = partition.problem().sizes;
        std::int64_t bytes = 0;
        kernels::CutSpace::at(nullptr, sizes, &bytes);
        memory.assign(at(bytes / 8), 1e300);
        const auto space = kernels::CutSpace::at(memory.data(), sizes, nullptr);
        const int n = partition.n;
        for (int i = 0; i < n; ++i) {
            space.label[i] = kernels::pair_of(i, i);
            space.rho[i] = rho[at(i)];
        }
        for (std::size_t k = 0; k < soft.size(); ++k)
            space.label[n + static_cast<int>(k)] = kernels::pair_of(soft[k].i, soft[k].j);
        return space;
    }

    struct Answer {
        Labels labels;
        bool proven;
    };
    // most: bytes for the tables, below 0 as many as on the device.
    Answer solve_exactly(HostTeam& team, std::int64_t most = -1) const {
        const auto problem = partition.problem().cut();
        const auto plan = MethodPlan::of(problem.sizes, CutMethod::exact, team.size(), kShared);
        const std::int64_t room = most < 0 ? plan.table_bytes : most;
        std::vector<double> own, memory(at(plan.cut_bytes / 8), 1e300), tables(at(room / 8));
        const auto cut = space(own);
        Answer answer{};
        with_cut(CutMethod::exact, problem.sizes, [&](auto solver) {
            if constexpr (!std::is_same_v<decltype(solver), kernels::SwapCut<true>> &&
                          !std::is_same_v<decltype(solver), kernels::SwapCut<false>>) {
                solver.space = kernels::ExactSpace::at(memory.data(), tables.data(), room,
                                                       problem.sizes, team.size(), nullptr);
                answer.proven = solver.solve(team, problem, cut, static_cast<int>(soft.size()));
            }
        });
        answer.labels = labels_of(cut, problem.sizes.blocks());
        return answer;
    }
};

// The whole iteration. most: shared memory to use.
struct Iteration {
    const Case& c;
    CutMethod method;

    kernels::SolverSizes sizes() const { return c.problem().sizes; }
    MethodPlan plan(int threads, std::int64_t most) const {
        return MethodPlan::of(sizes(), method, threads, most);
    }
    // Calls solve(size of the shared memory, sweep).
    template <class Solve>
    Labels with(int threads, std::int64_t most, const Solve& solve) const {
        const auto own = plan(threads, most);
        const auto problem = c.problem();
        std::vector<double> memory(at(own.scratch_bytes() / 8), 1e300);
        Labels labels;
        with_cut(method, sizes(), [&](auto cut) {
            labels = solve(
                own.shared(threads).total(), [&](auto& team, const kernels::Candidates& found) {
                    kernels::solve_labels_with<decltype(cut)>(
                        team, problem, c.matrix(), c.init.data(), own, memory.data(), found);
                });
        });
        return labels;
    }
    Labels solve(HostTeam& team, std::int64_t most = kShared) const {
        return with(team.size(), most, [&](std::size_t bytes, const auto& sweep) {
            return solve_in_steps(c, team, most, bytes, sweep);
        });
    }
    Labels solve_at_once(int threads, std::int64_t most) const {
        return with(threads, most, [&](std::size_t bytes, const auto& sweep) {
            return label_cases::solve_at_once(c, threads, most, bytes, sweep);
        });
    }
};

}  // namespace

TEST_CASE("exact: every cut is the CPU's optimum, proven wherever the CPU proves it") {
    std::mt19937 random(741);
    const int shapes[][3] = {{1, 1, 1}, {2, 1, 7}, {12, 4, 4}, {20, 4, 4}, {6, 3, 9},
                             {9, 9, 2}, {2, 8, 8}, {5, 5, 5},  {7, 6, 8},  {3, 9, 7}};
    int proven = 0, trials = 0;
    for (const auto& [n, h, w] : shapes) {
        for (int trial = 0; trial < 40; ++trial) {
            INFO(n, " inputs, ", h, " x ", w, ", trial ", trial);
            const double beta = std::pow(2.0, draw(random, -5, 2));
            const OneCut cut(random, n, h, w, beta, trial % 4 == 0);
            auto team = any_team(random);
            const auto answer = cut.solve_exactly(team);
            const auto expected = cut.on_cpu(CpuMethod::exact);
            ++trials;
            proven += answer.proven;
            if (expected && (h <= 4 || w <= 4 || n == 2)) CHECK(answer.proven);
            if (!expected) continue;
            const double least = cut.energy(*expected);
            if (answer.proven)
                CHECK(cut.energy(answer.labels) == doctest::Approx(least).epsilon(1e-12));
            CHECK(cut.energy(answer.labels) >= least - 1e-12);
            // No ties: one optimum.
            if (answer.proven && trial % 4) CHECK(answer.labels == *expected);
        }
    }
    INFO(proven, " of ", trials);
    CHECK(proven >= trials - trials / 20);
}

TEST_CASE("exact: tables that do not fit leave expansion's labels, and nothing is proven") {
    std::mt19937 random(742);
    for (const auto& [n, h, w] : {std::array{12, 4, 4}, std::array{6, 3, 9}, std::array{8, 6, 6}}) {
        for (int trial = 0; trial < 10; ++trial) {
            const OneCut cut(random, n, h, w, 4.0);
            HostTeam team(32);
            const auto answer = cut.solve_exactly(team, 0);
            CHECK_FALSE(answer.proven);
            std::vector<double> memory;
            const auto space = cut.space(memory);
            const auto problem = cut.partition.problem().cut();
            const auto soft = static_cast<int>(cut.soft.size());
            h > 4 ? kernels::cut_labels<kernels::Shape::wide>(team, problem, space, soft)
                  : kernels::cut_labels<kernels::Shape::narrow>(team, problem, space, soft);
            CHECK(answer.labels == labels_of(space, h * w));
            const auto expected = cut.on_cpu(CpuMethod::exact);
            if (expected) CHECK(cut.energy(answer.labels) >= cut.energy(*expected) - 1e-12);
        }
    }
}

TEST_CASE("exact: two labels that are left on a wide grid are one flow, whatever the tables hold") {
    std::mt19937 random(743);
    int proven = 0;
    for (int trial = 0; trial < 100; ++trial) {
        OneCut cut(random, 2 + trial % 4, 5 + trial % 7, 11 - trial % 5, 2.0, trial % 4 == 0);
        cut.soft.clear();
        for (std::size_t i = 2; i < cut.rho.size(); ++i) cut.rho[i] = 100;  // these lose everywhere
        auto team = any_team(random);
        // Without tables, so that the flow alone decides; not where a single label is left.
        const auto answer = cut.solve_exactly(team, 0);
        proven += answer.proven;
        if (!answer.proven) continue;
        const auto expected = cut.on_cpu(CpuMethod::exact);
        REQUIRE(expected);
        CHECK(cut.energy(answer.labels) == doctest::Approx(cut.energy(*expected)).epsilon(1e-12));
    }
    CHECK(proven >= 60);
}

TEST_CASE(
    "exact: without edges the cheapest labels are proven; edges that reward differences prove "
    "none") {
    std::mt19937 random(752);
    for (const auto& [h, w] : {std::array{4, 4}, std::array{6, 5}}) {
        const OneCut free(random, 7, h, w, 0.0), odd(random, 7, h, w, -0.5);
        HostTeam team(32);
        const auto answer = free.solve_exactly(team);
        CHECK(answer.proven);
        CHECK(answer.labels == free.on_cpu(CpuMethod::exact));
        CHECK_FALSE(odd.solve_exactly(team).proven);
    }
}

TEST_CASE("exact: the labels that are left hold an optimum, ties and all") {
    std::mt19937 random(744);
    for (int trial = 0; trial < 300; ++trial) {
        const OneCut cut(random, 2 + trial % 3, 2, 1 + trial % 3, trial % 2 ? 0.5 : 1.5, true);
        const auto problem = cut.partition.problem().cut();
        const int labels = cut.partition.n + static_cast<int>(cut.soft.size());
        const int blocks = cut.partition.h * cut.partition.w;
        auto team = any_team(random);
        const auto plan = MethodPlan::of(problem.sizes, CutMethod::exact, team.size(), kShared);
        std::vector<double> own, memory(at(plan.cut_bytes / 8), 1e300);
        const auto space = cut.space(own);
        const auto exact =
            kernels::ExactSpace::at(memory.data(), nullptr, 0, problem.sizes, team.size(), nullptr);
        const kernels::LabelEnergy energy{problem.sizes.height, problem.sizes.width, labels,
                                          space.label, exact.unary};
        kernels::detail::price_exactly(team, problem, space, exact, labels);
        kernels::detail::list_survivors(team, energy, exact.survivors);
        kernels::detail::strike_losers(team, energy, exact.survivors);
        // Every labelling of these few blocks.
        std::vector<int> label(at(blocks), 0);
        kernels::Cost best = INT64_MAX, left = INT64_MAX;
        for (bool more = true; more;) {
            kernels::Cost sum = 0;
            bool listed = true;
            for (int p = 0; p < blocks; ++p) {
                sum += energy.alone(p, label[at(p)]);
                if (p + problem.sizes.width < blocks)
                    sum += energy.edge(label[at(p)], label[at(p + problem.sizes.width)]);
                if ((p + 1) % problem.sizes.width != 0)
                    sum += energy.edge(label[at(p)], label[at(p + 1)]);
                const auto* first = exact.survivors.at(p);
                listed &= std::count(first, first + exact.survivors.count[p], label[at(p)]) == 1;
            }
            best = std::min(best, sum);
            if (listed) left = std::min(left, sum);
            more = false;
            for (int p = 0; p < blocks && !more; ++p) {
                label[at(p)] = (label[at(p)] + 1) % labels;
                more = label[at(p)] != 0;
            }
        }
        CHECK(left == best);
    }
}

namespace {

// An exact cut that is held against the CPU's, cut by cut.
template <class Cut>
struct CheckedCut {
    const Case& c;
    const Cut& cut;
    int& cuts;

    template <class Team>
    void operator()(Team& team, const kernels::CutProblem& problem, const kernels::CutSpace& space,
                    int soft) const {
        const std::vector<double> rho(space.rho, space.rho + c.n);
        const Soft pairs = soft_of(space, c.n, soft);
        CHECK(cut.solve(team, problem, space, soft));
        const auto expected = cut_on_cpu(c, rho.data(), pairs, CpuMethod::exact);
        REQUIRE(expected);
        const double least = cut_energy(c, rho.data(), *expected);
        CHECK(cut_energy(c, rho.data(), labels_of(space, c.h * c.w)) ==
              doctest::Approx(least).epsilon(1e-12));
        ++cuts;
    }
};

}  // namespace

TEST_CASE("exact: every cut of an iteration is the optimum of its linearised energy") {
    std::mt19937 random(745);
    int cuts = 0;
    for (int trial = 0; trial < 12; ++trial) {
        Case c(random, trial % 3 ? 20 : 9, trial % 3 ? 20 : 7, 4, trial % 3 ? 4 : 6,
               trial % 2 == 0);
        c.settings.threshold = static_cast<comix::comixup::Threshold>(trial % 3);
        const auto sizes = c.problem().sizes;
        HostTeam team(32);
        const auto plan = MethodPlan::of(sizes, CutMethod::exact, team.size(), 0);
        std::vector<double> memory(at(plan.cut_bytes / 8)), tables(at(plan.table_bytes / 8)),
            scratch(at(plan.space.scratch_bytes() / 8));
        const kernels::ExactCut<kernels::Shape::narrow> cut{kernels::ExactSpace::at(
            memory.data(), tables.data(), plan.table_bytes, sizes, team.size(), nullptr)};
        std::vector<double> found(at(kernels::Candidates::bytes(sizes, 1) / 8));
        kernels::solve_labels_by<false>(team, CheckedCut<decltype(cut)>{c, cut, cuts}, c.problem(),
                                        c.matrix(), c.init.data(), plan.space, scratch.data(),
                                        kernels::Candidates::at(found.data(), sizes, 0));
    }
    CHECK(cuts > 400);
}

namespace {

struct Agreement {
    int same = 0, trials = 0;  // objectives equal up to rounding
    double own = 0, cpu = 0;   // sums
};

Agreement compare(CutMethod method, CpuMethod on_cpu, int count, int n, int h, int w,
                  unsigned seed) {
    std::mt19937 random(seed);
    Agreement result;
    for (int k = 0; k < count; ++k) {
        Case c(random, n, n, h, w, k % 2 == 0);
        c.settings.method = on_cpu;
        if (k % 3 == 1) c.settings.select = comix::comixup::Select::last;
        HostTeam team(32);
        const double own = c.value(Iteration{c, method}.solve(team)), cpu = c.value(c.on_cpu());
        result.own += own;
        result.cpu += cpu;
        result.same += std::abs(own - cpu) <= 1e-9;
        ++result.trials;
    }
    return result;
}

}  // namespace

TEST_CASE("exact: on narrow grids the CPU's objective, and its mean where ties go otherwise") {
    for (const auto& [n, h, w] : {std::array{20, 4, 4}, std::array{8, 3, 7}}) {
        const auto found = compare(CutMethod::exact, CpuMethod::exact, 30, n, h, w, 746);
        INFO(found.same, " of ", found.trials, ", sums ", found.own, " and ", found.cpu);
        CHECK(found.same >= found.trials - found.trials / 10);
        CHECK(found.own == doctest::Approx(found.cpu).epsilon(0.01));
    }
}

TEST_CASE("swap: the CPU's labels") {
    std::mt19937 random(747);
    const int shapes[][4] = {{20, 20, 4, 4}, {1, 3, 2, 2}, {2, 3, 1, 7},
                             {6, 4, 3, 9},   {5, 5, 6, 6}, {4, 3, 8, 11}};
    for (const auto& [n, m, h, w] : shapes) {
        for (int trial = 0; trial < 6; ++trial) {
            INFO(n, " inputs, ", h, " x ", w, ", trial ", trial);
            Case c(random, n, m, h, w, trial % 2 == 1);
            c.settings.method = CpuMethod::swap;
            c.settings.beta = 0.16 * (1 + trial % 3);
            if (trial % 3) c.settings.select = comix::comixup::Select::last;
            auto team = any_team(random);
            CHECK(Iteration{c, CutMethod::swap}.solve(team) == c.on_cpu());
        }
    }
}

TEST_CASE("swap: the CPU's labels with ties too, as nothing is rounded") {
    std::mt19937 random(748);
    for (int trial = 0; trial < 20; ++trial) {
        Case c(random, 6, 5, 4, trial % 2 ? 4 : 6, false);
        for (auto& cost : c.cost) cost = -static_cast<double>(random() % 4) / 16;
        c.settings.method = CpuMethod::swap;
        c.settings.beta = 0.25 * c.h * c.w;
        c.settings.gamma = 0.5 * c.h * c.w;
        c.settings.tau = 0.75;
        auto team = any_team(random);
        CHECK(Iteration{c, CutMethod::swap}.solve(team) == c.on_cpu());
    }
}

TEST_CASE("methods: the answer depends neither on the team nor on where its memory lies") {
    std::mt19937 random(749);
    const int shapes[][4] = {{1, 1, 1, 1}, {2, 3, 1, 5}, {6, 4, 4, 4}, {5, 3, 7, 3}, {4, 3, 6, 5}};
    for (const auto method : {CutMethod::exact, CutMethod::swap}) {
        for (const auto& [n, m, h, w] : shapes) {
            Case c(random, n, m, h, w, true);
            c.settings.sweeps = 3;
            check_any_team(c, Iteration{c, method}, {0, 2048, 8192});
        }
    }
}

TEST_CASE("methods: threads do not race") {
    std::mt19937 random(750);
    for (const auto method : {CutMethod::exact, CutMethod::swap}) {
        for (const int width : {4, 6}) {
            Case c(random, 5, 4, 5, width, true);
            c.settings.sweeps = 2;
            const Iteration iteration{c, method};
            HostTeam team(5);
            const auto expected = iteration.solve(team);
            CHECK(iteration.solve_at_once(5, 2048) == expected);
        }
    }
}

TEST_CASE("methods: any values end, within bounds") {
    std::mt19937 random(751);
    const double odd[] = {std::nan(""), INFINITY, -INFINITY, 1e308, -1e308, 5e-324};
    for (int trial = 0; trial < 80; ++trial) {
        Case c(random, 5, 4, 4, trial % 2 ? 4 : 6, trial % 3 > 0);
        for (auto& value : c.cost)
            if (random() % 4 == 0) value = odd[random() % 6];
        if (trial % 5 == 0) c.settings.beta = odd[random() % 6];
        if (trial % 7 == 0) c.settings.beta = -0.5;
        if (trial % 11 == 0) c.settings.beta = 0;
        if (trial % 5 == 1) c.settings.gamma = odd[random() % 6];
        if (trial % 5 == 2) c.settings.tau = odd[random() % 6];
        if (trial % 5 == 3)
            for (auto& value : c.compatibility) value = odd[random() % 6];
        c.init[0] = INT64_MAX;
        c.init[1] = INT64_MIN;
        auto team = any_team(random);
        const auto method = trial % 4 < 2 ? CutMethod::exact : CutMethod::swap;
        check_in_range(c, Iteration{c, method}.solve(team));
    }
}

TEST_CASE("methods: scratch memory is bounded, whatever the number of problems") {
    constexpr std::int64_t most = std::int64_t{1} << 27, many = std::int64_t{1} << 40;
    for (const auto method : {CutMethod::exact, CutMethod::swap}) {
        for (const auto& [n, h, w] : {std::array{2, 1, 1}, std::array{20, 4, 4},
                                      std::array{20, 16, 16}, std::array{100, 8, 8}}) {
            const auto plan = MethodPlan::of({n, n, h, w, true}, method, 256, kShared);
            CHECK(plan.shared(256).total() <= kShared + 256 * sizeof(kernels::detail::Objectives));
            const auto bytes = plan.scratch_bytes();
            CHECK(kernels::teams_at_once(bytes, 0) == 0);
            CHECK(kernels::teams_at_once(bytes, 1) == 1);
            CHECK(kernels::teams_at_once(most + 1, many) == 1);
            const auto teams = kernels::teams_at_once(bytes, many);
            CHECK(teams * bytes <= most);
            if (method == CutMethod::exact) CHECK(teams >= 7);
        }
    }
    // What sizes alone promise: the states of all labels fit.
    const auto plan = MethodPlan::of({20, 20, 4, 4, true}, CutMethod::exact, 256, kShared);
    CHECK(static_cast<double>(plan.table_bytes) < kernels::ExactSpace::kTables);
    CHECK(plan.table_bytes >= 23 * 23 * 23 * 23 * (16 + 2 * 16));
}
