// Bounds from trees, and cuts among what they leave, against enumeration and the other exact cuts.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "base/index.hpp"
#include "doctest.h"
#include "gridcut/grid_cut.hpp"
#include "gridcut/survivor_cut.hpp"
#include "gridcut/tree_bounds.hpp"

using comix::at;
using comix::Cost;
using namespace comix::gridcut;

namespace {

using Labels = std::vector<Label>;

struct Case {
    int height, width, labels;
    std::vector<double> unary, pairwise, weight_v, weight_h;  // no weights: all 1
    double uniform = 1.0;

    int sites() const { return height * width; }
    GridProblem view() const {
        GridProblem problem;
        problem.height = height;
        problem.width = width;
        problem.labels = labels;
        problem.unary = unary.data();
        problem.pairwise = pairwise.data();
        problem.weight_v = {weight_v.empty() ? nullptr : weight_v.data(), uniform};
        problem.weight_h = {weight_h.empty() ? nullptr : weight_h.data(), uniform};
        return problem;
    }
};

enum class Kind { potts, linear, quadratic, truncated, anything, opposed };
constexpr Kind kKinds[] = {Kind::potts,     Kind::linear,   Kind::quadratic,
                           Kind::truncated, Kind::anything, Kind::opposed};

Case random_case(std::mt19937& random, Kind kind, int height, int width, int labels,
                 bool weighted) {
    const auto whole = [&](int most) { return static_cast<double>(random() % most); };
    Case c{height, width, labels, {}, {}, {}, {}};
    for (int k = 0; k < c.sites() * labels; ++k) c.unary.push_back(whole(1000) / 8);
    for (int a = 0; a < labels; ++a) {
        for (int b = 0; b < labels; ++b) {
            const double apart = std::abs(a - b);
            switch (kind) {
                case Kind::potts:
                    c.pairwise.push_back(30.0 * (a != b));
                    break;
                case Kind::linear:
                    c.pairwise.push_back(15 * apart);
                    break;
                case Kind::quadratic:
                    c.pairwise.push_back(7 * apart * apart);
                    break;
                case Kind::truncated:
                    c.pairwise.push_back(20 * std::min(apart, 2.0));
                    break;
                case Kind::anything:  // not symmetric, signs at odds
                    c.pairwise.push_back(whole(100) - 50);
                    break;
                case Kind::opposed:  // neighbours want to differ
                    c.pairwise.push_back(-30.0 * (a != b));
                    break;
            }
        }
    }
    if (!weighted) return c;
    for (int k = 0; k < (height - 1) * width; ++k) c.weight_v.push_back(whole(300) / 128);
    for (int k = 0; k < height * (width - 1); ++k) c.weight_h.push_back(whole(300) / 128);
    if (kind == Kind::anything)
        for (auto& weight : c.weight_v) weight -= 1;
    return c;
}

// Calls visit(labels) for every labelling.
template <class Visit>
void enumerate(const FixedGrid& grid, const Visit& visit) {
    Labels labels(at(grid.sites()), 0);
    for (;;) {
        visit(labels);
        int p = 0;
        while (p < grid.sites() && ++labels[at(p)] == grid.labels()) labels[at(p++)] = 0;
        if (p == grid.sites()) return;
    }
}

bool survives(const Survivors& survivors, const Labels& labels) {
    for (int p = 0; p < static_cast<int>(labels.size()); ++p)
        if (std::count(survivors.at(p).begin(), survivors.at(p).end(), labels[at(p)]) == 0)
            return false;
    return true;
}

}  // namespace

TEST_CASE("bounds are below every energy, and strike off no labelling that beats the best") {
    std::mt19937 random(30);
    int bounds_met = 0, cases = 0;
    for (const Kind kind : kKinds) {
        for (const bool weighted : {false, true}) {
            for (int round = 0; round < 8; ++round) {
                CAPTURE(static_cast<int>(kind));
                CAPTURE(weighted);
                const int labels = 2 + round % 3;
                const Case c = random_case(random, kind, 2 + round % 2, 3, labels, weighted);
                FixedGrid grid;
                grid.assign(c.view());
                Cost optimum = std::numeric_limits<Cost>::max();
                enumerate(grid, [&](const Labels& l) {
                    optimum = std::min(optimum, grid.energy(l.data()));
                });
                TreeBounds bounds;
                bounds.begin(grid);
                Survivors survivors;
                survivors.reset(grid);
                bool left_over = true;
                for (int k = 0; k < 12 && left_over; ++k) {
                    bounds.round(true);
                    left_over = bounds.strike(survivors);
                    CHECK(bounds.bound() <= optimum);
                    CHECK(bounds.best_energy() == grid.energy(bounds.best()));
                    if (!left_over) CHECK(bounds.best_energy() == optimum);
                    if (bounds.best_energy() == optimum) continue;
                    enumerate(grid, [&](const Labels& l) {
                        if (grid.energy(l.data()) < bounds.best_energy())
                            CHECK(survives(survivors, l));
                    });
                }
                bounds_met += !left_over;
                ++cases;
            }
        }
    }
    CHECK(bounds_met > cases / 2);  // they are of use
    CHECK(bounds_met < cases);      // and cannot prove everything
}

