// Division by a number that is known before the launch: a multiplication and a shift, since a
// division costs the device some 20 to 100 instructions.
//
// Source: Granlund & Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994,
//   section 4.
#pragma once

#include <cstdint>
#include <string>

#include "base/errors.hpp"
#include "base/host_device.hpp"

namespace comix::cuda {

// floor(n / divisor) for 0 <= n < 2^31.
class Divisor {
  public:
    Divisor() = default;
    explicit Divisor(std::int64_t divisor) : divisor_(static_cast<int>(divisor)) {
        require(divisor >= 1 && divisor < std::int64_t{1} << 31,
                "sizes: expected at least 1 and fewer than 2^31, got " + std::to_string(divisor));
        while ((std::int64_t{1} << shift_) < divisor) ++shift_;
        const auto rest = static_cast<std::uint64_t>((std::int64_t{1} << shift_) - divisor);
        multiplier_ =
            static_cast<std::uint32_t>((rest << 32) / static_cast<std::uint64_t>(divisor) + 1);
    }

    COMIX_HD int value() const { return divisor_; }
    COMIX_HD int quotient(int n) const {
        const auto number = static_cast<std::uint32_t>(n);
        const auto high = static_cast<std::uint32_t>((std::uint64_t{number} * multiplier_) >> 32);
        return static_cast<int>((high + number) >> shift_);  // both below 2^31
    }

  private:
    int divisor_ = 1;
    std::uint32_t multiplier_ = 1;
    int shift_ = 0;
};

// The same for 0 <= n < 2^63 and divisors below 2^62.
class WideDivisor {
  public:
    WideDivisor() = default;
    explicit WideDivisor(std::int64_t divisor) : divisor_(divisor) {
        require(divisor >= 1 && divisor < std::int64_t{1} << 62,
                "sizes: expected at least 1 and fewer than 2^62, got " + std::to_string(divisor));
        while ((std::int64_t{1} << shift_) < divisor) ++shift_;
        multiplier_ = 0;
        // 2^64 (2^shift - divisor) / divisor + 1, bit by bit: 128 bits in portable C++.
        const auto by = static_cast<std::uint64_t>(divisor);
        std::uint64_t rest = (std::uint64_t{1} << shift_) - by;
        for (int bit = 0; bit < 64; ++bit) {
            rest *= 2;
            multiplier_ *= 2;
            if (rest < by) continue;
            rest -= by;
            ++multiplier_;
        }
        ++multiplier_;
    }

    COMIX_HD std::int64_t value() const { return divisor_; }
    COMIX_HD std::int64_t quotient(std::int64_t n) const {
        const auto number = static_cast<std::uint64_t>(n);
        return static_cast<std::int64_t>((high_product(number, multiplier_) + number) >> shift_);
    }

  private:
    // The upper 64 bits of a * b.
    COMIX_HD static std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
#if defined(__CUDA_ARCH__)
        return __umul64hi(a, b);
#else
        constexpr std::uint64_t kLow = 0xffffffffU;
        const std::uint64_t low = (a & kLow) * (b & kLow), ab = (a >> 32) * (b & kLow);
        const std::uint64_t ba = (a & kLow) * (b >> 32);
        const std::uint64_t carry = (low >> 32) + (ab & kLow) + (ba & kLow);
        return (a >> 32) * (b >> 32) + (ab >> 32) + (ba >> 32) + (carry >> 32);
#endif
    }

    std::int64_t divisor_ = 1;
    std::uint64_t multiplier_ = 1;
    int shift_ = 0;
};

}  // namespace comix::cuda
