// The cut of one Co-Mixup output that has been asked before.
#include <cstdint>
#include <random>
#include <vector>

#include "base/index.hpp"
#include "comixup/label_cut.hpp"
#include "doctest.h"

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
