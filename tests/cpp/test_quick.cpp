// The 32-bit kernels: strips against enumeration, quick expansion against the general one.
#include <algorithm>
#include <random>
#include <vector>

#include "doctest.h"
#include "gridcut/moves.hpp"
#include "gridcut/quick_expansion.hpp"
#include "gridcut/strip_table.hpp"

using namespace comix;
using namespace comix::gridcut;

namespace {

int draw(std::mt19937& random, int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
}

// A problem of whole numbers, so that nothing is rounded; ties are unlikely.
struct Whole {
    int h, w, l;
    std::vector<double> unary, pairwise, weight_v, weight_h;
    bool uniform;

    GridProblem view() const {
        GridProblem problem{h, w, l, unary.data(), pairwise.data(), {}, {}};
        if (uniform) {
            problem.weight_v.uniform = problem.weight_h.uniform = 3;
        } else {
            problem.weight_v.data = weight_v.data();
            problem.weight_h.data = weight_h.data();
        }
        return problem;
    }
};

// Metric distances: |i - j| capped at `cap` (1: Potts); cap 0: any numbers, no symmetry.
Whole random_whole(std::mt19937& random, int h, int w, int l, int cap, bool uniform) {
    Whole problem{h, w, l, {}, {}, {}, {}, uniform};
    for (int k = 0; k < h * w * l; ++k) problem.unary.push_back(draw(random, 0, 20000));
    for (int i = 0; i < l; ++i)
        for (int j = 0; j < l; ++j)
            problem.pairwise.push_back(cap ? 900 * std::min(std::abs(i - j), cap)
                                           : draw(random, -900, 900));
    for (int k = 0; k < (h - 1) * w; ++k) problem.weight_v.push_back(draw(random, 0, 5));
    for (int k = 0; k < h * (w - 1); ++k) problem.weight_h.push_back(draw(random, 0, 5));
    return problem;
}

std::vector<Label> all_labels(int count) {
    std::vector<Label> labels;
    for (Label a = 0; a < count; ++a) labels.push_back(a);
    return labels;
}

}  // namespace

TEST_CASE("strips of every width against enumeration") {
    std::mt19937 random(1);
    StripTable table;
    for (const auto& [rows, columns] : {std::pair(1, 1), {1, 4}, {3, 2}, {4, 4}, {2, 5}, {3, 5},
                                        {2, 6}, {2, 7}, {2, 8}, {1, 8}}) {
        for (int round = 0; round < 20; ++round) {
            const StripTable::Costs costs = table.resize(rows, columns);
            const int width = table.width();
            REQUIRE(width == std::max(columns, 4));
            struct Edge {
                int p, q;
                int cost[4];
            };
            std::vector<Edge> edges;
            std::vector<int> own(static_cast<std::size_t>(rows * columns));
            for (int r = 0; r < rows; ++r) {
                for (int c = 0; c < columns; ++c) {
                    const int p = r * columns + c, k = r * width + c;
                    const int taken = own[static_cast<std::size_t>(p)] = draw(random, -9, 9);
                    costs.left[4 * k + 1] = costs.left[4 * k + 3] = taken;
                    if (r) {
                        const int e[] = {0, draw(random, -9, 9), draw(random, -9, 9),
                                         draw(random, -9, 9)};
                        edges.push_back({p - columns, p, {0, e[1], e[2], e[3]}});
                        costs.take_below[k] = e[1];
                        costs.keep_above[k] = e[2];
                        costs.take_above[k] = e[3];
                    }
                    if (c) {
                        const int e[] = {0, draw(random, -9, 9), draw(random, -9, 9),
                                         draw(random, -9, 9)};
                        edges.push_back({p - 1, p, {0, e[1], e[2], e[3]}});
                        costs.left[4 * k + 1] += e[1];
                        costs.left[4 * k + 2] = e[2];
                        costs.left[4 * k + 3] += e[3];
                    }
                }
            }
            const auto energy = [&](unsigned x) {
                int sum = 0;
                for (std::size_t p = 0; p < own.size(); ++p) sum += x >> p & 1 ? own[p] : 0;
                for (const Edge& e : edges) sum += e.cost[2 * (x >> e.p & 1) + (x >> e.q & 1)];
                return sum;
            };
            int best = 0;
            for (unsigned x = 0; x < 1U << own.size(); ++x) best = std::min(best, energy(x));
            CHECK(table.solve() == best);
            unsigned found = 0;
            const auto& choices = table.choices();
            for (int r = 0; r < rows; ++r)
                for (int c = 0; c < columns; ++c)
                    if (choices[static_cast<std::size_t>(r)] >> c & 1) found |= 1U << (r * columns + c);
            CHECK(energy(found) == best);
        }
    }
}

