// The mixing kernel and its transpose against loops over single pixels.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "base/index.hpp"
#include "doctest.h"
#include "draws.hpp"
#include "mixing/mixing.hpp"
#include "mixing/plans.hpp"

using namespace comix;
using namespace comix::mixing;

namespace {

struct Maps {
    std::int64_t outputs, height, width;
    std::vector<std::int64_t> source, block;
    std::vector<float> weight;

    Plan view() const {
        return {outputs, height, width, source.data(), block.data(), weight.data()};
    }
    std::int64_t entries() const { return outputs * height * width * 2; }
};

enum class Kind { whole, blended, any };

Maps random_maps(std::mt19937& random, std::int64_t outputs, std::int64_t height,
                 std::int64_t width, std::int64_t inputs, Kind kind, bool moved) {
    const auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(random()) % n; };
    // Multiples of 2^-10: two weights sum to exactly 1.
    const auto share = [&] { return static_cast<float>(1 + below(1023)) / 1024.0F; };
    Maps maps{outputs, height, width, {}, {}, {}};
    for (std::int64_t o = 0; o < outputs; ++o) {
        for (std::int64_t b = 0; b < height * width; ++b) {
            for (int k = 0; k < 2; ++k) {
                maps.source.push_back(below(inputs));
                maps.block.push_back(moved ? below(height * width) : b);
            }
            const auto choice = kind == Kind::whole     ? below(2)
                                : kind == Kind::blended ? 2 + below(2)
                                                        : below(5);
            const float w = choice == 0 ? 1.0F : choice == 1 ? 0.0F : choice == 2 ? 0.5F : share();
            maps.weight.push_back(w);
            maps.weight.push_back(1.0F - w);
            if (choice != 4) continue;  // twice the same place
            maps.source.back() = *(maps.source.end() - 2);
            maps.block.back() = *(maps.block.end() - 2);
        }
    }
    return maps;
}

struct Size {
    std::int64_t channels, height, width, grid_height, grid_width;
};
// Most of them do not divide.
const Size kSizes[] = {{3, 8, 8, 4, 4},   {1, 7, 9, 3, 4},  {3, 10, 7, 4, 3}, {2, 5, 5, 5, 5},
                       {4, 13, 11, 1, 1}, {3, 1, 17, 1, 5}, {3, 17, 1, 5, 1}, {2, 9, 6, 2, 5}};

// Dense or with gaps between rows, channels and images.
Layout layout_of(const Size& size, bool channels_last, std::int64_t gap) {
    Layout layout;
    layout.channels = size.channels;
    layout.height = size.height;
    layout.width = size.width;
    layout.pixel = channels_last ? size.channels : 1;
    layout.row = size.width * layout.pixel + gap;
    layout.channel = channels_last ? 1 : size.height * layout.row + gap;
    layout.image =
        (channels_last ? size.height * layout.row : size.channels * layout.channel) + gap;
    return layout;
}

std::int64_t offset(const Layout& layout, std::int64_t image, std::int64_t c, std::int64_t y,
                    std::int64_t x) {
    return image * layout.image + c * layout.channel + y * layout.row + x * layout.pixel;
}

// An axis: which block a pixel is in and where in it, by counting.
struct Place {
    std::int64_t block, offset, length;
};

Place place_of(std::int64_t pixel, std::int64_t pixels, std::int64_t blocks) {
    Place place{pixel * blocks / pixels, 0, 0};
    for (std::int64_t y = 0; y < pixels; ++y) {
        if (y * blocks / pixels != place.block) continue;
        place.offset += y < pixel;
        ++place.length;
    }
    return place;
}

// The pixel of `block` at an offset; past its end the last one repeats.
std::int64_t pixel_of(std::int64_t block, std::int64_t from_start, std::int64_t pixels,
                      std::int64_t blocks) {
    std::int64_t first = 0;
    while (first * blocks / pixels != block) ++first;
    return first + std::min(from_start, place_of(first, pixels, blocks).length - 1);
}

// Where entry e of the plan takes pixel (y, x) of its output from.
struct Pixel {
    std::int64_t y, x;
};

Pixel taken_from(const Maps& maps, const Size& size, std::int64_t block, std::int64_t y,
                 std::int64_t x) {
    const Place row = place_of(y, size.height, maps.height),
                column = place_of(x, size.width, maps.width);
    return {pixel_of(block / maps.width, row.offset, size.height, maps.height),
            pixel_of(block % maps.width, column.offset, size.width, maps.width)};
}

