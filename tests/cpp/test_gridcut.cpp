// Every grid cut method against enumeration, on random energies of every kind.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "doctest.h"
#include "gridcut/dominated.hpp"
#include "gridcut/grid_cut.hpp"

using namespace comix;
using namespace comix::gridcut;

namespace {

struct Problem {
    int h, w, l;
    std::vector<double> unary, pairwise, weight_v, weight_h;

    GridProblem view() const {
        return {h, w, l, unary.data(), pairwise.data(), {weight_v.data(), 0}, {weight_h.data(), 0}};
    }
};

enum class Distance { potts, quadratic, truncated, arbitrary };

Problem random_problem(std::mt19937& random, int h, int w, int l, Distance distance,
                       bool negative) {
    const auto uniform = [&](double low, double high) {
        return std::uniform_real_distribution<double>(low, high)(random);
    };
    Problem problem{h, w, l, {}, {}, {}, {}};
    for (int k = 0; k < h * w * l; ++k) problem.unary.push_back(uniform(-1, 1));
    for (int i = 0; i < l; ++i) {
        for (int j = 0; j < l; ++j) {
            const double d = i - j;
            switch (distance) {
                case Distance::potts:
                    problem.pairwise.push_back(i != j);
                    break;
                case Distance::quadratic:
                    problem.pairwise.push_back(d * d / (l - 0.5));
                    break;
                case Distance::truncated:
                    problem.pairwise.push_back(std::min(d * d, 2.0));
                    break;
                case Distance::arbitrary:
                    problem.pairwise.push_back(uniform(-1, 1));
                    break;
            }
        }
    }
    for (int k = 0; k < (h - 1) * w; ++k) problem.weight_v.push_back(uniform(negative ? -1 : 0, 1));
    for (int k = 0; k < h * (w - 1); ++k) problem.weight_h.push_back(uniform(negative ? -1 : 0, 1));
    return problem;
}

double optimum(const Problem& problem) {
    const int n = problem.h * problem.w;
    std::vector<std::int64_t> labels(static_cast<std::size_t>(n), 0);
    double best = grid_energy(problem.view(), labels.data());
    for (;;) {
        int p = 0;
        while (p < n && ++labels[static_cast<std::size_t>(p)] == problem.l)
            labels[static_cast<std::size_t>(p++)] = 0;
        if (p == n) return best;
        best = std::min(best, grid_energy(problem.view(), labels.data()));
    }
}

struct Solved {
    double energy;
    bool optimal;
};

Solved solve(GridCutter& cutter, const Problem& problem, Method method,
             const std::vector<Label>* init = nullptr) {
    std::vector<Label> labels(static_cast<std::size_t>(problem.h * problem.w), 0);
    if (init) labels = *init;
    const bool optimal =
        cutter.solve(problem.view(), {method, 0, true}, init != nullptr, labels.data());
    const std::vector<std::int64_t> wide(labels.begin(), labels.end());
    return {grid_energy(problem.view(), wide.data()), optimal};
}

}  // namespace

TEST_CASE("every method against enumeration") {
    std::mt19937 random(7);
    GridCutter cutter;
    const int sizes[][3] = {{1, 1, 1}, {1, 1, 4}, {1, 6, 3}, {6, 1, 3}, {2, 3, 4},
                            {3, 3, 2}, {3, 3, 3}, {4, 2, 3}, {3, 4, 2}};
    for (int round = 0; round < 25; ++round) {
        for (const auto& [h, w, l] : sizes) {
            for (const auto distance :
                 {Distance::potts, Distance::quadratic, Distance::truncated, Distance::arbitrary}) {
                for (const bool negative : {false, true}) {
                    const Problem problem = random_problem(random, h, w, l, distance, negative);
                    const double best = optimum(problem);
                    CAPTURE(h);
                    CAPTURE(w);
                    CAPTURE(l);
                    CAPTURE(negative);
                    CAPTURE(static_cast<int>(distance));
                    for (const auto method : {Method::exact, Method::automatic}) {
                        const Solved solved = solve(cutter, problem, method);
                        CHECK(solved.energy == doctest::Approx(best).epsilon(1e-9));
                        CHECK(solved.optimal);
                    }
                    for (const auto method : {Method::expansion, Method::swap}) {
                        const Solved solved = solve(cutter, problem, method);
                        CHECK(solved.energy >= best - 1e-9);
                        if (solved.optimal)
                            CHECK(solved.energy == doctest::Approx(best).epsilon(1e-9));
                        if (l <= 2) CHECK(solved.optimal);  // narrow: every binary move is exact
                    }
                }
            }
        }
    }
}

