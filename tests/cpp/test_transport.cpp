// Transport plans against every permutation, a plain Hungarian and the contest written out in full.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "base/errors.hpp"
#include "base/index.hpp"
#include "doctest.h"
#include "transport/transport.hpp"

using comix::at;
using namespace comix::transport;

namespace {

using Plan = std::vector<std::int64_t>;

struct Move {
    int height, width;
    double eps;
    std::vector<double> saliency, mask;

    int blocks() const { return height * width; }
    Problem view() const { return {height, width, saliency.data(), mask.data(), eps}; }

    // Block i lands at position j; straight from the definition.
    double cost(int i, int j) const {
        const double side = std::max(height, width) > 1 ? std::max(height, width) - 1 : 1;
        const double dr = (i / width - j / width) / side, dc = (i % width - j % width) / side;
        return eps * (dr * dr + dc * dc) - (mask[at(j)] > 0 ? saliency[at(i)] : 0);
    }
    double total(const Plan& plan) const {
        double sum = 0;
        for (int j = 0; j < blocks(); ++j) sum += cost(static_cast<int>(plan[at(j)]), j);
        return sum;
    }
    // Costs are rounded to 2^-40 of the largest.
    double tolerance() const {
        const double largest = *std::max_element(saliency.begin(), saliency.end());
        return blocks() * (2 * eps + largest) * 0x1p-38 + 1e-300;
    }
};

enum class Draw { uniform, dyadic, sparse, zero };  // dyadic, sparse: many ties

Move random_move(std::mt19937& random, int height, int width, double eps, Draw draw) {
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    std::uniform_real_distribution<double> uniform(0, 1);
    Move move{height, width, eps, {}, {}};
    for (int p = 0; p < height * width; ++p) {
        double saliency = 0;
        if (draw == Draw::uniform) saliency = uniform(random);
        if (draw == Draw::dyadic) saliency = below(5) / 4.0;
        if (draw == Draw::sparse) saliency = below(4) == 0;
        move.saliency.push_back(saliency);
        move.mask.push_back(below(3) ? uniform(random) : -below(2));
    }
    return move;
}

Plan solve(Planner& planner, const Move& move, Method method) {
    Plan plan(at(move.blocks()), -1);
    planner.solve(move.view(), method, plan.data());
    return plan;
}

bool is_permutation(Plan plan) {
    std::sort(plan.begin(), plan.end());
    for (std::size_t k = 0; k < plan.size(); ++k)
        if (plan[k] != static_cast<std::int64_t>(k)) return false;
    return true;
}

Plan identity(int blocks) {
    Plan plan(at(blocks));
    std::iota(plan.begin(), plan.end(), 0);
    return plan;
}

double cheapest_permutation(const Move& move) {
    Plan plan = identity(move.blocks());
    double best = std::numeric_limits<double>::infinity();
    do best = std::min(best, move.total(plan));
    while (std::next_permutation(plan.begin(), plan.end()));
    return best;
}

// The Hungarian method in doubles on the dense matrix, rows added one at a time (1-based).
double hungarian(const Move& move) {
    const int n = move.blocks();
    std::vector<double> u(at(n + 1)), v(at(n + 1));
    std::vector<int> row_of(at(n + 1)), way(at(n + 1));
    for (int i = 1; i <= n; ++i) {
        row_of[0] = i;
        int column = 0;
        std::vector<double> least(at(n + 1), std::numeric_limits<double>::infinity());
        std::vector<bool> used(at(n + 1), false);
        do {
            used[at(column)] = true;
            const int row = row_of[at(column)];
            double delta = std::numeric_limits<double>::infinity();
            int next = 0;
            for (int j = 1; j <= n; ++j) {
                if (used[at(j)]) continue;
                const double reduced = move.cost(row - 1, j - 1) - u[at(row)] - v[at(j)];
                if (reduced < least[at(j)]) {
                    least[at(j)] = reduced;
                    way[at(j)] = column;
                }
                if (least[at(j)] < delta) {
                    delta = least[at(j)];
                    next = j;
                }
            }
            for (int j = 0; j <= n; ++j) {
                if (used[at(j)]) {
                    u[at(row_of[at(j)])] += delta;
                    v[at(j)] -= delta;
                } else {
                    least[at(j)] -= delta;
                }
            }
            column = next;
        } while (row_of[at(column)] != 0);
        for (; column; column = way[at(column)]) row_of[at(column)] = row_of[at(way[at(column)])];
    }
    Plan plan(at(n));
    for (int j = 1; j <= n; ++j) plan[at(j - 1)] = row_of[at(j)] - 1;
    return move.total(plan);
}

const std::pair<int, int> kTiny[] = {{1, 1}, {1, 2}, {2, 1}, {1, 5}, {5, 1}, {2, 2},
                                     {2, 3}, {3, 2}, {1, 6}, {1, 7}, {7, 1}};
const double kEps[] = {0.0, 1e-300, 1e-9, 0.05, 0.8, 4.0, 1e9, 1e300};

}  // namespace

