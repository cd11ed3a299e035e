// What Co-Mixup chooses among equals, which result it keeps, and how it measures the inputs.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "base/index.hpp"
#include "comixup/batch.hpp"
#include "comixup/descent.hpp"
#include "comixup/spot.hpp"
#include "doctest.h"

using comix::at;
using namespace comix::comixup;

namespace {

using Labels = std::vector<std::int64_t>;
using Vector = std::vector<double>;

// Nothing but the costs counts, and all inputs are overused.
Settings costs_only() {
    Settings settings;
    settings.beta = settings.gamma = settings.tau = 0;
    return settings;
}

Labels solved(const Partition& partition, const Settings& settings, const Labels& init) {
    Labels labels(2 * init.size(), -1);
    solve_batch({{partition, init.data(), labels.data()}}, 1, settings, 1);
    return labels;
}

}  // namespace

TEST_CASE("descent leaves alone what no move improves, and takes the first of equals") {
    Vector cost(6, 0.0);
    Settings settings = costs_only();
    const Partition two_blocks{3, 2, 1, 2, cost.data(), nullptr};
    const Labels before{2, 2, 1, 0, 2, 1, 1, 1};
    Labels labels = before;
    Descent().run(two_blocks, settings, labels.data());
    CHECK(labels == before);
    cost.assign(6, 1e-10);  // an improvement that may be rounding is none
    cost[0] = 0;
    Descent().run(two_blocks, settings, labels.data());
    CHECK(labels == before);
    // One block each, both of input 0: output 0 may as well show 1 as 2.
    cost.assign(6, 0.0);
    settings.gamma = 1;
    labels = {0, 0, 0, 0};
    Descent().run({3, 2, 1, 1, cost.data(), nullptr}, settings, labels.data());
    CHECK(labels == Labels{1, 1, 0, 0});
}

TEST_CASE("three inputs of an output may mix, of equals the first") {
    // Each block has an input of its own; 0 and 1 are as good as equal at the first block, 2 and 3
    // at the last.
    Vector cost(16, 1.0);
    for (std::size_t i = 0; i < 4; ++i) cost[5 * i] = 0;
    cost[4] = cost[11] = 1e-4;
    Settings settings = costs_only();
    settings.sweeps = 2;
    settings.select = Select::last;
    CHECK(solved({4, 1, 1, 4, cost.data(), nullptr}, settings, {0, 1, 2, 3}) ==
          Labels{0, 1, 1, 1, 2, 2, 3, 3});
}

TEST_CASE("descent starts from the best sweep and from the second one") {
    std::mt19937 random(57);
    std::uniform_real_distribution<double> uniform(0, 1);
    int earlier = 0, from_second = 0, from_best = 0;
    for (int round = 0; round < 60; ++round) {
        Vector cost;
        for (int k = 0; k < 6 * 9; ++k) cost.push_back(-uniform(random));
        const Partition partition{6, 6, 3, 3, cost.data(), nullptr};
        Labels init;
        for (int k = 0; k < 6 * 9; ++k) init.push_back(static_cast<std::int64_t>(random()) % 6);
        Settings settings;
        settings.beta = uniform(random);
        settings.gamma = 2 * uniform(random);
        settings.tau = uniform(random);
        settings.threshold = round % 3 ? Threshold::hard : Threshold::soft;
        settings.resolve_duplicates = false;
        settings.select = Select::last;
        Labels best, second, last;
        double lowest = 0;
        for (settings.sweeps = 1; settings.sweeps <= 4; ++settings.sweeps) {
            last = solved(partition, settings, init);
            const double value = objective(partition, settings, last.data());
            if (settings.sweeps == 2) second = last;
            if (!best.empty() && value >= lowest - 1e-12) continue;
            lowest = value;
            best = last;
        }
        earlier += best != last;
        Descent().run(partition, settings, best.data());
        Descent().run(partition, settings, second.data());
        const double gain = objective(partition, settings, best.data()) -
                            objective(partition, settings, second.data());
        settings.sweeps = 4;
        settings.select = Select::best;
        const Labels got = solved(partition, settings, init);
        if (std::abs(gain) < 1e-12) {  // rounding decides
            CHECK((got == best || got == second));
        } else {
            CHECK(got == (gain > 0 ? second : best));
            from_second += gain > 0;
            from_best += gain < 0;
        }
    }
    CHECK(earlier > 5);
    CHECK(from_second > 5);
    CHECK(from_best > 5);
}