TEST_CASE("energy never rises above the start, wide grids and all signs") {
    std::mt19937 random(8);
    GridCutter cutter;
    for (int round = 0; round < 20; ++round) {
        for (const auto distance : {Distance::potts, Distance::truncated, Distance::arbitrary}) {
            for (const bool negative : {false, true}) {
                const Problem problem = random_problem(random, 11, 10, 4, distance, negative);
                std::vector<Label> init(110);
                for (auto& label : init) label = static_cast<Label>(random() % 4);
                const std::vector<std::int64_t> wide(init.begin(), init.end());
                const double start = grid_energy(problem.view(), wide.data());
                for (const auto method : {Method::expansion, Method::swap, Method::automatic})
                    CHECK(solve(cutter, problem, method, &init).energy <= start + 1e-9);
            }
        }
    }
}

TEST_CASE("min cut and frontier programme agree on wide binary grids") {
    std::mt19937 random(9);
    GridCutter cutter;
    for (int round = 0; round < 30; ++round) {
        // 7 wide: the moves of swap run as min cuts, 'exact' as one level cut.
        const Problem problem = random_problem(random, 9, 7, 2, Distance::potts, false);
        const Solved exact = solve(cutter, problem, Method::exact);
        const Solved swap = solve(cutter, problem, Method::swap);
        CHECK(swap.optimal);
        CHECK(swap.energy == doctest::Approx(exact.energy).epsilon(1e-12));
        // The same energy with an order that is not submodular goes through the frontier programme.
        FixedGrid grid;
        grid.assign(problem.view());
        Survivors survivors;
        survivors.reset(grid);
        std::vector<Label> labels(63);
        FrontierCut frontier;
        frontier.solve(grid, survivors, plan_frontier(grid, survivors), labels.data());
        const std::vector<std::int64_t> wide(labels.begin(), labels.end());
        CHECK(grid_energy(problem.view(), wide.data()) ==
              doctest::Approx(exact.energy).epsilon(1e-12));
    }
}

// The least energy by a programme over whole rows: all label sequences of one against all of the
// next.
double row_by_row(const Problem& problem) {
    const auto grid = problem.view();
    std::vector<std::vector<int>> rows(1);
    for (int c = 0; c < problem.w; ++c) {
        std::vector<std::vector<int>> longer;
        for (const auto& row : rows) {
            for (int l = 0; l < problem.l; ++l) {
                longer.push_back(row);
                longer.back().push_back(l);
            }
        }
        rows = longer;
    }
    const auto index = [](int k) { return static_cast<std::size_t>(k); };
    const auto distance = [&](int a, int b) { return problem.pairwise[index(a * problem.l + b)]; };
    std::vector<double> best(rows.size(), 0);
    for (int r = 0; r < problem.h; ++r) {
        std::vector<double> next(rows.size(), std::numeric_limits<double>::infinity());
        for (std::size_t k = 0; k < rows.size(); ++k) {
            for (std::size_t j = 0; j < (r ? rows.size() : 1); ++j) {
                double energy = best[j];
                for (int c = 0; r && c < problem.w; ++c)
                    energy += grid.weight_v[index((r - 1) * problem.w + c)] *
                              distance(rows[j][index(c)], rows[k][index(c)]);
                next[k] = std::min(next[k], energy);
            }
            for (int c = 0; c < problem.w; ++c) {
                next[k] += grid.unary[(r * problem.w + c) * problem.l + rows[k][index(c)]];
                if (c)
                    next[k] += grid.weight_h[index(r * (problem.w - 1) + c - 1)] *
                               distance(rows[k][index(c - 1)], rows[k][index(c)]);
            }
        }
        best = next;
    }
    return *std::min_element(best.begin(), best.end());
}

