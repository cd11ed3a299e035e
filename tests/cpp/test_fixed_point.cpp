// Fixed-point costs: what is exact, what is rounded, and that nothing overflows.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "base/fixed_point.hpp"
#include "doctest.h"

using namespace comix;

TEST_CASE("FixedPoint: integers and dyadic numbers are exact") {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200; ++round) {
        const int denominator_bits = round % 20;  // multiples of 2^-denominator_bits
        std::vector<std::int64_t> numerators(20);
        double magnitude = 0;
        for (auto& k : numerators) {
            k = static_cast<std::int64_t>(random() % (1U << 31)) - (1 << 30);
            magnitude += std::ldexp(std::abs(static_cast<double>(k)), -denominator_bits);
        }
        const FixedPoint fixed(magnitude);
        const Cost unit = fixed(std::ldexp(1.0, -denominator_bits));
        CHECK(unit > 0);
        CHECK((unit & (unit - 1)) == 0);  // a power of two
        for (const auto k : numerators)
            CHECK(fixed(std::ldexp(static_cast<double>(k), -denominator_bits)) == k * unit);
        // The largest scale that fits.
        CHECK(fixed(magnitude) < (Cost{1} << kCostBits));
        CHECK(fixed(magnitude) >= (Cost{1} << (kCostBits - 1)));
    }
    CHECK(FixedPoint(0.0)(0.0) == 0);
}

TEST_CASE("FixedPoint: the scale by hand, and what falls between is rounded to nearest even") {
    CHECK(FixedPoint(0.75).shift() == 58);
    CHECK(FixedPoint(1.0).shift() == 57);  // 2^58 itself is one too many
    const FixedPoint eighths(7.9, 6);
    CHECK(eighths.shift() == 3);
    CHECK(eighths(0.3) == 2);  // 2.4
    CHECK(eighths(0.32) == 3);
    CHECK(eighths(-0.32) == -3);
    CHECK(eighths(2.5 / 8) == 2);
    CHECK(eighths(3.5 / 8) == 4);
}

TEST_CASE("FixedPoint: no sum reaches 2^58, at any magnitude") {
    std::mt19937_64 random(2);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (const double size : {1e-320, 1e-300, 1e-155, 1e-9, 1.0, 3.0, 1e9, 1e155, 1e300, 1e306}) {
        for (int count = 1; count <= 40; ++count) {
            std::vector<double> values;
            double magnitude = 0;
            for (int k = 0; k < count; ++k) {
                values.push_back(size * uniform(random));
                magnitude += std::abs(values.back());
            }
            CAPTURE(size);
            CAPTURE(count);
            const FixedPoint fixed(magnitude);
            int exponent = 0;
            std::frexp(magnitude, &exponent);
            Cost sum = 0;
            for (const double value : values) {
                const Cost cost = fixed(value);
                sum += std::abs(cost);
                CHECK((cost == 0 || (cost > 0) == (value > 0)));
                // To half a unit: the scale is a power of two, so scaling back is exact.
                const double back = std::ldexp(static_cast<double>(cost), exponent - kCostBits);
                CHECK(std::abs(back - value) <= magnitude * 0x1p-57 + 5e-324);
            }
            CHECK(sum < (Cost{1} << kCostBits));
            CHECK(sum >= (Cost{1} << (kCostBits - 1)) - count);
        }
    }
}

TEST_CASE("FixedPoint: rounding adds at most half a unit per term to a sum just below 2^58") {
    const double largest = 1.0 - 0x1p-53;  // of which 999 terms of one and a half units round up
    const FixedPoint fixed(largest);
    const Cost sum = fixed(largest - 999 * 0x1.8p-58) + 999 * fixed(0x1.8p-58);
    CHECK(sum <= (Cost{1} << kCostBits) + 500);
}

TEST_CASE("FixedProduct: distances of at most 1, products scaled by a power of two") {
    for (const double largest : {0x1p-1060, 1e-200, 0.3, 1.0, 7.0, 1e200}) {
        const double unit = 1 / largest;  // of the weights: products near 1
        const FixedProduct product(largest, 40);
        CHECK(std::abs(product.distance(-largest)) <= 1);
        CHECK(std::abs(product.distance(-largest)) >= 0.5);
        if (!std::isfinite(unit)) continue;
        for (const double weight : {unit, -3 * unit, 0.0})
            CHECK(product.weight(weight) * product.distance(largest) ==
                  doctest::Approx(std::ldexp(weight * largest, 40)).epsilon(1e-14));
    }
    CHECK(FixedProduct(0.0, 40).weight(5.0) == 0.0);
}

TEST_CASE("FixedPoint: magnitudes that are no number") {
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK_THROWS_AS(FixedPoint{infinity}, InvalidArgument);
    CHECK_THROWS_AS(FixedPoint{-infinity}, InvalidArgument);
    CHECK_THROWS_AS(FixedPoint{std::nan("")}, InvalidArgument);
    CHECK(FixedPoint{std::numeric_limits<double>::max()}(std::numeric_limits<double>::max()) <
          (Cost{1} << kCostBits));
}