TEST_CASE("an offer counts when it is better") {
    std::mt19937 random(31);
    const Case c = random_case(random, Kind::opposed, 3, 3, 3, false);
    FixedGrid grid;
    grid.assign(c.view());
    TreeBounds bounds;
    bounds.begin(grid);
    Labels worst, best;
    enumerate(grid, [&](const Labels& l) {
        if (worst.empty() || grid.energy(l.data()) > grid.energy(worst.data())) worst = l;
        if (best.empty() || grid.energy(l.data()) < grid.energy(best.data())) best = l;
    });
    bounds.offer(worst.data());
    CHECK(bounds.best_energy() == grid.energy(worst.data()));
    bounds.offer(best.data());
    bounds.offer(worst.data());
    CHECK(bounds.best_energy() == grid.energy(best.data()));
}

TEST_CASE("parts of what survives are solved alone, and give what the whole gives") {
    std::mt19937 random(32);
    int apart = 0;
    for (int round = 0; round < 60; ++round) {
        const int height = 4 + static_cast<int>(random() % 5),
                  width = 4 + static_cast<int>(random() % 4);
        const Case c = random_case(random, kKinds[round % 6], height, width, 5, round % 2 == 0);
        FixedGrid grid;
        grid.assign(c.view());
        Survivors survivors;
        survivors.reset(grid);
        const unsigned decided = 2 + random() % 4;  // of six sites
        for (int p = 0; p < grid.sites(); ++p) {
            const bool known = random() % 6 < decided;
            const auto only = static_cast<Label>(random() % 5);
            survivors.keep_if(p, [&](Label a) { return known ? a == only : a >= only - 2; });
        }
        SurvivorCut cut;
        const FrontierPlan whole = plan_frontier(grid, survivors), plan = cut.plan(grid, survivors);
        CHECK(plan.steps <= whole.steps);
        if (whole.bytes > kExactBytes || whole.steps > 1e7) continue;
        apart += plan.steps < whole.steps;
        Labels labels(at(grid.sites()), -1), expected(labels);
        cut.solve(grid, labels.data());
        FrontierCut().solve(grid, survivors, whole, expected.data());
        CHECK(survives(survivors, labels));
        CHECK(grid.energy(labels.data()) == grid.energy(expected.data()));
    }
    CHECK(apart > 5);
}

TEST_CASE("exact cuts of wide grids by bounds are those over levels") {
    std::mt19937 random(33);
    for (const Kind kind : {Kind::linear, Kind::quadratic}) {
        for (const bool weighted : {false, true}) {
            const Case c = random_case(random, kind, 11, 12, 9, weighted);
            const GridProblem problem = c.view();
            REQUIRE(OrderedCut::applies(problem));
            FixedGrid grid;
            grid.assign(problem);
            Labels labels(at(grid.sites())), expected(labels);
            Options options;
            options.method = Method::exact;
            CHECK(GridCutter().solve(problem, options, false, labels.data()));
            OrderedCut().solve(problem, grid, expected.data());
            CHECK(grid.energy(labels.data()) == grid.energy(expected.data()));
        }
    }
}

TEST_CASE("wide grids with Potts distances are proven where costs are not at odds") {
    std::mt19937 random(34);
    for (const bool weighted : {false, true}) {
        Case c = random_case(random, Kind::potts, 20, 20, 6, weighted);
        for (int p = 0; p < c.sites(); ++p) c.unary[at(6 * p + (p / 100))] -= 60;  // four bands
        const GridProblem problem = c.view();
        Labels labels(at(c.sites())), moved(labels);
        Options options;
        options.method = Method::exact;
        CHECK(GridCutter().solve(problem, options, false, labels.data()));
        options.method = Method::expansion;
        GridCutter().solve(problem, options, false, moved.data());
        FixedGrid grid;
        grid.assign(problem);
        CHECK(grid.energy(labels.data()) <= grid.energy(moved.data()));
    }
}
