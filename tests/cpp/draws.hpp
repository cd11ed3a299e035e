// Random numbers that several tests draw.
#pragma once

#include <cstdint>
#include <random>
#include <type_traits>

#include "base/half.hpp"

// low..high, both included.
inline int draw(std::mt19937& random, int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
}

// A pixel of any type.
template <class T>
T random_value(std::mt19937& random) {
    using comix::BFloat16;
    using comix::Float16;
    const auto bits = static_cast<std::uint32_t>(random());
    const float value = std::uniform_real_distribution<float>(-3, 3)(random);
    if constexpr (std::is_same_v<T, std::uint8_t>) return static_cast<std::uint8_t>(bits);
    if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) return T::from(value);
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>)
        return static_cast<T>(value);
}
