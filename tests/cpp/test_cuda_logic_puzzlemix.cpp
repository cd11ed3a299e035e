// The logic of the CUDA PuzzleMix kernels on the host, against the CPU's core and the formulas.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "base/index.hpp"
#include "cuda/puzzlemix/energy.hpp"
#include "cuda/puzzlemix/pool.hpp"
#include "doctest.h"
#include "host_teams.hpp"
#include "puzzlemix/puzzlemix.hpp"

using namespace comix;
using namespace comix::cuda;
namespace kernels = comix::cuda::puzzlemix;

namespace {

struct Shape {
    std::int64_t height, width, grid_height, grid_width, neighbour_size, labels;
};
const Shape kShapes[] = {{8, 8, 2, 2, 4, 3}, {32, 32, 4, 4, 4, 2}, {13, 17, 3, 4, 2, 4},
                         {7, 5, 7, 5, 4, 3}, {9, 9, 1, 1, 3, 2},   {6, 20, 1, 5, 1, 5},
                         {20, 6, 5, 1, 3, 3}};

// Three images of two channels, in both memory formats.
template <class T>
struct Case {
    static constexpr std::int64_t kBatch = 3, kChannels = 2;
    Shape shape;
    std::vector<T> images;         // [B, C, H, W]
    std::vector<T> channels_last;  // [B, H, W, C]
    std::vector<double> saliency, lam, deviation;
    std::vector<std::int64_t> index{2, 0, 2};

    Case(std::mt19937& random, const Shape& s) : shape(s), lam{0.3, 0.0, 1.0}, deviation{0.2, 0.7} {
        std::uniform_real_distribution<double> uniform(0, 1);
        const std::int64_t pixels = s.height * s.width;
        channels_last.resize(at(kBatch * kChannels * pixels));
        for (std::int64_t b = 0; b < kBatch; ++b)
            for (std::int64_t c = 0; c < kChannels; ++c)
                for (std::int64_t p = 0; p < pixels; ++p) {
                    if constexpr (std::is_same_v<T, std::uint8_t>) {
                        images.push_back(static_cast<T>(random()));
                    } else if constexpr (sizeof(T) == 2) {
                        images.push_back(T::from(static_cast<float>(uniform(random))));
                    } else {
                        images.push_back(static_cast<T>(uniform(random)));
                    }
                    channels_last[at((b * pixels + p) * kChannels + c)] = images.back();
                }
        for (std::int64_t k = 0; k < kBatch * s.grid_height * s.grid_width; ++k)
            saliency.push_back(uniform(random));
    }
    kernels::Terms terms(bool last) const {
        kernels::Terms terms;
        terms.batch = kBatch;
        terms.channels = kChannels;
        terms.height = shape.height;
        terms.width = shape.width;
        terms.image = kChannels * shape.height * shape.width;
        terms.channel = last ? 1 : shape.height * shape.width;
        terms.pixel = last ? kChannels : 1;
        terms.row = shape.width * terms.pixel;
        terms.grid_height = shape.grid_height;
        terms.grid_width = shape.grid_width;
        terms.labels = shape.labels;
        terms.saliency = saliency.data();
        terms.index = index.data();
        terms.lam = lam.data();
        terms.deviation = deviation.data();
        terms.beta = 0.02;
        terms.gamma = 0.5;
        terms.eta = 0.2;
        terms.neighbour_size = shape.neighbour_size;
        return terms;
    }
    std::int64_t blocks() const { return shape.grid_height * shape.grid_width; }
};

struct Costs {
    std::vector<double> unary, pairwise, weight_v, weight_h;
    std::vector<float> shown;

