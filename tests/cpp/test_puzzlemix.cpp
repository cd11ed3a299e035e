// The PuzzleMix energy against the sum it stands for, before the re-parametrisation.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "base/index.hpp"
#include "doctest.h"
#include "puzzlemix/pool.hpp"
#include "puzzlemix/puzzlemix.hpp"

using comix::at;
using namespace comix::puzzlemix;

namespace {

struct Case {
    std::int64_t batch = 3, channels = 3, height = 12, width = 12, grid_height = 3, grid_width = 3;
    std::int64_t labels = 2, neighbour_size = 4;
    double beta = 0.3, gamma = 0.7, rounding = 0;
    std::vector<double> images, saliency, prior, deviation;
    std::vector<std::int64_t> index;

    std::int64_t blocks() const { return grid_height * grid_width; }
    Terms terms() const {
        Terms terms{batch, channels, height, width, grid_height, grid_width, labels};
        terms.saliency = saliency.data();
        terms.index = index.data();
        terms.prior = prior.data();
        terms.each_prior = true;
        terms.deviation = deviation.data();
        terms.beta = beta;
        terms.gamma = gamma;
        terms.neighbour_size = neighbour_size;
        terms.rounding = rounding;
        return terms;
    }
};

void fill(Case& c, std::mt19937& random) {
    std::uniform_real_distribution<double> uniform(0, 1);
    const auto numbers = [&](std::int64_t count) {
        std::vector<double> values(at(count));
        for (auto& value : values) value = uniform(random);
        return values;
    };
    c.images = numbers(c.batch * c.channels * c.height * c.width);
    for (auto& value : c.images) value = std::round(value * 512) / 128 - 2;  // a float holds it
    c.saliency = numbers(c.batch * c.blocks());
    c.prior = numbers(c.batch * c.labels);
    c.deviation = numbers(c.channels);
    c.index.resize(at(c.batch));
    std::iota(c.index.begin(), c.index.end(), 0);
    std::shuffle(c.index.begin(), c.index.end(), random);
}

struct Energy {
    std::vector<double> unary, weight_v, weight_h;