TEST_CASE("the frontier programme of many labels, all distances, is a programme over rows") {
    std::mt19937 random(21);
    FrontierCut frontier;  // one for all: nothing is left over from the grid before
    FixedGrid grid;
    Survivors survivors;
    const int sizes[][3] = {{5, 3, 6}, {3, 3, 7}, {4, 2, 9}, {1, 3, 8}, {6, 1, 12}, {4, 3, 5}};
    for (const auto& [h, w, l] : sizes) {
        for (const auto distance :
             {Distance::potts, Distance::truncated, Distance::quadratic, Distance::arbitrary}) {
            for (const bool negative : {false, true}) {
                const Problem problem = random_problem(random, h, w, l, distance, negative);
                grid.assign(problem.view());
                survivors.reset(grid);
                for (const bool strike : {false, true}) {
                    if (strike) survivors.strike_quick(grid);
                    FrontierPlan plan = plan_frontier(grid, survivors);
                    for (const bool transposed : {false, true}) {
                        plan.transposed = transposed;
                        if (transposed && h > 3 && l > 6) continue;  // too many states
                        std::vector<Label> labels(static_cast<std::size_t>(h * w));
                        frontier.solve(grid, survivors, plan, labels.data());
                        const std::vector<std::int64_t> wide(labels.begin(), labels.end());
                        CHECK(grid_energy(problem.view(), wide.data()) ==
                              doctest::Approx(row_by_row(problem)).epsilon(1e-12));
                    }
                }
            }
        }
    }
}

TEST_CASE("convex energies: descent and level cut agree, on grids of any size") {
    std::mt19937 random(11);
    OrderedDescent descent;
    OrderedCut cut;
    FixedGrid grid;
    const int sizes[][3] = {{1, 1, 3}, {1, 8, 2}, {5, 1, 4},  {2, 2, 3},   {3, 4, 5},  {4, 4, 3},
                            {5, 6, 4}, {8, 8, 3}, {9, 13, 3}, {16, 16, 3}, {20, 17, 6}};
    for (int round = 0; round < 10; ++round) {
        for (const auto& [h, w, l] : sizes) {
            for (const bool skewed : {false, true}) {
                Problem problem = random_problem(random, h, w, l, Distance::quadratic, false);
                // Convex unary costs, their minimum anywhere; distances convex, not symmetric.
                for (int p = 0; p < h * w; ++p) {
                    double* unary = problem.unary.data() + p * l;
                    const double where = std::uniform_real_distribution<double>(-1, l)(random);
                    const double steep = std::uniform_real_distribution<double>(0, 1)(random);
                    for (int k = 0; k < l; ++k) unary[k] = steep * (k - where) * (k - where);
                }
                if (skewed)
                    for (int i = 0; i < l; ++i)
                        for (int j = 0; j < l; ++j)
                            problem.pairwise[static_cast<std::size_t>(i * l + j)] =
                                i > j ? 2.0 * (i - j) : 0.5 * (j - i) * (j - i);
                CAPTURE(h);
                CAPTURE(w);
                CAPTURE(l);
                REQUIRE(descent.prepare(problem.view()));
                REQUIRE(OrderedCut::applies(problem.view()));
                grid.assign(problem.view());
                std::vector<Label> labels(static_cast<std::size_t>(h * w)), other(labels);
                descent.solve(labels.data());
                cut.solve(problem.view(), grid, other.data());
                const std::vector<std::int64_t> mine(labels.begin(), labels.end());
                const std::vector<std::int64_t> theirs(other.begin(), other.end());
                CHECK(grid_energy(problem.view(), mine.data()) ==
                      doctest::Approx(grid_energy(problem.view(), theirs.data())).epsilon(1e-12));
            }
        }
    }
}