std::int64_t entry_of(const Maps& maps, const Size& size, std::int64_t o, std::int64_t y,
                      std::int64_t x) {
    const std::int64_t r = place_of(y, size.height, maps.height).block;
    const std::int64_t c = place_of(x, size.width, maps.width).block;
    return ((o * maps.height + r) * maps.width + c) * 2;
}

template <class T>
T blend(float wa, T a, float wb, T b) {
    if constexpr (std::is_same_v<T, double>) {
        return static_cast<double>(wa) * a + static_cast<double>(wb) * b;
    } else {
        const float sum = wa * static_cast<float>(a) + wb * static_cast<float>(b);
        if constexpr (std::is_same_v<T, float>) return sum;
        if constexpr (std::is_same_v<T, std::uint8_t>)
            return static_cast<std::uint8_t>(std::floor(std::min(sum, 255.0F) + 0.5F));
        if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>)
            return T::from(sum);
    }
}

template <class T>
std::vector<T> naive_mix(const Maps& maps, const Size& size, const Layout& layout,
                         const std::vector<T>& images, std::vector<T> out) {
    for (std::int64_t o = 0; o < maps.outputs; ++o) {
        for (std::int64_t y = 0; y < size.height; ++y) {
            for (std::int64_t x = 0; x < size.width; ++x) {
                const std::int64_t e = entry_of(maps, size, o, y, x);
                const Pixel p0 = taken_from(maps, size, maps.block[at(e)], y, x);
                const Pixel p1 = taken_from(maps, size, maps.block[at(e + 1)], y, x);
                const bool same = maps.source[at(e)] == maps.source[at(e + 1)] &&
                                  maps.block[at(e)] == maps.block[at(e + 1)];
                for (std::int64_t c = 0; c < size.channels; ++c) {
                    const T a = images[at(offset(layout, maps.source[at(e)], c, p0.y, p0.x))];
                    const T b = images[at(offset(layout, maps.source[at(e + 1)], c, p1.y, p1.x))];
                    T& to = out[at(offset(layout, o, c, y, x))];
                    // From one place: a copy, bit for bit.
                    if (same || maps.weight[at(e)] == 1.0F) {
                        to = a;
                    } else if (maps.weight[at(e)] == 0.0F) {
                        to = b;
                    } else {
                        to = blend(maps.weight[at(e)], a, maps.weight[at(e + 1)], b);
                    }
                }
            }
        }
    }
    return out;
}

template <class T>
std::vector<T> random_images(std::mt19937& random, std::int64_t size) {
    std::vector<T> images;
    for (std::int64_t k = 0; k < size; ++k) images.push_back(random_value<T>(random));
    return images;
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
Dtype dtype_of() {
    if (std::is_same_v<T, double>) return Dtype::float64;
    if (std::is_same_v<T, Float16>) return Dtype::float16;
    if (std::is_same_v<T, BFloat16>) return Dtype::bfloat16;
    return std::is_same_v<T, std::uint8_t> ? Dtype::uint8 : Dtype::float32;
}

template <class T, class Sizes>
void check_mix(Dtype dtype, unsigned seed, const Sizes& sizes) {
    std::mt19937 random(seed);
    constexpr std::int64_t inputs = 3, outputs = 4;
    for (const auto& size : sizes) {
        for (const bool channels_last : {false, true}) {
            for (const std::int64_t gap : {0, 3}) {
                for (const auto kind : {Kind::whole, Kind::blended, Kind::any}) {
                    for (const bool moved : {false, true}) {
                        CAPTURE(size.height);
                        CAPTURE(size.width);
                        CAPTURE(channels_last);
                        CAPTURE(gap);
                        CAPTURE(moved);
                        const Layout layout = layout_of(size, channels_last, gap);
                        const Maps maps = random_maps(random, outputs, size.grid_height,
                                                      size.grid_width, inputs, kind, moved);
                        CHECK_NOTHROW(maps.view().check(inputs));
                        const auto images = random_images<T>(random, inputs * layout.image);
                        // Gaps are not written to: both start from the same noise.
                        const auto before = random_images<T>(random, outputs * layout.image);
                        const auto expected = naive_mix(maps, size, layout, images, before);
                        for (const int threads : {1, 2, 5}) {
                            auto out = before;
                            mix(maps.view(), dtype, layout, images.data(), out.data(), threads);
                            CHECK(same_bytes(out, expected));
                        }
                    }
                }
            }
        }
    }
}

}  // namespace

TEST_CASE_TEMPLATE("mix against a loop over pixels", T, float, double, Float16, BFloat16,
                   std::uint8_t) {
    check_mix<T>(dtype_of<T>(), 31, kSizes);
}