TEST_CASE("exact plans against every permutation") {
    std::mt19937 random(21);
    Planner planner;
    for (int round = 0; round < 20; ++round) {
        for (const auto& [height, width] : kTiny) {
            for (const double eps : kEps) {
                for (const auto draw : {Draw::uniform, Draw::dyadic, Draw::sparse, Draw::zero}) {
                    CAPTURE(height);
                    CAPTURE(width);
                    CAPTURE(eps);
                    const Move move = random_move(random, height, width, eps, draw);
                    const Plan plan = solve(planner, move, Method::exact);
                    REQUIRE(is_permutation(plan));
                    const double best = cheapest_permutation(move);
                    CHECK(move.total(plan) <= best + move.tolerance());
                    CHECK(hungarian(move) <= best + move.tolerance());  // the other oracle is one
                }
            }
        }
    }
}

TEST_CASE("exact plans against the Hungarian method, up to 8 x 8") {
    std::mt19937 random(22);
    Planner planner;  // one for all sizes
    int height = 1, width = 1;
    for (int round = 0; round < 1500; ++round) {
        if (round % 4 == 0) {  // other prices and maps on the same grid first
            height = 1 + static_cast<int>(random() % 8);
            width = 1 + static_cast<int>(random() % 8);
        }
        const double eps = kEps[random() % std::size(kEps)];
        const auto draw = static_cast<Draw>(round % 3);
        CAPTURE(height);
        CAPTURE(width);
        CAPTURE(eps);
        const Move move = random_move(random, height, width, eps, draw);
        const Plan plan = solve(planner, move, Method::exact);
        REQUIRE(is_permutation(plan));
        CHECK(move.total(plan) <= hungarian(move) + move.tolerance());
        Planner fresh;
        CHECK(solve(fresh, move, Method::exact) == plan);  // nothing left over from other sizes
    }
}

TEST_CASE("exact plans of dyadic costs are optimal to the last bit") {
    std::mt19937 random(23);
    Planner planner;
    // Sides of 2, 3, 5 blocks: distances are multiples of 1, 1/4, 1/16.
    for (const auto& [height, width] : {std::pair(2, 3), std::pair(3, 3), std::pair(5, 4),
                                        std::pair(5, 5), std::pair(1, 5), std::pair(3, 1)}) {
        for (const double eps : {0.0, 0.25, 1.0, 2.0}) {
            for (int round = 0; round < 10; ++round) {
                const Move move = random_move(random, height, width, eps, Draw::dyadic);
                CHECK(move.total(solve(planner, move, Method::exact)) == hungarian(move));
            }
        }
    }
}

TEST_CASE("blocks stay at home when moving gains nothing") {
    std::mt19937 random(24);
    Planner planner;
    for (const auto& [height, width] :
         {std::pair(1, 1), std::pair(4, 4), std::pair(1, 9), std::pair(9, 1), std::pair(3, 5)}) {
        const Plan home = identity(height * width);
        for (const double eps : {0.1, 0.8, 1e9}) {
            // Nothing salient.
            CHECK(solve(planner, random_move(random, height, width, eps, Draw::zero),
                        Method::exact) == home);
            // Everything shown, or nothing.
            for (const double mask : {1.0, 1e-300, 0.0, -1.0}) {
                Move move = random_move(random, height, width, eps, Draw::uniform);
                move.mask.assign(at(height * width), mask);
                CHECK(solve(planner, move, Method::exact) == home);
            }
        }
        // Moving is dearer than any gain.
        CHECK(solve(planner, random_move(random, height, width, 1e4, Draw::uniform),
                    Method::exact) == home);
    }
    // An exchange that costs what it gains is none.
    CHECK(solve(planner, {1, 2, 0.5, {1, 0}, {0, 1}}, Method::exact) == identity(2));
    CHECK(solve(planner, {1, 2, 0.49, {1, 0}, {0, 1}}, Method::exact) == Plan{1, 0});
}