    explicit Costs(const kernels::Terms& t)
        : unary(at(t.batch * t.grid_height * t.grid_width * t.labels), 1e300),
          pairwise(at(t.labels * t.labels), 1e300),
          weight_v(at(t.batch * (t.grid_height - 1) * t.grid_width), 1e300),
          weight_h(at(t.batch * t.grid_height * (t.grid_width - 1)), 1e300),
          shown(at(t.labels), 1e30F) {}
    kernels::Result result() {
        return {unary.data(), pairwise.data(), weight_v.data(), weight_h.data(), shown.data()};
    }
    bool operator==(const Costs& other) const {
        return unary == other.unary && pairwise == other.pairwise && weight_v == other.weight_v &&
               weight_h == other.weight_h && shown == other.shown;
    }
};

// The cells with one team, the energies with teams of `size` threads.
template <class T>
Costs run(std::mt19937& random, const kernels::Terms& terms, const std::vector<T>& images,
          int size = 0) {
    Costs costs(terms);
    const auto bytes = kernels::Energy(terms, nullptr, {}).scratch_bytes();
    std::vector<double> scratch(at(bytes / 8), 1e300);
    const kernels::Energy energy(terms, scratch.data(), costs.result());
    for_each_item(any_team(random), energy.cell_items(),
                  [&](std::int64_t item) { kernels::measure_cell(energy, images.data(), item); });
    for (std::int64_t b = 0; b < terms.batch; ++b) {
        HostTeam team = size > 0 ? HostTeam(size) : any_team(random);
        kernels::write_energy(team, energy, b);
        CHECK(team.shared_bytes() == 0);
    }
    return costs;
}

template <class T, class Wide>
void check_energy(unsigned seed) {
    std::mt19937 random(seed);
    for (const auto& shape : kShapes) {
        for (const double gamma : {0.5, 1.0, 0.0}) {
            CAPTURE(shape.height);
            CAPTURE(shape.width);
            CAPTURE(gamma);
            const Case<T> given(random, shape);
            kernels::Terms terms = given.terms(false);
            terms.gamma = gamma;

            std::vector<Wide> images;
            for (const T& value : given.images)
                images.push_back(static_cast<Wide>(kernels::detail::colour(value)));
            std::vector<double> prior;
            for (std::int64_t b = 0; b < terms.batch; ++b)
                for (std::int64_t k = 0; k < terms.labels; ++k) {
                    const auto n = static_cast<double>(terms.labels - 1);
                    const auto l = static_cast<double>(k);
                    const double choose = std::round(std::tgamma(n + 1) /
                                                     (std::tgamma(l + 1) * std::tgamma(n - l + 1)));
                    prior.push_back(-terms.eta *
                                    std::log(choose * std::pow(given.lam[at(b)], n - l) *
                                                 std::pow(1 - given.lam[at(b)], l) +
                                             1e-8));
                }
            comix::puzzlemix::Terms cpu{terms.batch, terms.channels,    terms.height,
                                        terms.width, terms.grid_height, terms.grid_width,
                                        terms.labels};
            cpu.saliency = given.saliency.data();
            cpu.index = given.index.data();
            cpu.prior = prior.data();
            cpu.each_prior = true;
            cpu.deviation = given.deviation.data();
            cpu.beta = terms.beta;
            cpu.gamma = terms.gamma;
            cpu.neighbour_size = terms.neighbour_size;
            Costs expected(terms);
            comix::puzzlemix::energy(cpu, images.data(), expected.unary.data(),
                                     expected.weight_v.data(), expected.weight_h.data(), 1);

            const auto check = [&](const Costs& costs) {
                CHECK(costs.weight_v == expected.weight_v);
                CHECK(costs.weight_h == expected.weight_h);
                const auto last = static_cast<double>(terms.labels - 1);
                for (std::int64_t k = 0; k < terms.labels; ++k) {
                    const double share = static_cast<double>(k) / last;
                    CHECK(costs.shown[at(k)] == static_cast<float>(1 - share));
                    for (std::int64_t l = 0; l < terms.labels; ++l) {
                        const double step = share - static_cast<double>(l) / last;
                        CHECK(costs.pairwise[at(k * terms.labels + l)] == step * step);
                    }
                }
                double worst = 0;
                for (std::size_t k = 0; k < costs.unary.size(); ++k)
                    worst = std::max(worst, std::abs(costs.unary[k] - expected.unary[k]));
                CHECK(worst < 1e-13);
            };
            check(run(random, terms, given.images));
            kernels::Terms last = given.terms(true);
            last.gamma = gamma;
            last.deviation = nullptr;
            std::copy(given.deviation.begin(), given.deviation.end(), last.inline_deviation);
            check(run(random, last, given.channels_last));
        }
    }
}

}  // namespace

TEST_CASE("energy: edge weights are the CPU's, unary costs up to the prior's last digits") {
    SUBCASE("float32") {
        check_energy<float, float>(121);
    }
    SUBCASE("float64") {
        check_energy<double, double>(122);
    }
    SUBCASE("float16") {
        check_energy<Float16, float>(123);
    }
    SUBCASE("bfloat16") {
        check_energy<BFloat16, float>(124);
    }
    SUBCASE("uint8") {
        check_energy<std::uint8_t, float>(125);
    }
}