// Every length of a run has its own form: built in, overlapping words, or a call of memcpy.
TEST_CASE_TEMPLATE("blocks of every width", T, float, double, Float16, BFloat16, std::uint8_t) {
    std::vector<Size> sizes;
    for (std::int64_t width = 1; width <= 40; ++width) {
        sizes.push_back({2, 4, 2 * width, 2, 2});
        sizes.push_back({1, 3, 2 * width + 1, 2, 2});  // one a pixel short
    }
    for (const std::int64_t width : {64, 65}) sizes.push_back({1, 2, 2 * width, 1, 2});
    check_mix<T>(dtype_of<T>(), 32, sizes);
}

TEST_CASE("neighbours that show neighbours, where one is a pixel short or weighs otherwise") {
    std::mt19937 random(38);
    std::vector<Size> sizes(std::begin(kSizes), std::end(kSizes));
    sizes.push_back({2, 5, 11, 2, 4});  // the last of equal blocks is short
    for (const auto& size : sizes) {
        const std::int64_t height = size.grid_height, width = size.grid_width;
        for (const bool channels_last : {false, true}) {
            const Layout layout = layout_of(size, channels_last, 0);
            const auto images = random_images<float>(random, 3 * layout.image);
            // Whole blocks, equal blends, and blends of which one weight of two changes.
            const std::pair<float, float> weights[][2] = {{{1.0F, 0.0F}, {1.0F, 0.0F}},
                                                          {{0.5F, 0.5F}, {0.5F, 0.5F}},
                                                          {{0.5F, 0.5F}, {0.5F, 0.25F}},
                                                          {{0.5F, 0.5F}, {0.25F, 0.5F}}};
            for (const auto& pair : weights) {
                Maps maps{1, height, width, {}, {}, {}};
                for (std::int64_t b = 0; b < height * width; ++b) {
                    const std::int64_t right = (b + 1) % width ? b + 1 : b;
                    maps.source.insert(maps.source.end(), {2, 1});
                    maps.block.insert(maps.block.end(), {right, right});
                    const auto [first, second] = pair[b % 2];
                    maps.weight.insert(maps.weight.end(), {first, second});
                }
                const auto expected =
                    naive_mix(maps, size, layout, images, std::vector<float>(at(layout.image)));
                std::vector<float> out(expected.size());
                mix(maps.view(), Dtype::float32, layout, images.data(), out.data(), 1);
                CHECK(same_bytes(out, expected));
            }
        }
    }
}

TEST_CASE("whole blocks are copied bit for bit, NaN and infinities too") {
    const Size size{1, 4, 4, 2, 2};
    const Layout layout = layout_of(size, false, 0);
    std::mt19937 random(36);
    const Maps maps = random_maps(random, 3, 2, 2, 2, Kind::whole, true);
    std::vector<std::uint32_t> images(32);
    for (auto& bits : images) bits = static_cast<std::uint32_t>(random()) | 0x7f800000U;
    std::vector<std::uint32_t> out(48), expected(48);
    for (std::int64_t o = 0; o < 3; ++o) {
        for (std::int64_t y = 0; y < 4; ++y) {
            for (std::int64_t x = 0; x < 4; ++x) {
                std::int64_t e = entry_of(maps, size, o, y, x);
                e += maps.weight[at(e)] == 0.0F;
                const Pixel p = taken_from(maps, size, maps.block[at(e)], y, x);
                expected[at(offset(layout, o, 0, y, x))] =
                    images[at(offset(layout, maps.source[at(e)], 0, p.y, p.x))];
            }
        }
    }
    mix(maps.view(), Dtype::float32, layout, images.data(), out.data(), 1);
    CHECK(out == expected);
}

TEST_CASE("uint8 blends round to nearest") {
    const Layout layout = layout_of({1, 1, 1, 1, 1}, false, 0);
    for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; b += 3) {
            const Maps maps{1, 1, 1, {0, 1}, {0, 0}, {0.25F, 0.75F}};
            const std::uint8_t images[] = {static_cast<std::uint8_t>(a),
                                           static_cast<std::uint8_t>(b)};
            std::uint8_t out = 77;
            mix(maps.view(), Dtype::uint8, layout, images, &out, 1);
            CHECK(std::abs(4 * out - (a + 3 * b)) <= 2);  // in quarters
        }
    }
}

