// Fixed-point costs: doubles become int64 by a power of two, chosen per problem.
//
// Sums of integers are exact, so energies compare without tolerance and every variant of a solver
// finds the same answer. The scale is the largest power of two for which the sum of all magnitudes
// that may ever be added stays below 2^58: nothing can overflow, and the resolution is 2^-58 of
// that sum (finer than the 2^-53 of a double). Costs that are integers, or multiples of a power of
// two, are represented exactly whenever their sum fits.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/errors.hpp"

namespace comix {

using Cost = std::int64_t;

constexpr int kCostBits = 58;              // |any sum of costs| < 2^58
constexpr Cost kInfinity = Cost{1} << 61;  // above every sum of costs; adding one stays in int64

class FixedPoint {
  public:
    // `magnitude`: an upper bound of the absolute value of every sum that will be formed; scaled,
    // it stays below 2^bits.
    explicit FixedPoint(double magnitude, int bits = kCostBits) {
        require(
            std::isfinite(magnitude),
            "costs: expected a sum of magnitudes that float64 can hold, got one that overflows");
        int exponent = 0;
        if (magnitude > 0) std::frexp(magnitude, &exponent);  // magnitude < 2^exponent
        shift_ = bits - exponent;
        // Two factors, since 2^shift itself may exceed the range of a double.
        first_ = std::ldexp(1.0, shift_ / 2);
        second_ = std::ldexp(1.0, shift_ - shift_ / 2);
    }

    Cost operator()(double value) const { return std::llrint(scaled(value)); }
    double scaled(double value) const { return value * first_ * second_; }

    // The scale is 2^shift().
    int shift() const { return shift_; }

  private:
    int shift_;
    double first_;
    double second_;
};

}  // namespace comix
