// The cut of one Co-Mixup output that has been asked before.
#include <cstdint>
#include <random>
#include <vector>

#include "base/index.hpp"
#include "comixup/label_cut.hpp"
#include "doctest.h"
#include "gridcut/grid_cut.hpp"

using comix::at;
using namespace comix::comixup;
using comix::gridcut::Method;

namespace {

constexpr int kSide = 4, kInputs = 6, kBlocks = kSide * kSide;
constexpr double kBeta = 0.02;

using Asked = std::vector<LabelCut::Label>;
using Labels = std::vector<std::int64_t>;

struct Inputs {
    std::vector<double> cost;

    explicit Inputs(std::mt19937& random) {
        std::uniform_real_distribution<double> uniform(0, 1);
        for (int k = 0; k < kInputs * kBlocks; ++k) cost.push_back(-uniform(random) / kBlocks);
    }
    Partition view() const { return {kInputs, kInputs, kSide, kSide, cost.data(), nullptr}; }
};

Labels fresh(const Inputs& inputs, Method method, const std::vector<double>& rho,
             const std::vector<Pair>& soft) {
    LabelCut cut;
    cut.begin(inputs.view(), kBeta, method);
    Asked asked;
    Labels labels(at(2 * kBlocks), -1);
    REQUIRE(cut.solve(rho.data(), soft, asked, labels.data()));
    return labels;
}

}  // namespace

TEST_CASE("cuts that remember what they were asked: the answers of cuts that do not") {
    std::mt19937 random(20);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (const Method method : {Method::automatic, Method::exact, Method::swap}) {
        CAPTURE(static_cast<int>(method));
        int made = 0, kept = 0;
        for (int round = 0; round < 20; ++round) {
            const Inputs inputs(random);
            LabelCut cut;
            cut.begin(inputs.view(), kBeta, method);
            std::vector<double> rho(kInputs, 0.0);
            std::vector<Pair> soft;
            Asked asked;
            Labels labels(at(2 * kBlocks), -1);
            for (int step = 0; step < 12; ++step) {
                rho[random() % kInputs] = random() % 2 ? 0.0 : 0.1 * uniform(random);
                if (random() % 4 == 0) soft = {{0, static_cast<int>(1 + random() % 5)}};
                const Labels before = labels;
                const bool anew = cut.solve(rho.data(), soft, asked, labels.data());
                CHECK(labels == fresh(inputs, method, rho, soft));
                if (!anew) CHECK(labels == before);
                (anew ? made : kept) += 1;
            }
        }
        CHECK(made > 20);
        CHECK(kept > 20);
    }
}

TEST_CASE("a cut that is asked the same again leaves its labels alone") {
    std::mt19937 random(21);
    const Inputs inputs(random);
    LabelCut cut;
    cut.begin(inputs.view(), kBeta, Method::automatic);
    const std::vector<double> rho(kInputs, 0.0);
    Asked asked;
    Labels labels(at(2 * kBlocks), -1);
    CHECK(cut.solve(rho.data(), {}, asked, labels.data()));
    labels.assign(labels.size(), 7);
    CHECK_FALSE(cut.solve(rho.data(), {}, asked, labels.data()));
    CHECK(labels == Labels(at(2 * kBlocks), 7));
}

TEST_CASE("single precision decides nothing: costs that differ in the tenth digit") {
    std::mt19937 random(22);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (const double size : {1.0, 1e-3}) {  // of the costs; with rho all near 1.7
        for (int round = 0; round < 20; ++round) {
            Inputs inputs(random);
            std::vector<double> rho;
            for (int i = 0; i < kInputs; ++i) {
                const double base = size * uniform(random);
                rho.push_back(1.7 - base);
                for (int p = 0; p < kBlocks; ++p)
                    inputs.cost[at(i * kBlocks + p)] = base + 1e-9 * uniform(random);
            }
            LabelCut cut;
            cut.begin(inputs.view(), 0.0, Method::automatic);
            Asked asked;
            Labels labels(at(2 * kBlocks), -1), expected;
            REQUIRE(cut.solve(rho.data(), {}, asked, labels.data()));
            for (int p = 0; p < kBlocks; ++p) {
                int best = 0;
                const auto cost = [&](int i) {
                    return inputs.cost[at(i * kBlocks + p)] + rho[at(i)];
                };
                for (int i = 1; i < kInputs; ++i)
                    if (cost(i) < cost(best)) best = i;
                expected.insert(expected.end(), {best, best});
            }
            CHECK(labels == expected);
        }
    }
}

TEST_CASE("swap sees all labels in their order, those that cannot win too") {
    std::mt19937 random(23);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (int round = 0; round < 40; ++round) {
        const Inputs inputs(random);
        std::vector<double> rho, unary, distance;
        for (int i = 0; i < kInputs; ++i) rho.push_back(0.1 * uniform(random));
        for (int p = 0; p < kBlocks; ++p)
            for (int i = 0; i < kInputs; ++i)
                unary.push_back(inputs.cost[at(i * kBlocks + p)] + rho[at(i)]);
        for (int i = 0; i < kInputs; ++i)
            for (int j = 0; j < kInputs; ++j) distance.push_back(i != j);
        comix::gridcut::GridProblem problem;
        problem.height = problem.width = kSide;
        problem.labels = kInputs;
        problem.unary = unary.data();
        problem.pairwise = distance.data();
        problem.weight_v.uniform = problem.weight_h.uniform = kBeta;
        comix::gridcut::Options options;
        options.method = Method::swap;
        options.thorough = false;
        std::vector<comix::gridcut::Label> plain(at(kBlocks));
        comix::gridcut::GridCutter().solve(problem, options, false, plain.data());
        Labels expected;
        for (const auto label : plain) expected.insert(expected.end(), {label, label});
        CHECK(fresh(inputs, Method::swap, rho, {}) == expected);
    }
}