TEST_CASE("the unit that costs are given in decides nothing") {
    std::mt19937 random(29);
    Planner planner;
    for (int round = 0; round < 40; ++round) {
        const auto draw = round % 2 ? Draw::uniform : Draw::dyadic;
        const Move move = random_move(random, 5, 4, round % 4 < 2 ? 0.25 : 1.0, draw);
        const Plan plan = solve(planner, move, Method::exact);
        for (const double unit : {0x1p-38, 0x1p-200, 0x1p200}) {
            Move scaled = move;
            scaled.eps *= unit;
            for (auto& saliency : scaled.saliency) saliency *= unit;
            CHECK(solve(planner, scaled, Method::exact) == plan);
        }
    }
}

TEST_CASE("saliency and eps that are of no use are refused by both methods") {
    Planner planner;
    for (const auto method : {Method::exact, Method::greedy}) {
        for (const double bad : {-1e-300, std::numeric_limits<double>::infinity(), std::nan("")}) {
            CHECK_THROWS_WITH_AS(solve(planner, {1, 3, 0.8, {0, bad, 1}, {1, 1, 1}}, method),
                                 "saliency: expected finite values >= 0", comix::InvalidArgument);
            CHECK_THROWS_WITH_AS(solve(planner, {1, 3, bad, {0, 0, 1}, {1, 1, 1}}, method),
                                 "eps: expected a finite number >= 0", comix::InvalidArgument);
        }
    }
}

TEST_CASE("costs near the end of float64") {
    std::mt19937 random(28);
    Planner planner;
    for (const double eps : {1e300, 8e307, 1.7e308}) {
        for (const int side : {2, 3, 6}) {
            Move move = random_move(random, side, side, eps, Draw::uniform);
            if (eps < 8.9e307) {
                CHECK(solve(planner, move, Method::exact) == identity(side * side));
            } else {  // the way from corner to corner costs twice eps
                CHECK_THROWS_WITH_AS(
                    solve(planner, move, Method::exact),
                    "eps, saliency: expected costs that float64 can hold, got some that overflow",
                    comix::InvalidArgument);
            }
            // Saliency as large, and moves are free: what is shown beats what is hidden.
            move.eps = 0;
            for (auto& saliency : move.saliency) saliency *= eps;
            const Plan plan = solve(planner, move, Method::exact);
            REQUIRE(is_permutation(plan));
            double least_shown = eps, most_hidden = 0;
            for (std::size_t j = 0; j < plan.size(); ++j) {
                const double saliency = move.saliency[at(plan[j])];
                if (move.mask[j] > 0) least_shown = std::min(least_shown, saliency);
                if (!(move.mask[j] > 0)) most_hidden = std::max(most_hidden, saliency);
            }
            CHECK(least_shown >= most_hidden * (1 - 1e-9));
        }
    }
}

TEST_CASE("free moves: the most salient blocks are shown") {
    std::mt19937 random(25);
    Planner planner;
    for (int round = 0; round < 30; ++round) {
        const Move move = random_move(random, 4, 1 + round % 6, 0.0, Draw::uniform);
        std::vector<double> sorted = move.saliency;
        std::sort(sorted.rbegin(), sorted.rend());
        double best = 0;
        std::size_t shown = 0;
        for (const double m : move.mask)
            if (m > 0) best += sorted[shown++];
        CHECK(move.total(solve(planner, move, Method::exact)) ==
              doctest::Approx(-best).epsilon(1e-10));
    }
}

namespace {

// The contest as the official code writes it: dense float32 matrices, [block][position].
struct Contest {
    std::vector<std::vector<float>> cost;
    std::vector<int> winner_at;  // per position, -1: nobody
};

Contest contest(const Move& move) {
    const int n = move.blocks(), side = std::max(move.height, move.width);
    const auto square = std::max(1.0F, static_cast<float>((side - 1) * (side - 1)));
    Contest result;
    result.cost.assign(at(n), std::vector<float>(at(n)));
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j < n; ++j) {
            const int dr = i / move.width - j / move.width, dc = i % move.width - j % move.width;
            const float shown = move.mask[at(j)] > 0 ? 1.0F : 0.0F;
            result.cost[at(i)][at(j)] =
                static_cast<float>(move.eps) * (static_cast<float>(dr * dr + dc * dc) / square) -
                static_cast<float>(move.saliency[at(i)]) * shown;
        }
    }
    const auto zeros = [n] {
        return std::vector<std::vector<float>>(at(n), std::vector<float>(at(n)));
    };
    for (int round = 0; round < side; ++round) {
        auto plan = zeros(), win = zeros();
        for (int i = 0; i < n; ++i) {
            const auto& row = result.cost[at(i)];
            plan[at(i)][at(std::min_element(row.begin(), row.end()) - row.begin())] = 1;
        }
        for (int j = 0; j < n; ++j) {
            std::vector<float> fight;
            for (int i = 0; i < n; ++i)
                fight.push_back(plan[at(i)][at(j)] * result.cost[at(i)][at(j)]);
            const auto best = std::min_element(fight.begin(), fight.end()) - fight.begin();
            win[at(best)][at(j)] = plan[at(best)][at(j)];
        }
        result.winner_at.assign(at(n), -1);
        for (int i = 0; i < n; ++i) {
            for (int j = 0; j < n; ++j) {
                result.cost[at(i)][at(j)] += (1 - win[at(i)][at(j)]) * plan[at(i)][at(j)];
                if (win[at(i)][at(j)] > 0) result.winner_at[at(j)] = i;
            }
        }
    }
    return result;
}

}  // namespace