namespace {

template <class T>
void check_transpose(Dtype dtype, double tolerance) {
    std::mt19937 random(37);
    constexpr std::int64_t inputs = 3, outputs = 5;
    for (const auto& size : kSizes) {
        for (const std::int64_t gap : {0, 2}) {
            for (const auto kind : {Kind::whole, Kind::blended, Kind::any}) {
                CAPTURE(size.height);
                CAPTURE(size.width);
                CAPTURE(gap);
                const Layout layout = layout_of(size, false, gap);
                const Maps maps = random_maps(random, outputs, size.grid_height, size.grid_width,
                                              inputs, kind, true);
                const auto gradient = random_images<T>(random, outputs * layout.image);
                std::vector<T> back(at(inputs * layout.image), T{0});
                mix_transpose(maps.view(), dtype, layout, gradient.data(), back.data(), 1);

                // Pixel by pixel.
                std::vector<double> expected(back.size(), 0.0);
                for (std::int64_t o = 0; o < outputs; ++o)
                    for (std::int64_t y = 0; y < size.height; ++y)
                        for (std::int64_t x = 0; x < size.width; ++x)
                            for (std::int64_t c = 0; c < size.channels; ++c)
                                for (int k = 0; k < 2; ++k) {
                                    const std::int64_t e = entry_of(maps, size, o, y, x) + k;
                                    const Pixel p = taken_from(maps, size, maps.block[at(e)], y, x);
                                    expected[at(offset(layout, maps.source[at(e)], c, p.y, p.x))] +=
                                        static_cast<double>(maps.weight[at(e)]) *
                                        static_cast<double>(
                                            gradient[at(offset(layout, o, c, y, x))]);
                                }
                double worst = 0;
                for (std::size_t k = 0; k < back.size(); ++k)
                    worst = std::max(worst, std::abs(static_cast<double>(back[k]) - expected[k]));
                CHECK(worst <= tolerance);

                // <mix(x), g> = <x, transpose(g)>, over the pixels and not the gaps.
                const auto images = random_images<T>(random, inputs * layout.image);
                std::vector<T> out(at(outputs * layout.image), T{0});
                mix(maps.view(), dtype, layout, images.data(), out.data(), 1);
                double left = 0, right = 0, size_of_terms = 1;
                for (std::size_t k = 0; k < out.size(); ++k) {
                    left += static_cast<double>(out[k]) * static_cast<double>(gradient[k]);
                    size_of_terms += std::abs(static_cast<double>(out[k] * gradient[k]));
                }
                for (std::size_t k = 0; k < back.size(); ++k)
                    right += static_cast<double>(images[k]) * static_cast<double>(back[k]);
                CHECK(std::abs(left - right) <= tolerance * size_of_terms);

                for (const int threads : {2, 3, 8}) {
                    std::vector<T> again(back.size(), T{0});
                    mix_transpose(maps.view(), dtype, layout, gradient.data(), again.data(),
                                  threads);
                    CHECK(same_bytes(again, back));
                }
            }
        }
    }
}

}  // namespace

TEST_CASE("mix_transpose is the transpose of mix") {
    SUBCASE("float64") {
        check_transpose<double>(Dtype::float64, 1e-12);
    }
    SUBCASE("float32") {
        check_transpose<float>(Dtype::float32, 1e-4);
    }
}

TEST_CASE("mix_transpose is for gradients") {
    const Layout layout = layout_of({1, 1, 1, 1, 1}, false, 0);
    const Maps maps{1, 1, 1, {0, 0}, {0, 0}, {1, 0}};
    double one = 1, back = 0;
    for (const auto dtype : {Dtype::float16, Dtype::bfloat16, Dtype::uint8})
        CHECK_THROWS_WITH_AS(mix_transpose(maps.view(), dtype, layout, &one, &back, 1),
                             "dtype: expected float32 or float64 for gradients", InvalidArgument);
    mix_transpose(maps.view(), Dtype::float64, layout, &one, &back, 1);
    CHECK(back == 1.0);
}

TEST_CASE("indices out of range are named") {
    std::mt19937 random(38);
    for (const std::size_t entry : {0, 1, 23}) {
        const auto text = [&](std::int64_t source, std::int64_t block) {
            Maps maps = random_maps(random, 2, 2, 3, 3, Kind::any, true);
            if (source != 0) maps.source[entry] = source;
            if (block != 0) maps.block[entry] = block;
            try {
                maps.view().check(3);
            } catch (const InvalidArgument& error) {
                return std::string(error.what());
            }
            return std::string("fine");
        };
        CHECK(text(0, 0) == "fine");
        CHECK(text(2, 5) == "fine");
        CHECK(text(3, 0) == "source: expected values in 0..2, got 3");
        CHECK(text(-1, 0) == "source: expected values in 0..2, got -1");
        CHECK(text(0, 6) == "block: expected values in 0..5, got 6");
        CHECK(text(0, -9) == "block: expected values in 0..5, got -9");
    }
    CHECK_NOTHROW((Maps{0, 2, 3, {}, {}, {}}).view().check(0));  // nothing to check
}

