// The 32-bit kernels: strips against enumeration, quick expansion against the general one.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "doctest.h"
#include "draws.hpp"
#include "gridcut/binary_move.hpp"
#include "gridcut/grid_move.hpp"
#include "gridcut/moves.hpp"
#include "gridcut/quick_expansion.hpp"
#include "gridcut/site_set.hpp"
#include "gridcut/strip_table.hpp"

using namespace comix;
using namespace comix::gridcut;

namespace {

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

// Random moves: own and joint costs, zero outside the grid.
template <class Number>
struct RandomMove {
    int rows, columns;
    std::vector<Number> alone, right, down;  // [site]

    RandomMove(std::mt19937& random, int rows_, int columns_, int most_joint)
        : rows(rows_), columns(columns_) {
        for (int r = 0; r < rows; ++r) {
            for (int c = 0; c < columns; ++c) {
                alone.push_back(draw(random, -9, 20));
                right.push_back(c + 1 < columns ? draw(random, -9, most_joint) : 0);
                down.push_back(r + 1 < rows ? draw(random, -9, most_joint) : 0);
            }
        }
    }

    template <class Choices>
    Number energy(const Choices& x) const {
        Number sum = 0;
        for (int p = 0; p < rows * columns; ++p) {
            const auto k = static_cast<std::size_t>(p);
            if (!x(p)) continue;
            sum += alone[k];
            if ((p + 1) % columns && x(p + 1)) sum += right[k];
            if (p + columns < rows * columns && x(p + columns)) sum += down[k];
        }
        return sum;
    }