TEST_CASE("descent is for convex costs only") {
    std::mt19937 random(12);
    const Problem convex = random_problem(random, 3, 3, 3, Distance::quadratic, false);
    Problem flat = convex;
    for (auto& cost : flat.unary) cost = 1.0;
    CHECK(OrderedDescent().prepare(flat.view()));
    Problem bent = flat;
    bent.unary[1] = 1.1;  // the middle label of a site is dearer than both others
    CHECK(!OrderedDescent().prepare(bent.view()));
    Problem negative = flat;
    negative.weight_v[0] = -0.1;
    CHECK(!OrderedDescent().prepare(negative.view()));
    Problem potts = flat;
    for (std::size_t k = 0; k < 9; ++k) potts.pairwise[k] = k % 4 ? 1 : 0;
    CHECK(!OrderedDescent().prepare(potts.view()));
    Problem uneven = flat;
    uneven.pairwise[1] *= 1.5;  // no function of i - j
    CHECK(!OrderedDescent().prepare(uneven.view()));
    const double infinity = std::numeric_limits<double>::infinity();
    for (const double bad : {infinity, -infinity, std::nan("")}) {
        for (std::size_t k = 0; k < 3; ++k) {
            Problem unary = flat, pairwise = flat, weight = flat;
            unary.unary[k] = bad;
            pairwise.pairwise[k] = bad;
            weight.weight_h[k] = bad;
            CHECK(!OrderedDescent().prepare(unary.view()));
            CHECK(!OrderedDescent().prepare(pairwise.view()));
            CHECK(!OrderedDescent().prepare(weight.view()));
        }
    }
}

TEST_CASE("only costs that leave too few bits to the others are lowered") {
    std::mt19937 random(11);
    DominatedCosts dominated;
    const auto lowered = [&](const Problem& problem) {
        return dominated.lowered(problem.view()).unary != problem.unary.data();
    };
    const Problem plain = random_problem(random, 3, 4, 3, Distance::potts, false);
    CHECK(!lowered(plain));
    for (const double price : {1e3, 1e6, 1e8, 1e30, 1e308}) {
        Problem dear = plain;
        dear.unary[4] = price;
        CHECK(lowered(dear) == (price >= 1e8));
    }
    Problem whole = plain;  // whole numbers keep the gco library's ties while they fit
    for (auto* terms : {&whole.unary, &whole.weight_v, &whole.weight_h})
        for (auto& value : *terms) value = std::round(4 * value);
    whole.unary[4] = 1e12;
    CHECK(!lowered(whole));
    whole.unary[4] = 1e16;
    CHECK(lowered(whole));
    for (const double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {  // for others to report
        Problem unary = plain, pairwise = plain;
        unary.unary[4] = bad;
        pairwise.unary[4] = 1e30;
        pairwise.pairwise[4] = bad;
        CHECK(!lowered(unary));
        CHECK(!lowered(pairwise));
    }
}

TEST_CASE("exact is refused with the reason when nothing applies") {
    std::mt19937 random(10);
    GridCutter cutter;
    Problem problem = random_problem(random, 30, 30, 4, Distance::arbitrary, true);
    for (auto& cost : problem.unary) cost *= 1e-3;
    try {
        solve(cutter, problem, Method::exact);
        FAIL("expected InvalidArgument");
    } catch (const InvalidArgument& error) {
        CHECK(std::string(error.what()).find("use method='auto' or 'expansion'") !=
              std::string::npos);
    }
}
