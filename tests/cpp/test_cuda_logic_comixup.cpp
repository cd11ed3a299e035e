// The logic of the CUDA Co-Mixup kernels on the host, against the CPU's core.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "comixup/comixup.hpp"
#include "comixup/spot.hpp"
#include "cuda/comixup/objective.hpp"
#include "cuda/comixup/spot.hpp"
#include "doctest.h"
#include "host_teams.hpp"

using namespace comix;
using namespace comix::cuda;
namespace kernels = comix::cuda::comixup;

namespace {

struct Partition {
    int inputs, outputs, height, width;
    double tau = 0.83;
    std::vector<double> cost, compatibility;
    std::vector<std::int64_t> labels;

    Partition(std::mt19937& random, int n, int m, int h, int w, bool matrix)
        : inputs(n), outputs(m), height(h), width(w) {
        std::uniform_real_distribution<double> uniform(0, 1);
        for (int k = 0; k < n * h * w; ++k) cost.push_back(-uniform(random));
        if (matrix)
            for (int k = 0; k < n * n; ++k) compatibility.push_back(uniform(random));
        for (int k = 0; k < m * h * w; ++k) {
            labels.push_back(static_cast<std::int64_t>(random()) % n);
            labels.push_back(random() % 3 ? labels.back()
                                          : static_cast<std::int64_t>(random()) % n);
        }
    }
    const double* matrix() const { return compatibility.empty() ? nullptr : compatibility.data(); }

    // In blocks, how much of the first output's first input the other outputs use.
    double others_use() const {
        double halves = 0;
        for (std::size_t k = static_cast<std::size_t>(2 * height * width); k < labels.size(); ++k)
            halves += labels[k] == labels[0];
        return halves / 2;
    }
    double expected(kernels::Threshold threshold) const {
        comix::comixup::Partition part;
        part.inputs = inputs;
        part.outputs = outputs;
        part.height = height;
        part.width = width;
        part.cost = cost.data();
        part.compatibility = matrix();
        comix::comixup::Settings settings;
        settings.tau = tau;
        settings.threshold = static_cast<comix::comixup::Threshold>(threshold);
        return objective(part, settings, labels.data());
    }
    template <class Team>
    void run(Team& team, kernels::Threshold threshold, std::vector<double>& scratch,
             double* result) const {
        const kernels::Labelling part{inputs,      outputs,  height,       width,
                                      cost.data(), matrix(), labels.data()};
        kernels::objective(team, part, {0.32, 1.0, tau, threshold},
                           kernels::ObjectiveScratch::at(scratch.data(), inputs, outputs), result);
    }
    std::vector<double> scratch() const {
        const auto bytes = kernels::ObjectiveScratch::bytes(inputs, outputs);
        CHECK(bytes % 8 == 0);
        return std::vector<double>(static_cast<std::size_t>(bytes / 8), 1e300);
    }
};

using kernels::Threshold;
const Threshold kThresholds[] = {Threshold::hard, Threshold::soft, Threshold::hard_official};

}  // namespace

TEST_CASE("thresholds of both sides have the same names") {
    using Cpu = comix::comixup::Threshold;
    CHECK(static_cast<int>(Threshold::hard) == static_cast<int>(Cpu::hard));
    CHECK(static_cast<int>(Threshold::soft) == static_cast<int>(Cpu::soft));
    CHECK(static_cast<int>(Threshold::hard_official) == static_cast<int>(Cpu::hard_official));
}

TEST_CASE("objective: teams of any size find the CPU's value") {
    std::mt19937 random(111);
    const int shapes[][4] = {
        {1, 1, 1, 1}, {3, 5, 4, 4}, {7, 2, 3, 5}, {20, 20, 4, 4}, {2, 3, 1, 7}};
    for (const auto& [n, m, h, w] : shapes) {
        for (const bool matrix : {false, true}) {
            Partition part(random, n, m, h, w, matrix);
            // One reach meets the threshold exactly when there is no matrix: it is not over it.
            if (!matrix) part.tau = part.others_use() / (h * w);
            for (const auto threshold : kThresholds) {
                const double expected = part.expected(threshold);
                with_host_teams([&](HostTeam& team) {
                    auto scratch = part.scratch();
                    double result = 0;
                    part.run(team, threshold, scratch, &result);
                    CHECK(result == doctest::Approx(expected).epsilon(1e-12));
                    CHECK(team.shared_bytes() == kernels::objective_shared(team.size()).total());
                });
            }
        }
    }
}