    Number optimum() const {
        Number best = 0;
        for (unsigned x = 0; x < 1U << (rows * columns); ++x)
            best = std::min(best, energy([x](int p) { return x >> p & 1; }));
        return best;
    }
};

TEST_CASE_TEMPLATE("strips of every width against enumeration", Number, std::int32_t, double) {
    std::mt19937 random(1);
    StripTable<Number> table;
    for (const auto& [rows, columns] : {std::pair(1, 2),
                                        {5, 2},
                                        {1, 3},
                                        {5, 3},
                                        {1, 4},
                                        {4, 4},
                                        {2, 5},
                                        {3, 5},
                                        {2, 6},
                                        {2, 7},
                                        {2, 8},
                                        {1, 8}}) {
        if (columns < StripTable<Number>::kNarrowest) continue;
        for (int round = 0; round < 20; ++round) {
            const RandomMove<Number> move(random, rows, columns, 9);
            const auto sites = static_cast<std::size_t>(rows * columns);
            std::vector<Number> above(sites, 0), left(sites, 0);
            for (std::size_t p = 0; p < sites; ++p) {
                const auto w = static_cast<std::size_t>(columns);
                if (p >= w) above[p] = move.down[p - w];
                if (p % w) left[p] = move.right[p - 1];
            }
            const Number best =
                table.solve(rows, columns, {move.alone.data(), above.data(), left.data()});
            CHECK(best == move.optimum());
            const auto& choices = table.choices();
            CHECK(move.energy([&, w = columns](int p) {
                return choices[static_cast<std::size_t>(p / w)] >> (p % w) & 1;
            }) == best);
        }
    }
}

TEST_CASE_TEMPLATE("grid moves against enumeration and the general move", Number, std::int32_t,
                   double) {
    std::mt19937 random(4);
    GridMove<Number> quick;
    BinaryMove general;
    const int sizes[][2] = {{1, 1},   {1, 7},  {6, 1},  {2, 3}, {4, 4},   {3, 6},
                            {5, 3},   {6, 5},  {7, 8},  {9, 9}, {12, 20}, {30, 11},
                            {16, 16}, {5, 51}, {51, 5}, {5, 52}};
    for (const auto& [h, w] : sizes) {
        quick.resize(h, w);
        general.resize(h, w);
        for (int round = 0; round < 30; ++round) {
            // Positive joint costs only where every component is exact all the same.
            const int most_joint = std::min(h, w) <= 4 ? 9 : 0;
            const RandomMove<Number> move(random, h, w, most_joint);
            std::copy(move.alone.begin(), move.alone.end(), quick.alone());
            std::copy(move.right.begin(), move.right.end(), quick.joint_right());
            std::copy(move.down.begin(), move.down.end(), quick.joint_down());
            const Number best = quick.solve();
            if (best < 0) CHECK(move.energy([&](int p) { return quick.choices()[p]; }) == best);
            if (h * w <= 18) {
                CHECK(best == move.optimum());
                continue;
            }
            general.clear();
            for (int p = 0; p < h * w; ++p) {
                const auto k = static_cast<std::size_t>(p);
                general.add_site(p, 0, static_cast<Cost>(move.alone[k]));
                const auto edge = [](Number joint) {
                    return BinaryMove::Edge{0, 0, 0, static_cast<Cost>(joint)};
                };
                if ((p + 1) % w) general.set_horizontal(p, edge(move.right[k]));
                if (p + w < h * w) general.set_vertical(p, edge(move.down[k]));
            }
            const auto outcome = general.solve(true);
            CHECK(outcome.proven);
            CHECK(static_cast<Cost>(best) == outcome.change);
        }
    }
}

TEST_CASE("a set of sites is what its flags say") {
    std::mt19937 random(7);
    for (const int sites : {1, 63, 64, 65, 200}) {
        const int margin = 70;
        SiteSet set;
        set.resize(sites, margin);
        CHECK(set.empty());
        std::vector<bool> flags(static_cast<std::size_t>(sites + 2 * margin), false);
        const auto flag = [&](int p) { return flags[static_cast<std::size_t>(p + margin)]; };
        for (int round = 0; round < 100; ++round) {
            const auto p = static_cast<int>(random() % static_cast<unsigned>(sites));
            const bool member = random() % 2;
            const auto place = static_cast<std::size_t>(p + margin);
            switch (random() % 3) {
                case 0:
                    set.add(p, member);
                    flags[place] = flags[place] || member;
                    break;
                case 1:
                    set.remove(p, member);
                    flags[place] = flags[place] && !member;
                    break;
                default:
                    set.flip(p);
                    flags[place] = !flags[place];
            }
        }
        std::vector<int> found, expected;
        set.for_each([&](int p) { found.push_back(p); });
        for (int p = -margin; p < sites + margin; ++p) {
            CHECK(set[p] == flag(p));
            if (flag(p)) expected.push_back(p);
        }
        CHECK(found == expected);
        CHECK(set.empty() == expected.empty());
        for (int p = 0; p < sites; ++p)
            for (int k = 0; k < 64 && p + k < sites + margin; ++k)
                CHECK((set.from(p) >> k & 1) == static_cast<SiteSet::Word>(flag(p + k)));
        set.clear();
        set.add_run(sites - 1, 0b1);
        CHECK(set[sites - 1]);
        if (sites > 4) {
            set.clear();
            set.add_run(sites - 4, 0b1011);
            CHECK(set.from(sites - 4) == 0b1011);
        }
    }
}

TEST_CASE("masks become bits, and numbers the nearest integers") {
    CHECK(bits(Int4{0, -1, 0, -1}) == 0b1010);
    CHECK(bits(Int4{-1, 0, 0, 0}) == 0b0001);
    CHECK(bits(Long2{0, -1}) == 0b10);
    CHECK(bits(Long2{-1, 0}) == 0b01);
    for (const double value : {0.0, 0.4, 0.5, 1.5, 2.5, -0.5, -2.6, 4503599627370495.5}) {
        const Double2 rounded = nearest(Double2{value, -value});
        CHECK(rounded[0] == std::rint(value));
        CHECK(rounded[1] == std::rint(-value));
    }
}

TEST_CASE("quick expansion finds what the general one finds") {
    std::mt19937 random(2);
    QuickExpansion quick;
    Moves moves;
    FixedGrid grid;
    const int sizes[][3] = {{1, 1, 2}, {1, 9, 3},  {7, 1, 4},   {2, 2, 5},  {3, 4, 4},
                            {4, 4, 6}, {4, 9, 3},  {12, 4, 3},  {5, 5, 4},  {6, 7, 5},
                            {8, 8, 5}, {13, 9, 4}, {16, 16, 6}, {3, 20, 5}, {25, 31, 3}};
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