    bool operator==(const Energy& other) const {
        return unary == other.unary && weight_v == other.weight_v && weight_h == other.weight_h;
    }
};

template <class T>
Energy compute(const Case& c, int threads) {
    const double untouched = std::nan("");  // every entry is written
    Energy e;
    e.unary.assign(at(c.batch * c.blocks() * c.labels), untouched);
    e.weight_v.assign(at(c.batch * (c.grid_height - 1) * c.grid_width), untouched);
    e.weight_h.assign(at(c.batch * c.grid_height * (c.grid_width - 1)), untouched);
    const std::vector<T> images(c.images.begin(), c.images.end());
    energy(c.terms(), images.data(), e.unary.data(), e.weight_v.data(), e.weight_h.data(), threads);
    return e;
}

// Which of n equal parts of `length` a position is in.
std::int64_t part_of(std::int64_t position, std::int64_t length, std::int64_t n) {
    return position * n / length;
}

// First pixel and length of block i, by looking at every pixel.
struct Span {
    std::int64_t begin, length;
};

Span block_of(std::int64_t i, std::int64_t pixels, std::int64_t blocks) {
    Span span{-1, 0};
    for (std::int64_t y = 0; y < pixels; ++y) {
        if (part_of(y, pixels, blocks) != i) continue;
        if (span.begin < 0) span.begin = y;
        ++span.length;
    }
    return span;
}

std::int64_t cells_of(std::int64_t pixels, std::int64_t blocks, std::int64_t neighbour_size) {
    return std::max<std::int64_t>(1, pixels / blocks / std::min(neighbour_size, pixels / blocks));
}

// Mean of the image over cell (i, j) of block (r, c), times the channel's deviation.
double cell_mean(const Case& c, std::int64_t image, std::int64_t channel, std::int64_t r,
                 std::int64_t column, std::int64_t i, std::int64_t j) {
    const Span rows = block_of(r, c.height, c.grid_height);
    const Span columns = block_of(column, c.width, c.grid_width);
    const std::int64_t cells_down = cells_of(c.height, c.grid_height, c.neighbour_size);
    const std::int64_t cells_across = cells_of(c.width, c.grid_width, c.neighbour_size);
    double sum = 0;
    int count = 0;
    for (std::int64_t y = 0; y < rows.length; ++y) {
        for (std::int64_t x = 0; x < columns.length; ++x) {
            if (part_of(y, rows.length, cells_down) != i) continue;
            if (part_of(x, columns.length, cells_across) != j) continue;
            const std::int64_t plane = (image * c.channels + channel) * c.height;
            sum += c.images[at((plane + rows.begin + y) * c.width + columns.begin + x)];
            ++count;
        }
    }
    return c.deviation[at(channel)] * sum / count;
}

// Contrast across the border below (r, column), or to its right, when the near block shows image a
// and the far one image b.
double contrast(const Case& c, std::int64_t a, std::int64_t b, std::int64_t r, std::int64_t column,
                bool below) {
    const std::int64_t cells_down = cells_of(c.height, c.grid_height, c.neighbour_size);
    const std::int64_t cells_across = cells_of(c.width, c.grid_width, c.neighbour_size);
    double sum = 0;
    int count = 0;
    for (std::int64_t channel = 0; channel < c.channels; ++channel) {
        for (std::int64_t t = 0; t < (below ? cells_across : cells_down); ++t, ++count) {
            const double near = below ? cell_mean(c, a, channel, r, column, cells_down - 1, t)
                                      : cell_mean(c, a, channel, r, column, t, cells_across - 1);
            const double far = below ? cell_mean(c, b, channel, r + 1, column, 0, t)
                                     : cell_mean(c, b, channel, r, column + 1, t, 0);
            sum += std::abs(near - far);
        }
    }
    return sum / count;
}

// h[a][b] of every edge of sample b, a and b: 1 the sample, 0 its partner.
struct Edge {
    std::int64_t first, second;  // blocks
    double h[2][2];
    const double* weight;
};

std::vector<Edge> edges_of(const Case& c, const Energy& e, std::int64_t b) {
    const std::int64_t shown[2] = {c.index[at(b)], b};
    std::vector<Edge> edges;
    for (const bool below : {true, false}) {
        for (std::int64_t r = 0; r + below < c.grid_height; ++r) {
            for (std::int64_t k = 0; k + !below < c.grid_width; ++k) {
                const std::int64_t p = r * c.grid_width + k;
                Edge edge{p, below ? p + c.grid_width : p + 1, {}, nullptr};
                for (int x = 0; x < 2; ++x)
                    for (int y = 0; y < 2; ++y)
                        edge.h[x][y] =
                            c.beta * c.gamma * contrast(c, shown[x], shown[y], r, k, below);
                edge.weight =
                    below ? &e.weight_v[at((b * (c.grid_height - 1) + r) * c.grid_width + k)]
                          : &e.weight_h[at((b * c.grid_height + r) * (c.grid_width - 1) + k)];
                edges.push_back(edge);
            }
        }
    }
    return edges;
}

void check(const Case& c, std::mt19937& random) {
    const Energy e = compute<double>(c, 1);
    for (const int threads : {2, 3, 16}) CHECK(compute<double>(c, threads) == e);
    // Means are formed in doubles whatever the images are.
    CHECK(compute<float>(c, 1) == e);
    CHECK(compute<float>(c, 4) == e);

    for (std::int64_t b = 0; b < c.batch; ++b) {
        const auto edges = edges_of(c, e, b);
        const std::int64_t partner = c.index[at(b)];
        double constant = 0;
        for (const auto& edge : edges) constant += (edge.h[1][0] + edge.h[0][1]) / 2;
        const auto unary = [&](std::int64_t p, std::int64_t k) {
            return e.unary[at((b * c.blocks() + p) * c.labels + k)];
        };
        const auto prior = [&](std::int64_t k) { return c.prior[at(b * c.labels + k)]; };
        for (int round = 0; round < 12; ++round) {
            // 1: the partner is shown. First all of one, then at random.
            std::vector<int> mask(at(c.blocks()));
            for (auto& t : mask) t = round < 2 ? round : static_cast<int>(random() % 2);
            double direct = 0, parametrised = 0;
            for (std::int64_t p = 0; p < c.blocks(); ++p) {
                const int t = mask[at(p)];
                const std::int64_t k = t * (c.labels - 1);
                direct += c.saliency[at((t ? b : partner) * c.blocks() + p)] + prior(k);  // lost
                parametrised += unary(p, k);
            }
            for (const auto& edge : edges) {
                const int s = mask[at(edge.first)], t = mask[at(edge.second)];
                direct += c.beta * (s - t) * (s - t) + edge.h[1 - s][1 - t];
                parametrised += *edge.weight * (s - t) * (s - t);
            }
            CHECK(parametrised == doctest::Approx(direct + constant).epsilon(1e-12));
        }
        for (const auto& edge : edges) {
            const auto& h = edge.h;
            const double weight = c.beta + (h[1][0] + h[0][1] - h[1][1] - h[0][0]) / 2;
            CHECK(std::abs(*edge.weight - weight) <= 1e-11 * (1 + std::abs(weight)));
        }
        // Between the ends the cost is shared in proportion.
        for (std::int64_t p = 0; p < c.blocks(); ++p) {
            for (std::int64_t k = 0; k < c.labels; ++k) {
                const double t = static_cast<double>(k) / static_cast<double>(c.labels - 1);
                const double own = unary(p, 0) - prior(0);
                const double other = unary(p, c.labels - 1) - prior(c.labels - 1);
                CHECK(unary(p, k) ==
                      doctest::Approx((1 - t) * own + t * other + prior(k)).epsilon(1e-12));
            }
        }
    }
}

}  // namespace