TEST_CASE("greedy: a permutation that keeps the visible winners of the contest") {
    std::mt19937 random(26);
    Planner planner;
    int kept = 0, lost = 0;
    for (int round = 0; round < 2000; ++round) {
        const int height = 1 + static_cast<int>(random() % 7),
                  width = 1 + static_cast<int>(random() % 7);
        const double eps = kEps[random() % 7];  // 1e300 is no float32
        Move move = random_move(random, height, width, eps, static_cast<Draw>(round % 4));
        for (auto& saliency : move.saliency) saliency *= 1 + round % 3 * 2;  // worth more than 1
        CAPTURE(height);
        CAPTURE(width);
        CAPTURE(eps);
        const Plan plan = solve(planner, move, Method::greedy);
        REQUIRE(is_permutation(plan));
        Planner fresh;
        CHECK(solve(fresh, move, Method::greedy) == plan);
        const Contest official = contest(move);
        // Visible winners stay, then blocks at home, then what is left in order.
        Plan expected(plan.size(), -1);
        std::vector<bool> placed(plan.size(), false);
        const auto place = [&](std::size_t position, std::int64_t block) {
            expected[position] = block;
            placed[at(block)] = true;
        };
        for (std::size_t j = 0; j < plan.size(); ++j) {
            if (official.winner_at[j] >= 0 && move.mask[j] > 0) {
                CHECK(plan[j] == official.winner_at[j]);
                place(j, official.winner_at[j]);
                ++kept;
            } else {
                ++lost;
            }
        }
        for (std::size_t j = 0; j < plan.size(); ++j)
            if (expected[j] < 0 && !placed[j]) place(j, static_cast<std::int64_t>(j));
        std::vector<std::int64_t> left;
        for (std::size_t i = plan.size(); i-- > 0;)
            if (!placed[i]) left.push_back(static_cast<std::int64_t>(i));
        for (auto& block : expected) {
            if (block >= 0) continue;
            block = left.back();
            left.pop_back();
        }
        CHECK(plan == expected);
        if (eps < 1e6) {
            CHECK(move.total(solve(planner, move, Method::exact)) <=
                  move.total(plan) + move.tolerance());
        }
    }
    CHECK(kept > 1000);  // the contest is no formality
    CHECK(lost > 1000);
}

TEST_CASE("plan_cost is the sum of its definition") {
    std::mt19937 random(27);
    for (int round = 0; round < 200; ++round) {
        const int height = 1 + static_cast<int>(random() % 6),
                  width = 1 + static_cast<int>(random() % 6);
        const Move move = random_move(random, height, width, round % 5 * 0.3, Draw::uniform);
        Plan plan = identity(move.blocks());
        std::shuffle(plan.begin(), plan.end(), random);
        CHECK(plan_cost(move.view(), plan.data()) ==
              doctest::Approx(move.total(plan)).epsilon(1e-12));
        // Any map of positions to blocks has a cost, permutation or not.
        for (auto& block : plan) block = static_cast<std::int64_t>(random() % at(move.blocks()));
        CHECK(plan_cost(move.view(), plan.data()) ==
              doctest::Approx(move.total(plan)).epsilon(1e-12));
    }
    // One by hand: 2 x 2, eps 0.5, blocks 0 and 3 exchanged, position 0 shown.
    const Move move{2, 2, 0.5, {0.1, 0.2, 0.3, 0.4}, {1, 0, 0, -1}};
    const Plan exchanged{3, 1, 2, 0};
    CHECK(plan_cost(move.view(), exchanged.data()) == doctest::Approx(0.5 * (2 + 2) - 0.4));
}
