// Plans made in one call against the steps they consist of.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "augment/comixup_plan.hpp"
#include "augment/puzzlemix_plan.hpp"
#include "base/index.hpp"
#include "comixup/batch.hpp"
#include "comixup/spot.hpp"
#include "doctest.h"
#include "gridcut/grid_cut.hpp"
#include "puzzlemix/pool.hpp"
#include "transport/transport.hpp"

using namespace comix;

namespace {

using Numbers = std::vector<double>;
using Indices = std::vector<std::int64_t>;

template <class T>
std::vector<T> uniform(std::mt19937& random, std::int64_t count) {
    std::uniform_real_distribution<float> number(0, 1);
    std::vector<T> values(at(count));
    for (auto& value : values) value = static_cast<T>(number(random));
    return values;
}

// A plan in memory of its own; what is not written stays -1.
struct Memory {
    Memory(std::int64_t batch, std::int64_t blocks)
        : source(at(batch * blocks * 2), -1),
          block(at(batch * blocks * 2), -1),
          weight(at(batch * blocks * 2), -1.0F) {}
    mixing::PlanOutput out() { return {source.data(), block.data(), weight.data()}; }
    bool operator==(const Memory& other) const {
        return source == other.source && block == other.block && weight == other.weight;
    }

    Indices source, block;
    std::vector<float> weight;
};

template <class S>
Numbers pooled(const std::vector<S>& maps, std::int64_t batch, std::int64_t height,
               std::int64_t width, std::int64_t gh, std::int64_t gw) {
    std::vector<S> blocks(at(batch * gh * gw));
    REQUIRE(puzzlemix::pool(maps.data(), batch, height, width, gh, gw, blocks.data(), 1));
    return {blocks.begin(), blocks.end()};
}

template <class T, class S>
struct Puzzle {
    augment::PuzzleBatch<T, S> batch;
    std::vector<T> images;
    std::vector<S> saliency;
    Indices index;
    Numbers prior, deviation;

    Puzzle(std::mt19937& random, std::int64_t count, std::int64_t gh, std::int64_t gw) {
        auto& terms = batch.terms;
        terms.batch = count;
        terms.channels = 2;
        terms.height = 12;
        terms.width = 13;
        terms.grid_height = gh;
        terms.grid_width = gw;
        terms.labels = 3;
        terms.beta = 0.004;
        terms.gamma = 0.5;
        images = uniform<T>(random, count * terms.pixels());
        saliency = uniform<S>(random, count * terms.height * terms.width);
        prior = uniform<double>(random, count * terms.labels);
        for (double& cost : prior) cost *= 0.002;  // masks of several labels: saliency decides
        deviation = {1.0, 0.5};
        for (std::int64_t b = 0; b < count; ++b)
            index.push_back(static_cast<std::int64_t>(random()) % count);
        terms.index = index.data();
        terms.prior = prior.data();
        terms.each_prior = true;
        terms.deviation = deviation.data();
        batch.images = images.data();
        batch.saliency = saliency.data();
    }

    std::int64_t moving() const { return batch.height() * batch.width(); }

    Memory at_once(int threads) const {
        Memory plan(batch.terms.batch, moving());
        CHECK(augment::puzzlemix_plan(batch, plan.out(), threads));
        return plan;
    }