TEST_CASE("energy equals saliency lost, prior, smoothness and contrast of what is shown") {
    std::mt19937 random(41);
    // height, width, grid_height, grid_width
    const std::int64_t sizes[][4] = {{12, 12, 3, 3}, {13, 11, 3, 4}, {16, 16, 2, 2}, {9, 20, 1, 5},
                                     {20, 9, 5, 1},  {5, 5, 5, 5},   {7, 6, 1, 1},   {17, 19, 4, 3},
                                     {10, 10, 7, 7}, {32, 18, 2, 2}};
    for (const auto& [height, width, grid_height, grid_width] : sizes) {
        for (const std::int64_t neighbour_size : {1, 2, 4, 100}) {
            for (const double gamma : {0.0, 0.7}) {
                Case c;
                c.channels = 1 + static_cast<std::int64_t>(random() % 3);
                c.height = height;
                c.width = width;
                c.grid_height = grid_height;
                c.grid_width = grid_width;
                c.labels = 2 + static_cast<std::int64_t>(random() % 3);
                c.neighbour_size = neighbour_size;
                c.gamma = gamma;
                fill(c, random);
                CAPTURE(height);
                CAPTURE(width);
                CAPTURE(grid_height);
                CAPTURE(grid_width);
                CAPTURE(neighbour_size);
                CAPTURE(gamma);
                check(c, random);
            }
        }
    }
}

TEST_CASE("no smoothness: only the lost saliency and the prior are left") {
    std::mt19937 random(42);
    Case c;
    c.beta = 0;
    fill(c, random);
    check(c, random);
    const Energy e = compute<double>(c, 1);
    CHECK(std::all_of(e.weight_v.begin(), e.weight_v.end(), [](double w) { return w == 0; }));
    CHECK(std::all_of(e.weight_h.begin(), e.weight_h.end(), [](double w) { return w == 0; }));
}

TEST_CASE("a sample that is its own partner: all labels cost its saliency, edges keep beta") {
    std::mt19937 random(43);
    Case c;
    c.batch = 1;
    c.labels = 4;
    fill(c, random);
    c.prior.assign(4, 0.0);
    const Energy e = compute<double>(c, 1);
    for (const double w : e.weight_v) CHECK(w == doctest::Approx(c.beta).epsilon(1e-12));
    for (const double w : e.weight_h) CHECK(w == doctest::Approx(c.beta).epsilon(1e-12));
    check(c, random);
    c.gamma = 0;
    const Energy plain = compute<double>(c, 1);
    for (std::int64_t p = 0; p < 9; ++p)
        for (std::int64_t k = 0; k < 4; ++k)
            CHECK(plain.unary[at(p * 4 + k)] == doctest::Approx(c.saliency[at(p)]).epsilon(1e-12));
}