TEST_CASE("of starts that end equally well the first is kept") {
    const Vector cost(2, 0.0);
    const Partition partition{2, 2, 1, 1, cost.data(), nullptr};
    Settings settings = costs_only();
    settings.gamma = 1;
    const Labels starts{0, 0, 0, 1, 0, 0};
    CHECK(solved(partition, settings, {0, 0}) != solved(partition, settings, {0, 1}));
    for (const std::int64_t first : {0, 2}) {
        Labels labels(4, -1);
        Task task;
        task.partition = partition;
        task.init = starts.data() + first;
        task.labels = labels.data();
        solve_batch({task}, 2, settings, 1);
        CHECK(labels == solved(partition, settings, {starts[at(first)], starts[at(first + 1)]}));
    }
}

TEST_CASE("a batch has the same labels on any number of threads") {
    std::mt19937 random(58);
    std::uniform_real_distribution<double> uniform(0, 1);
    constexpr int most_inputs = 9, blocks = 12, starts = 3;
    Vector cost;
    Labels init;
    for (int k = 0; k < most_inputs * blocks; ++k) cost.push_back(-uniform(random));
    for (int k = 0; k < starts * most_inputs * blocks; ++k)
        init.push_back(static_cast<std::int64_t>(random()) % 2);
    for (const std::size_t count : {1, 2, 3, 5, 20}) {
        for (const auto select : {Select::best, Select::last}) {
            Settings settings;
            settings.select = select;
            std::vector<Labels> expected;
            for (const int threads : {1, 2, 3, 8}) {
                std::vector<Labels> labels(count);
                std::vector<Task> tasks(count);
                for (std::size_t t = 0; t < count; ++t) {
                    const int n = 2 + static_cast<int>(t) % (most_inputs - 1);
                    labels[t].assign(at(2 * n * blocks), -1);
                    tasks[t] = {{n, n, 3, 4, cost.data(), nullptr}, init.data(), labels[t].data()};
                }
                solve_batch(tasks, 1 + static_cast<int>(count) % starts, settings, threads);
                if (threads == 1) expected = labels;
                CHECK(labels == expected);
                CHECK(*std::min_element(labels[0].begin(), labels[0].end()) >= 0);
            }
        }
    }
}

TEST_CASE("the salient spot is the first of the windows with the largest sum") {
    SpotFinder<float> finder;
    std::vector<float> map(20, 0.0F);  // 4 x 5
    using Place = std::pair<std::int64_t, std::int64_t>;
    const auto find = [&](std::int64_t height, std::int64_t width) {
        const Spot spot = finder.find(map.data(), 4, 5, height, width);
        return Place(spot.row, spot.column);
    };
    CHECK((find(2, 2) == Place(0, 0)));
    map[9] = map[15] = 1;  // the last column of row 1, the first of row 3
    CHECK((find(1, 1) == Place(1, 4)));
    CHECK((find(2, 2) == Place(0, 3)));
    map[15] = 2;
    CHECK((find(2, 2) == Place(2, 0)));
    CHECK((find(4, 5) == Place(0, 0)));
}

TEST_CASE("compatibility by hand: spots apart, and all in one place") {
    Vector matrix(4);
    const std::int64_t apart[] = {0, 5, 3, 1};  // 3 rows and 4 columns: 7 of 14 in all
    compatibility(apart, 2, 0.5, matrix.data());
    CHECK(matrix == Vector{0.5, 0.5, 0.5, 0.5});
    compatibility(apart, 2, 0.25, matrix.data());
    CHECK(matrix == Vector{0.75, 0.25, 0.25, 0.75});
    const std::int64_t together[] = {2, 2, 2, 2};
    compatibility(together, 2, 0.25, matrix.data());
    CHECK(matrix == Vector{1, 0, 0, 1});
}