    Memory in_steps() const {
        puzzlemix::Terms terms = batch.terms;
        const std::int64_t count = terms.batch, blocks = terms.blocks();
        const std::int64_t gh = terms.grid_height, gw = terms.grid_width;
        const Numbers coarse = pooled(saliency, count, terms.height, terms.width, gh, gw);
        const Numbers fine =
            pooled(saliency, count, terms.height, terms.width, batch.height(), batch.width());
        terms.saliency = coarse.data();
        Numbers unary(at(count * blocks * terms.labels)), weight_v(at(count * (gh - 1) * gw)),
            weight_h(at(count * gh * (gw - 1)));
        REQUIRE(puzzlemix::energy(terms, images.data(), unary.data(), weight_v.data(),
                                  weight_h.data(), 1));
        const Numbers distance{0, 0.25, 1, 0.25, 0, 0.25, 1, 0.25, 0};
        gridcut::Options options;
        options.method = gridcut::Method::automatic;
        Memory plan(count, moving());
        std::vector<float> masks;
        Indices own, partner;
        for (std::int64_t b = 0; b < count; ++b) {
            gridcut::GridProblem cut;
            cut.height = static_cast<int>(gh);
            cut.width = static_cast<int>(gw);
            cut.labels = 3;
            cut.unary = &unary[at(b * blocks * 3)];
            cut.pairwise = distance.data();
            cut.weight_v.data = weight_v.data() + b * (gh - 1) * gw;
            cut.weight_h.data = weight_h.data() + b * gh * (gw - 1);
            std::vector<gridcut::Label> labels(at(blocks));
            gridcut::GridCutter().solve(cut, options, false, labels.data());
            Numbers mask(at(moving())), rest(at(moving()));
            for (std::int64_t r = 0, k = 0; r < batch.height(); ++r)
                for (std::int64_t c = 0; c < batch.width(); ++c, ++k) {
                    const std::int64_t of = r * gh / batch.height() * gw + c * gw / batch.width();
                    mask[at(k)] = 1 - 0.5 * labels[at(of)];
                    rest[at(k)] = 1 - mask[at(k)];
                }
            masks.insert(masks.end(), mask.begin(), mask.end());
            const auto move = [&](std::int64_t image, const Numbers& shown, Indices& moves) {
                transport::Problem problem{static_cast<int>(batch.height()),
                                           static_cast<int>(batch.width()),
                                           fine.data() + image * moving(), shown.data(), batch.eps};
                moves.resize(moves.size() + at(moving()));
                transport::Planner().solve(problem, transport::Method::exact,
                                           &moves[moves.size() - at(moving())]);
            };
            move(b, mask, own);
            move(index[at(b)], rest, partner);
        }
        REQUIRE(mixing::from_mask(
            masks.data(), index.data(), batch.transport ? own.data() : nullptr,
            batch.transport ? partner.data() : nullptr, count, moving(), plan.out()));
        return plan;
    }
};

// The masks alone are the own images' weights of a plan that moves nothing.
template <class T, class S>
void check_masks(const Puzzle<T, S>& puzzle, const Memory& plan) {
    for (const int threads : {1, 2, 5}) {
        std::vector<float> masks(plan.weight.size() / 2);
        CHECK(augment::puzzlemix_masks<T, S>(puzzle.batch, masks.data(), threads));
        for (std::size_t k = 0; k < masks.size(); ++k) CHECK(masks[k] == plan.weight[2 * k]);
    }
}

template <class T, class S>
void check_puzzles(unsigned seed) {
    std::mt19937 random(seed);
    int moved[2] = {}, mixed = 0;  // own and partner's blocks away from home; masks of two labels
    for (const std::int64_t count : {1, 2, 9, 40}) {
        for (const bool transport : {true, false}) {
            for (const std::int64_t finer : {1, 3}) {
                Puzzle<T, S> puzzle(random, count, 4, 3);
                puzzle.batch.transport = transport;
                puzzle.batch.finer_height = finer;
                puzzle.batch.eps = 0.01;
                const Memory steps = puzzle.in_steps();
                for (const int threads : {1, 2, 5}) CHECK(puzzle.at_once(threads) == steps);
                if (!transport && finer == 1) check_masks(puzzle, steps);
                const auto entries = static_cast<std::size_t>(2 * puzzle.moving());
                for (std::size_t e = 0; e < steps.block.size(); ++e) {
                    moved[e % 2] += steps.block[e] != static_cast<std::int64_t>(e % entries / 2);
                    mixed += steps.weight[e] != steps.weight[e / entries * entries + e % 2];
                }
            }
        }
    }
    for (const int count : {moved[0], moved[1], mixed}) CHECK(count > 100);
}

template <class S>
struct Batch {
    augment::CoMixupBatch<S> batch;
    std::vector<S> saliency;
    Numbers prior;
    Indices init;

    Batch(std::mt19937& random, std::int64_t count, std::int64_t partition, std::int64_t starts) {
        batch.batch = count;
        batch.height = 11;
        batch.width = 12;
        batch.grid_height = 3;
        batch.grid_width = 4;
        batch.partition = partition;
        batch.starts = starts;
        batch.window_height = batch.window_width = 4;
        batch.omega = 0.1;
        saliency = uniform<S>(random, count * batch.height * batch.width);
        prior = uniform<double>(random, count);
        for (auto& value : prior) value /= 50;
        for (std::int64_t begin = 0; begin < count; begin += partition) {
            const std::int64_t n = std::min(partition, count - begin);
            for (std::int64_t k = 0; k < n * starts * batch.blocks(); ++k)
                init.push_back(static_cast<std::int64_t>(random()) % n);
        }
        batch.saliency = saliency.data();
        batch.prior = prior.data();
        batch.init = init.data();
    }

