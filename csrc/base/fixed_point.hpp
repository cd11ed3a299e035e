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

// Multiplies by 2^exponent, in two steps, since 2^exponent itself may exceed the range of a double.
class PowerOfTwo {
  public:
    explicit PowerOfTwo(int exponent)
        : first_(std::ldexp(1.0, exponent / 2)),
          second_(std::ldexp(1.0, exponent - exponent / 2)) {}

    double operator()(double value) const { return value * first_ * second_; }

    // The two factors, one after the other, for callers who multiply several numbers at once.
    double first() const { return first_; }
    double second() const { return second_; }

  private:
    double first_, second_;
};

// The exponent of 2^e > magnitude; 0 for nothing.
inline int exponent_above(double magnitude) {
    int exponent = 0;
    if (magnitude > 0) std::frexp(magnitude, &exponent);
    return exponent;
}

class FixedPoint {
  public:
    // `magnitude`: an upper bound of the absolute value of every sum that will be formed; scaled,
    // it stays below 2^bits.
    explicit FixedPoint(double magnitude, int bits = kCostBits)
        : shift_(bits - exponent(magnitude)), scale_(shift_) {}

    Cost operator()(double value) const { return std::llrint(scaled(value)); }
    double scaled(double value) const { return scale_(value); }

    // The scale is 2^shift().
    int shift() const { return shift_; }

  private:
    static int exponent(double magnitude) {
        require(
            std::isfinite(magnitude),
            "costs: expected a sum of magnitudes that float64 can hold, got one that overflows");
        return exponent_above(magnitude);
    }

    int shift_;
    PowerOfTwo scale_;
};

// Costs weight * distance, scaled by 2^shift once: distances come down to at most 1, weights take
// all the rest. The product of the two is rounded by whoever forms it.
class FixedProduct {
  public:
    FixedProduct(double largest_distance, int shift)
        : nothing_(largest_distance == 0),
          to_one_(-exponent_above(largest_distance)),
          rest_(shift + exponent_above(largest_distance)) {}

    double distance(double value) const { return to_one_(value); }
    double weight(double value) const { return nothing_ ? 0.0 : rest_(value); }

  private:
    bool nothing_;  // all products are zero
    PowerOfTwo to_one_, rest_;
};

}  // namespace comix