TEST_CASE("shares and mixed targets against a matrix of shares") {
    std::mt19937 random(39);
    constexpr std::int64_t inputs = 5, outputs = 4, classes = 3;
    for (const auto kind : {Kind::whole, Kind::blended, Kind::any}) {
        const Maps maps = random_maps(random, outputs, 3, 2, inputs, kind, true);
        const auto targets = random_images<float>(random, inputs * classes);
        std::vector<double> share(at(outputs * inputs), 0.0);
        for (std::int64_t e = 0; e < maps.entries(); ++e)
            share[at(e / 12 * inputs + maps.source[at(e)])] +=
                static_cast<double>(maps.weight[at(e)]) / 6;
        std::vector<float> ratios(share.size(), 7.0F), mixed(at(outputs * classes), 7.0F);
        ratio(maps.view(), inputs, ratios.data());
        mix_targets(maps.view(), inputs, classes, targets.data(), mixed.data());
        // Class indices: bit for bit what their one-hot rows give.
        std::vector<float> one_hot(at(inputs * classes), 0.0F), dense(mixed.size(), 7.0F),
            few(dense);
        std::vector<std::int64_t> labels;
        for (std::int64_t i = 0; i < inputs; ++i) {
            labels.push_back(static_cast<std::int64_t>(random() % classes));
            one_hot[at(i * classes + labels.back())] = 1;
        }
        mix_targets(maps.view(), inputs, classes, one_hot.data(), dense.data());
        mix_classes(maps.view(), inputs, classes, labels.data(), few.data());
        CHECK(few == dense);
        for (std::size_t k = 0; k < share.size(); ++k)
            CHECK(static_cast<double>(ratios[k]) == doctest::Approx(share[k]).epsilon(1e-6));
        for (std::int64_t o = 0; o < outputs; ++o) {
            for (std::int64_t k = 0; k < classes; ++k) {
                double expected = 0;
                for (std::int64_t i = 0; i < inputs; ++i)
                    expected += share[at(o * inputs + i)] *
                                static_cast<double>(targets[at(i * classes + k)]);
                CHECK(std::abs(static_cast<double>(mixed[at(o * classes + k)]) - expected) < 1e-5);
            }
        }
    }
}

TEST_CASE("largest_source is negative for every kind of bad plan") {
    std::mt19937 random(40);
    const Maps good = random_maps(random, 2, 2, 3, 9, Kind::any, true);
    const auto judge = [](const Maps& maps) { return largest_source(maps.view(), 1e-4); };
    CHECK(judge(good) == *std::max_element(good.source.begin(), good.source.end()));
    for (const std::size_t e : {std::size_t{0}, good.source.size() - 1}) {
        for (const std::int64_t bad :
             {std::int64_t{-1}, kLargestSource + 1, INT64_MAX, INT64_MIN}) {
            Maps maps = good;
            maps.source[e] = bad;
            CHECK(judge(maps) == -1);
            maps = good;
            maps.block[e] = bad == -1 ? 6 : bad;
            CHECK(judge(maps) == -1);
        }
        for (const float bad : {-0.1F, 1.1F, std::nanf(""), good.weight[e] > 0.5F ? 0.3F : 0.9F}) {
            Maps maps = good;
            maps.weight[e] = bad;
            CHECK(judge(maps) == -1);
        }
    }
    // Just outside 0..1, though the two sum to almost 1.
    Maps one{1, 1, 1, {0, 1}, {0, 0}, {1.0F, 0.0F}};
    CHECK(judge(one) == 1);
    for (const int k : {0, 1}) {
        one.weight[at(k)] = -5e-5F;
        one.weight[at(1 - k)] = 1;
        CHECK(judge(one) == -1);
        one.weight[at(k)] = 0;
        one.weight[at(1 - k)] = 1 + 5e-5F;
        CHECK(judge(one) == -1);
    }
    // And inside, with a sum within the tolerance or beyond it.
    CHECK(judge({1, 1, 1, {0, 1}, {0, 0}, {0.5F, 0.50009F}}) == 1);
    CHECK(judge({1, 1, 1, {0, 1}, {0, 0}, {0.5F, 0.50011F}}) == -1);
}