    Memory in_steps() const {
        const std::int64_t blocks = batch.blocks(), pixels = batch.height * batch.width;
        Numbers cost = pooled(saliency, batch.batch, batch.height, batch.width, batch.grid_height,
                              batch.grid_width);
        for (std::int64_t k = 0; k < batch.batch * blocks; ++k)
            cost[at(k)] = prior[at(k / blocks)] - cost[at(k)];
        Memory plan(batch.batch, blocks);
        for (std::int64_t begin = 0; begin < batch.batch; begin += batch.partition) {
            const std::int64_t n = std::min(batch.partition, batch.batch - begin);
            Indices spots;
            for (std::int64_t i = begin; i < begin + n; ++i) {
                const auto spot = comixup::SpotFinder<S>().find(saliency.data() + i * pixels,
                                                                batch.height, batch.width, 4, 4);
                spots.insert(spots.end(), {spot.row, spot.column});
            }
            Numbers matrix(at(n * n));
            comixup::compatibility(spots.data(), n, batch.omega, matrix.data());
            comixup::Partition partition{static_cast<int>(n),          static_cast<int>(n), 3, 4,
                                         cost.data() + begin * blocks, matrix.data()};
            double best = std::numeric_limits<double>::infinity();
            for (std::int64_t start = 0; start < batch.starts; ++start) {
                Indices labels(at(n * blocks * 2));
                const std::int64_t* from =
                    init.data() + (begin * batch.starts + start * n) * blocks;
                comixup::solve_batch({{partition, from, labels.data()}}, 1, batch.settings, 1);
                const double objective =
                    comixup::objective(partition, batch.settings, labels.data());
                if (objective >= best) continue;
                best = objective;
                for (std::int64_t k = 0; k < n * blocks * 2; ++k) {
                    const std::size_t e = at(begin * blocks * 2 + k);
                    plan.source[e] = labels[at(k)] + begin;
                    plan.block[e] = k / 2 % blocks;
                    plan.weight[e] = 0.5F;
                }
            }
        }
        return plan;
    }
};

template <class S>
void check_batches(unsigned seed) {
    std::mt19937 random(seed);
    for (const std::int64_t count : {1, 5, 6, 13})
        for (const std::int64_t partition : {1, 3, 5, 20})
            for (const std::int64_t starts : {1, 3}) {
                const Batch<S> given(random, count, partition, starts);
                const Memory steps = given.in_steps();
                for (const int threads : {1, 2, 5}) {
                    Memory plan(count, given.batch.blocks());
                    const auto largest = augment::comixup_plan(given.batch, plan.out(), threads);
                    CHECK(plan == steps);
                    CHECK(largest == *std::max_element(plan.source.begin(), plan.source.end()));
                }
            }
}

}  // namespace

TEST_CASE("a PuzzleMix plan made in one call is that of its steps") {
    check_puzzles<float, float>(71);
    check_puzzles<float, double>(72);
    check_puzzles<double, float>(73);
    check_puzzles<double, double>(74);
}

TEST_CASE("PuzzleMix tells of values that are of no use") {
    std::mt19937 random(75);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const int threads : {1, 3}) {
        const auto refused = [&](const auto& spoil) {
            Puzzle<float, float> puzzle(random, 9, 4, 3);
            spoil(puzzle);
            Memory plan(9, 12);
            CHECK_FALSE(augment::puzzlemix_plan(puzzle.batch, plan.out(), threads));
            std::vector<float> masks(at(9 * 12));
            CHECK_FALSE(
                augment::puzzlemix_masks<float, float>(puzzle.batch, masks.data(), threads));
        };
        refused([&](auto& puzzle) { puzzle.images.back() = nan; });
        refused([&](auto& puzzle) { puzzle.saliency[500] = -1e-9F; });
        refused([&](auto& puzzle) { puzzle.prior[7] = std::numeric_limits<double>::infinity(); });
        // Not of no use: a map without a single number is a uniform one.
        Puzzle<float, float> puzzle(random, 9, 4, 3);
        std::fill(puzzle.saliency.begin(), puzzle.saliency.end(), nan);
        CHECK(puzzle.at_once(threads) == puzzle.in_steps());
    }
}

TEST_CASE("a grid too fine to move is refused") {
    std::mt19937 random(76);
    Puzzle<float, float> puzzle(random, 1, 1, 1);
    puzzle.batch.finer_height = puzzle.batch.finer_width = 129;
    Memory plan(1, 1);  // nothing is written
    CHECK_THROWS_AS(augment::puzzlemix_plan(puzzle.batch, plan.out(), 1), InvalidArgument);
}

TEST_CASE("a Co-Mixup plan made in one call is that of its steps") {
    check_batches<float>(77);
    check_batches<double>(78);
}

TEST_CASE("Co-Mixup tells of values that are of no use") {
    std::mt19937 random(79);
    for (const int threads : {1, 3}) {
        Batch<double> given(random, 7, 3, 1);
        Memory plan(7, given.batch.blocks());
        given.prior[6] = std::numeric_limits<double>::quiet_NaN();
        CHECK(augment::comixup_plan(given.batch, plan.out(), threads) == -1);
        given.prior[6] = 0;
        CHECK(augment::comixup_plan(given.batch, plan.out(), threads) >= 0);
        given.saliency[300] = -1;
        CHECK(augment::comixup_plan(given.batch, plan.out(), threads) == -1);
    }
}