TEST_CASE("objective: threads do not race, and inputs out of range count as the nearest") {
    std::mt19937 random(112);
    Partition part(random, 4, 3, 3, 3, true);
    part.labels[5] = 3;
    part.labels[8] = 0;
    for (const auto threshold : kThresholds) {
        const double expected = part.expected(threshold);
        Partition beyond = part;
        beyond.labels[5] = INT64_MAX;
        beyond.labels[8] = INT64_MIN;
        auto scratch = part.scratch();
        double result = 0;
        SpmdTeam::run(5, kernels::objective_shared(5).total(),
                      [&](SpmdTeam& team) { beyond.run(team, threshold, scratch, &result); });
        CHECK(result == doctest::Approx(expected).epsilon(1e-12));
    }
}

namespace {

template <class T, class Team>
void find_spot(Team& team, const kernels::SpotMap<T>& map, int columns, kernels::Spot* rows,
               std::int64_t* spot) {
    for (int r = 0; r < map.rows(); ++r) kernels::best_in_row(team, map, r, columns, rows + r);
    kernels::best_row(team, rows, map.rows(), map.width, spot);
}

template <class T>
void check_spots(unsigned seed) {
    std::mt19937 random(seed);
    const int shapes[][4] = {
        {1, 1, 1, 1}, {8, 8, 8, 8}, {12, 31, 8, 8}, {9, 5, 2, 3}, {3, 40, 1, 5}};
    for (const auto& [height, width, window_height, window_width] : shapes) {
        for (const bool ties : {false, true}) {
            std::vector<T> values(static_cast<std::size_t>(height * width));
            for (auto& value : values)
                value = ties ? static_cast<T>(random() % 2)
                             : std::uniform_real_distribution<T>(0, 1)(random);
            const kernels::SpotMap<T> map{values.data(), height, width, window_height,
                                          window_width};
            comix::comixup::SpotFinder<T> finder;
            const auto expected =
                finder.find(values.data(), height, width, window_height, window_width);
            // One tile, and tiles as narrow as can be.
            for (const int columns :
                 {kernels::spot_columns(window_width), window_width, window_width + 2}) {
                with_host_teams([&](HostTeam& team) {
                    std::vector<kernels::Spot> rows(static_cast<std::size_t>(map.rows()));
                    std::int64_t spot[2] = {-1, -1};
                    find_spot(team, map, columns, rows.data(), spot);
                    CHECK(spot[0] == expected.row);
                    CHECK(spot[1] == expected.column);
                });
            }
        }
    }
}

}  // namespace

TEST_CASE("salient spots are the CPU's, ties included") {
    SUBCASE("float32") {
        check_spots<float>(113);
    }
    SUBCASE("float64") {
        check_spots<double>(114);
    }
}

TEST_CASE("salient spots: threads do not race, NaN stays in bounds") {
    std::mt19937 random(115);
    std::vector<float> values(10 * 12);
    for (auto& value : values) value = std::uniform_real_distribution<float>(0, 1)(random);
    const kernels::SpotMap<float> map{values.data(), 10, 12, 3, 4};
    std::vector<kernels::Spot> rows(8);
    std::int64_t spot[2];
    const auto run = [&] {
        SpmdTeam::run(4,
                      kernels::spot_row_shared(4, 6).total() * 9 + kernels::spot_shared(4).total(),
                      [&](SpmdTeam& team) { find_spot(team, map, 6, rows.data(), spot); });
    };
    run();
    const auto expected = comix::comixup::SpotFinder<float>().find(values.data(), 10, 12, 3, 4);
    CHECK(spot[0] == expected.row);
    CHECK(spot[1] == expected.column);
    values.assign(values.size(), std::numeric_limits<float>::quiet_NaN());
    run();
    CHECK(spot[0] == 0);
    CHECK(spot[1] == 0);
}