TEST_CASE("opposite checkerboards at gamma 1: the weight is zero and not a rounding error below") {
    for (const double beta : {0.1, 0.3, 0.32 / 7, 1e-9, 12345.678}) {
        std::mt19937 random(44);
        Case c;
        c.batch = 2;
        c.beta = beta;
        c.gamma = 1;
        fill(c, random);
        c.index = {1, 0};
        // Values of 1/3 and 1/5 in the deviation: means do not come out exactly.
        c.deviation = {1 / 3.0, 1 / 5.0, 0.7};
        for (std::int64_t b = 0; b < 2; ++b)
            for (std::int64_t k = 0; k < 3; ++k)
                for (std::int64_t y = 0; y < 12; ++y)
                    for (std::int64_t x = 0; x < 12; ++x)
                        c.images[at(((b * 3 + k) * 12 + y) * 12 + x)] =
                            (y / 4 + x / 4 + b) % 2 ? 1 / c.deviation[at(k)] : 0.0;
        const Energy e = compute<double>(c, 1);
        for (const double w : e.weight_v) CHECK(w == 0.0);
        for (const double w : e.weight_h) CHECK(w == 0.0);
        // 49 * (1 / 49) is just below 1, and more than 1 two numbers further: the weights before
        // rounding lie on both sides of zero.
        c.deviation = {49, 49, 49};
        for (const double value : {1 / 49.0, 1 / 49.0 + 0x1p-57}) {
            REQUIRE(49 * value != 1);
            for (auto& pixel : c.images) pixel = pixel == 0 ? 0 : value;
            const Energy rounded = compute<double>(c, 1);
            for (const double w : rounded.weight_v) CHECK(w == 0.0);
            for (const double w : rounded.weight_h) CHECK(w == 0.0);
        }
    }
}

TEST_CASE("images in 0..1 and gamma <= 1: no negative weight") {
    std::mt19937 random(45);
    for (int round = 0; round < 40; ++round) {
        Case c;
        c.gamma = round % 2 ? 1.0 : 0.9;
        c.neighbour_size = 1 + round % 5;
        fill(c, random);
        c.deviation = {1, 1, 1};
        for (auto& value : c.images) value = round % 4 < 2 ? (value > 0) : (value + 2) / 4;
        const Energy e = compute<float>(c, 1);
        for (const double w : e.weight_v) CHECK((w >= 0 && w <= 2 * c.beta));
        for (const double w : e.weight_h) CHECK((w >= 0 && w <= 2 * c.beta));
    }
}

TEST_CASE("edge weights just below zero become zero, others stay") {
    std::mt19937 random(77);
    Case c;
    c.gamma = 200;  // many negative weights
    fill(c, random);
    c.index = {1, 2, 0};
    const Energy plain = compute<double>(c, 1);
    std::vector<double> negative;
    for (const double w : plain.weight_v)
        if (w < 0) negative.push_back(w);
    REQUIRE(negative.size() >= 2);
    std::sort(negative.begin(), negative.end());
    // Below the largest magnitude only, and exactly at the next one.
    for (const double rounding : {-(negative[0] + negative[1]) / 2, -negative[1]}) {
        c.rounding = rounding;
        const Energy rounded = compute<double>(c, 1);
        CHECK(rounded.unary == plain.unary);
        for (std::size_t k = 0; k < plain.weight_v.size(); ++k) {
            const double w = plain.weight_v[k];
            CHECK(rounded.weight_v[k] == (w < 0 && w > -c.rounding ? 0.0 : w));
        }
    }
}

TEST_CASE("one prior for all samples counts as each sample's own") {
    std::mt19937 random(80);
    Case c;
    c.labels = 3;
    fill(c, random);
    Terms shared = c.terms();
    shared.each_prior = false;  // the first sample's row
    std::vector<double> unary(at(c.batch * c.blocks() * c.labels)), v(at(c.batch * 6)), h(v);
    CHECK(energy(shared, c.images.data(), unary.data(), v.data(), h.data(), 2));
    for (std::int64_t b = 1; b < c.batch; ++b)
        std::copy_n(c.prior.begin(), c.labels, c.prior.begin() + b * c.labels);
    CHECK(Energy{unary, v, h} == compute<double>(c, 1));
}

