// Verdicts on the values of an array: one pass without branches, several values per step.
//
// They say whether, not where: explaining a bad value is left to whoever knows the argument's name.
#pragma once

#include <cstdint>

namespace comix {

namespace detail {

// The sum of penalty(value), which is 0 exactly when all penalties are 0. Independent partial sums:
// no addition waits for the one before, and compilers put them side by side in vector registers.
template <class T, class Penalty>
T total_penalty(const T* values, std::int64_t count, const Penalty& penalty) {
    constexpr int lanes = 8;
    T sums[lanes] = {};
    std::int64_t k = 0;
    for (; k + lanes <= count; k += lanes)
        for (int lane = 0; lane < lanes; ++lane) sums[lane] += penalty(values[k + lane]);
    for (; k < count; ++k) sums[0] += penalty(values[k]);
    T total = 0;
    for (const T sum : sums) total += sum;
    return total;
}

}  // namespace detail

// Whether no value is NaN or infinite: 0 * x is 0 for finite x and NaN for the rest.
template <class T>
bool all_finite(const T* values, std::int64_t count) {
    return detail::total_penalty(values, count, [](T value) { return T{0} * value; }) == 0;
}

// Whether all values lie in low..high, both included; NaN lies nowhere.
template <class T>
bool all_within(const T* values, std::int64_t count, T low, T high) {
    return detail::total_penalty(values, count, [=](T value) {
               return value >= low && value <= high ? T{0} : T{1};
           }) == 0;
}

// Sign bit set unless low <= value <= high (less than 2^63 apart): or-ed together, one test judges
// many values.
inline std::uint64_t sign_outside(std::int64_t value, std::int64_t low, std::int64_t high) {
    const auto above = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(low);
    const auto range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    return above | (range - above);
}

inline bool all_within(const std::int64_t* values, std::int64_t count, std::int64_t low,
                       std::int64_t high) {
    std::uint64_t signs = 0;
    for (std::int64_t k = 0; k < count; ++k) signs |= sign_outside(values[k], low, high);
    return signs >> 63 == 0;
}

}  // namespace comix