TEST_CASE("quick expansion finds what the general one finds") {
    std::mt19937 random(2);
    QuickExpansion quick;
    Moves moves;
    FixedGrid grid;
    const int sizes[][3] = {{1, 1, 2}, {1, 9, 3},  {7, 1, 4},  {2, 2, 5},   {3, 4, 4},  {4, 4, 6},
                            {4, 9, 3}, {12, 4, 3}, {5, 5, 4},  {6, 7, 5},   {8, 8, 5},  {13, 9, 4},
                            {16, 16, 6}, {3, 20, 5}, {25, 31, 3}};
    for (int round = 0; round < 12; ++round) {
        for (const auto& [h, w, l] : sizes) {
            for (const int cap : {1, 3, 0}) {
                for (const bool uniform : {true, false}) {
                    CAPTURE(h);
                    CAPTURE(w);
                    CAPTURE(l);
                    CAPTURE(cap);
                    CAPTURE(uniform);
                    const Whole problem = random_whole(random, h, w, l, cap, uniform);
                    grid.assign(problem.view());
                    quick.assign(problem.view());
                    if (uniform) CHECK(quick.lossless());  // no cost is out of the edges' reach
                    std::vector<Label> mine(static_cast<std::size_t>(h * w)), general(mine);
                    quick.start_at_unary_minimum(mine.data());
                    const Cost start = grid.energy(mine.data());
                    general = mine;
                    quick.run(all_labels(l), 0, mine.data());
                    const Cost energy = grid.energy(mine.data());
                    CHECK(energy <= start);
                    if (cap == 0 && std::min(h, w) > 4) {
                        // Moves that are not submodular: the general solver may truncate them.
                        continue;
                    }
                    moves.expansion(grid, all_labels(l), 0, general.data());
                    CHECK(mine == general);
                    moves.expansion(grid, all_labels(l), 0, mine.data());
                    CHECK(grid.energy(mine.data()) == energy);  // no move is left
                }
            }
        }
    }
}

TEST_CASE("labels-first problems give the same labelling") {
    std::mt19937 random(3);
    QuickExpansion quick;
    for (int round = 0; round < 20; ++round) {
        const int h = draw(random, 1, 9), w = draw(random, 1, 9), l = draw(random, 1, 6);
        const Whole problem = random_whole(random, h, w, l, 1, true);
        const auto sites = static_cast<std::size_t>(h * w), labels = static_cast<std::size_t>(l);
        std::vector<std::vector<double>> rows(labels, std::vector<double>(sites));
        std::vector<const double*> pointers;
        for (std::size_t a = 0; a < labels; ++a) {
            for (std::size_t p = 0; p < sites; ++p) rows[a][p] = problem.unary[p * labels + a];
            pointers.push_back(rows[a].data());
        }
        std::vector<double> edge_costs;
        for (const double distance : problem.pairwise) edge_costs.push_back(3 * distance);
        std::vector<Label> mine(sites), other(sites);
        quick.assign(problem.view());
        quick.start_at_unary_minimum(mine.data());
        quick.run(all_labels(l), 0, mine.data());
        quick.assign(UniformProblem{h, w, l, pointers.data(), edge_costs.data()});
        quick.start_at_unary_minimum(other.data());
        quick.run(all_labels(l), 0, other.data());
        CAPTURE(h);
        CAPTURE(w);
        CAPTURE(l);
        CHECK(mine == other);
    }
}

TEST_CASE("a forbidding cost leaves the others their resolution") {
    QuickExpansion quick;
    // Two sites; label 0 is forbidden at the first one, and only a small gain decides the second.
    const std::vector<double> unary = {1e12, 0, 0.3, 0.2}, pairwise = {0, 1e-3, 1e-3, 0};
    GridProblem problem{1, 2, 2, unary.data(), pairwise.data(), {}, {}};
    problem.weight_v.uniform = problem.weight_h.uniform = 1;
    quick.assign(problem);
    CHECK(!quick.lossless());
    std::vector<Label> labels = {1, 0};
    quick.run(all_labels(2), 0, labels.data());
    CHECK(labels == std::vector<Label>{1, 1});
}