TEST_CASE("energy: the same bits from teams of any size, threads that race not") {
    std::mt19937 random(127);
    for (const auto& shape : kShapes) {
        const Case<float> given(random, shape);
        const kernels::Terms terms = given.terms(false);
        const Costs expected = run(random, terms, given.images, 1);
        for (const int size : {2, 3, 31, 128, 256})
            CHECK(run(random, terms, given.images, size) == expected);

        Costs costs(terms);
        std::vector<double> scratch(at(kernels::Energy(terms, nullptr, {}).scratch_bytes() / 8),
                                    1e300);
        const kernels::Energy energy(terms, scratch.data(), costs.result());
        for_each_item(HostTeam(1), energy.cell_items(), [&](std::int64_t item) {
            kernels::measure_cell(energy, given.images.data(), item);
        });
        for (std::int64_t b = 0; b < terms.batch; ++b)
            SpmdTeam::run(4, 0, [&](SpmdTeam& team) { kernels::write_energy(team, energy, b); });
        CHECK(costs == expected);
    }
}

TEST_CASE("energy: saliency in single precision, cells that nobody compares are left alone") {
    std::mt19937 random(128);
    Case<float> given(random, {33, 31, 2, 2, 3, 3});
    std::vector<float> single(given.saliency.begin(), given.saliency.end());
    given.saliency.assign(single.begin(), single.end());
    kernels::Terms terms = given.terms(false);
    const Costs expected = run(random, terms, given.images);
    terms.saliency = nullptr;
    terms.single_saliency = single.data();
    CHECK(run(random, terms, given.images) == expected);

    // Blocks of 5 x 5 cells; nobody reads the 3 x 3 inside.
    Costs costs(terms);
    std::vector<double> scratch(at(kernels::Energy(terms, nullptr, {}).scratch_bytes() / 8), 1e300);
    const kernels::Energy energy(terms, scratch.data(), costs.result());
    CHECK(energy.cells_kept() == 3 * 2 * 4 * 25);
    CHECK(energy.cell_items() == 3 * 2 * 4 * 16);
    for (std::int64_t item = 0; item < energy.cell_items(); ++item)
        kernels::measure_cell(energy, given.images.data(), item);
    for (std::int64_t k = 0; k < energy.cells_kept(); ++k) {
        const auto inside = [](std::int64_t place) { return place % 5 % 4 != 0; };
        CHECK((scratch[at(k)] == 1e300) == (inside(k / 10 % 10) && inside(k % 10)));
    }
}

TEST_CASE("energy: many blocks and labels in one pair") {
    std::mt19937 random(129);
    const Case<float> given(random, {40, 30, 20, 30, 1, 50});
    const Costs costs = run(random, given.terms(false), given.images);
    CHECK(costs == run(random, given.terms(false), given.images, 1));
    CHECK(*std::max_element(costs.unary.begin(), costs.unary.end()) < 1e300);
    CHECK(*std::max_element(costs.pairwise.begin(), costs.pairwise.end()) == 1);
    CHECK(costs.shown.front() == 1);
    CHECK(costs.shown.back() == 0);
}

TEST_CASE("energy: partners out of range stay in bounds, one lam for all, rounding forgiven") {
    std::mt19937 random(126);
    Case<float> given(random, kShapes[2]);
    kernels::Terms terms = given.terms(false);
    terms.lam = nullptr;
    terms.uniform_lam = 0.3;
    const Costs expected = run(random, terms, given.images);
    given.lam = {0.3, 0.3, 0.3};
    given.index = {INT64_MAX, -1, 3};
    const Costs costs = run(random, given.terms(false), given.images);
    CHECK(costs.unary == expected.unary);
    CHECK(costs.weight_v == expected.weight_v);
    // All negative weights are forgiven when the slack says so.
    terms = given.terms(false);
    terms.gamma = 40;
    const Costs negative = run(random, terms, given.images);
    CHECK(*std::min_element(negative.weight_v.begin(), negative.weight_v.end()) < 0);
    terms.slack = 1e9;
    const Costs forgiven = run(random, terms, given.images);
    for (std::size_t k = 0; k < forgiven.weight_v.size(); ++k)
        CHECK(forgiven.weight_v[k] == std::max(0.0, negative.weight_v[k]));
}