TEST_CASE("pixels that are no number are reported, wherever they are") {
    std::mt19937 random(78);
    for (const double gamma : {0.0, 0.5}) {
        Case c;
        c.gamma = gamma;
        fill(c, random);
        std::vector<double> unary(at(c.batch * c.blocks() * c.labels)), v(at(c.batch * 6)), h(v);
        const auto finite = [&] {
            return energy(c.terms(), c.images.data(), unary.data(), v.data(), h.data(), 2);
        };
        CHECK(finite());
        for (const double bad :
             {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
            for (const std::size_t where :
                 {std::size_t{0}, c.images.size() / 2, c.images.size() - 1}) {
                const double good = c.images[where];
                c.images[where] = bad;
                CHECK(!finite());
                c.images[where] = good;
            }
        }
        CHECK(finite());
    }
}

TEST_CASE("block saliency: the mean of every block, each map sums to 1") {
    std::mt19937 random(79);
    const std::int64_t sizes[][4] = {
        {8, 8, 4, 4}, {17, 23, 3, 5}, {1, 9, 1, 9}, {9, 1, 2, 1}, {13, 40, 13, 3}};
    for (const auto& [height, width, gh, gw] : sizes) {
        const std::int64_t batch = 3, pixels = height * width, blocks = gh * gw;
        std::vector<float> maps(at(batch * pixels)), pooled(at(batch * blocks));
        for (auto& value : maps) value = std::uniform_real_distribution<float>(0, 1)(random);
        for (const int threads : {1, 3}) {
            CHECK(pool(maps.data(), batch, height, width, gh, gw, pooled.data(), threads));
            for (std::int64_t b = 0; b < batch; ++b) {
                std::vector<double> sum(at(blocks), 0.0), count(at(blocks), 0.0);
                for (std::int64_t y = 0; y < height; ++y) {
                    for (std::int64_t x = 0; x < width; ++x) {
                        const std::size_t p = at(y * gh / height * gw + x * gw / width);
                        sum[p] += static_cast<double>(maps[at(b * pixels + y * width + x)]);
                        count[p] += 1;
                    }
                }
                double total = 0;
                for (std::size_t p = 0; p < sum.size(); ++p) total += sum[p] / count[p];
                for (std::size_t p = 0; p < sum.size(); ++p)
                    CHECK(static_cast<double>(pooled[at(b * blocks) + p]) ==
                          doctest::Approx(sum[p] / count[p] / total).epsilon(1e-6));
            }
        }
        for (const std::size_t where : {std::size_t{0}, maps.size() - 1}) {
            const float good = std::exchange(maps[where], -1e-30F);
            CHECK(!pool(maps.data(), batch, height, width, gh, gw, pooled.data(), 2));
            maps[where] = good;
        }
    }
}

TEST_CASE_TEMPLATE("block saliency at the ends of a float's range", T, float, double) {
    using Limits = std::numeric_limits<T>;
    // Four blocks of 2 x 2; the first block's mean is three times the others'.
    const auto shares = [](T value) {
        std::vector<T> map(16, value / 4 * 3), blocks(4);
        for (const std::size_t k : {2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) map[k] = value / 4;
        CHECK(pool(map.data(), 1, 4, 4, 2, 2, blocks.data(), 1));
        return blocks;
    };
    const std::vector<T> expected{T(0.5), T(1) / 6, T(1) / 6, T(1) / 6}, uniform(4, T(0.25));
    for (const T value : {T{1}, Limits::max(), Limits::min() * 4, Limits::denorm_min() * 4})
        for (std::size_t k = 0; k < 4; ++k)
            CHECK(static_cast<double>(shares(value)[k]) ==
                  doctest::Approx(static_cast<double>(expected[k])).epsilon(1e-6));
    CHECK(shares(0) == uniform);
    CHECK(shares(Limits::infinity()) == uniform);
    CHECK(shares(Limits::quiet_NaN()) == uniform);
}