namespace {

// In one pass, as small maps are pooled, and step by step: the same bits.
template <class T, class Out>
std::vector<Out> pool(HostTeam& team, const Shape& s, std::int64_t batch, const T* maps) {
    const auto bytes = kernels::Pool::bytes(batch, s.width, s.grid_height, s.grid_width);
    std::vector<double> scratch(at(bytes / 8), 1e300);
    const kernels::Pool pool(batch, s.height, s.width, s.grid_height, s.grid_width,
                             std::is_same_v<T, double>, scratch.data());
    std::vector<Out> pooled(at(batch * pool.blocks()), Out{-1}), at_once = pooled;
    for (std::int64_t b = 0; b < batch; ++b) {
        HostTeam another = team.another();
        kernels::pool_image(another, pool, maps, b, at_once.data() + b * pool.blocks());
        CHECK(another.shared_bytes() <= kernels::pool_shared(team.size()).total());
    }
    std::fill(scratch.begin(), scratch.end(), 1e300);
    if constexpr (std::is_same_v<T, double>)
        for (std::int64_t b = 0; b < batch; ++b) kernels::find_scale(team, pool, maps, b);
    for_each_item(HostTeam(team.size()), pool.column_items(),
                  [&](std::int64_t item) { kernels::sum_column(pool, maps, item); });
    for (std::int64_t b = 0; b < batch; ++b)
        kernels::normalise(team, pool, b, pooled.data() + b * pool.blocks());
    CHECK(pooled == at_once);
    return pooled;
}

// By counting: pixel (y, x) is in block (y*gh/H, x*gw/W).
template <class T>
std::vector<double> naive_pool(const Shape& s, std::int64_t batch, const T* maps) {
    std::vector<double> pooled;
    for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t blocks = s.grid_height * s.grid_width;
        std::vector<long double> sum(at(blocks)), area(at(blocks));
        for (std::int64_t y = 0; y < s.height; ++y)
            for (std::int64_t x = 0; x < s.width; ++x) {
                const auto p =
                    at(y * s.grid_height / s.height * s.grid_width + x * s.grid_width / s.width);
                sum[p] += static_cast<double>(maps[(b * s.height + y) * s.width + x]);
                area[p] += 1;
            }
        long double total = 0;
        for (std::size_t p = 0; p < sum.size(); ++p) total += sum[p] / area[p];
        for (std::size_t p = 0; p < sum.size(); ++p)
            pooled.push_back(static_cast<double>(sum[p] / area[p] / total));
    }
    return pooled;
}

template <class T, class Out>
void check_pool(unsigned seed, double tolerance) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (const auto& shape : kShapes) {
        std::vector<T> maps;
        for (std::int64_t k = 0; k < 2 * shape.height * shape.width; ++k) {
            if constexpr (sizeof(T) == 2) {
                maps.push_back(T::from(static_cast<float>(uniform(random))));
            } else {
                maps.push_back(static_cast<T>(uniform(random)));
            }
        }
        const auto expected = naive_pool(shape, 2, maps.data());
        with_host_teams([&](HostTeam& team) {
            const auto pooled = pool<T, Out>(team, shape, 2, maps.data());
            double worst = 0;
            for (std::size_t k = 0; k < pooled.size(); ++k)
                worst = std::max(worst, std::abs(static_cast<double>(pooled[k]) - expected[k]));
            CHECK(worst < tolerance);
        });
    }
}

}  // namespace

TEST_CASE("pool_saliency: block means that sum to 1") {
    SUBCASE("float32") {
        check_pool<float, float>(131, 1e-7);
    }
    SUBCASE("float64") {
        check_pool<double, double>(132, 1e-14);
    }
    SUBCASE("float16") {
        check_pool<Float16, float>(133, 1e-7);
    }
    SUBCASE("bfloat16") {
        check_pool<BFloat16, float>(134, 1e-7);
    }
}

TEST_CASE("pool_saliency: any scale works; maps that say nothing become uniform") {
    const Shape shape{4, 4, 2, 2, 1, 2};
    constexpr double huge = 1.7e308, tiny = 4.9e-324;
    const double infinity = std::numeric_limits<double>::infinity();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    with_host_teams([&](HostTeam& team) {
        for (const double level : {1.0, huge, 1e-300, tiny}) {
            std::vector<double> map(16, level);
            map[0] = map[1] = map[4] = map[5] = 0;
            const auto pooled = pool<double, double>(team, shape, 1, map.data());
            CHECK(pooled[0] == 0);
            for (int p = 1; p < 4; ++p)
                CHECK(pooled[at(p)] == doctest::Approx(1.0 / 3).epsilon(1e-12));
        }
        for (const double level : {0.0, infinity, nan, -1.0}) {
            std::vector<double> map(16, 1.0);
            std::vector<float> narrow(16, 1.0F);
            for (int p = 3; p < 16; ++p) {
                map[at(p)] = level;
                narrow[at(p)] = static_cast<float>(level);
            }
            map[0] = map[1] = map[2] = level;
            narrow[0] = narrow[1] = narrow[2] = static_cast<float>(level);
            CHECK(pool<double, double>(team, shape, 1, map.data()) == std::vector<double>(4, 0.25));
            CHECK(pool<float, float>(team, shape, 1, narrow.data()) ==
                  std::vector<float>(4, 0.25F));
        }
        std::vector<double> one_nan(16, 1.0);
        one_nan[7] = nan;
        CHECK(pool<double, double>(team, shape, 1, one_nan.data()) == std::vector<double>(4, 0.25));
    });
}
