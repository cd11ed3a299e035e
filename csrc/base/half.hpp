// The two 16-bit floats of tensors, as storage: converted to float to compute, rounded to nearest
// even to store.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/host_device.hpp"

namespace comix {

namespace detail {

COMIX_HD inline float float_from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

COMIX_HD inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

}  // namespace detail

// bfloat16: the upper half of a float.
struct BFloat16 {
    std::uint16_t bits;

    COMIX_HD operator float() const {  // NOLINT: implicit on purpose, it is exact
        return detail::float_from_bits(std::uint32_t{bits} << 16);
    }
    COMIX_HD static BFloat16 from(float value) {
        const std::uint32_t b = detail::bits_of(value);
        if ((b & 0x7fffffffU) > 0x7f800000U)  // NaN stays NaN
            return {static_cast<std::uint16_t>((b >> 16) | 0x0040U)};
        return {static_cast<std::uint16_t>((b + 0x7fffU + ((b >> 16) & 1U)) >> 16)};
    }
};

// IEEE binary16.
struct Float16 {
    std::uint16_t bits;

    COMIX_HD operator float() const {  // NOLINT: implicit on purpose, it is exact
#if defined(__CUDA_ARCH__)             // one instruction there
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
#else
        const std::uint32_t sign = (bits & 0x8000U) << 16, magnitude = bits & 0x7fffU;
        if (magnitude >= 0x7c00U)  // infinity, NaN
            return detail::float_from_bits(sign | 0x7f800000U | (magnitude & 0x3ffU) << 13);
        if (magnitude >= 0x0400U)  // normal: shift the exponent bias from 15 to 127
            return detail::float_from_bits(sign | ((magnitude << 13) + (112U << 23)));
        const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
        return sign ? -subnormal : subnormal;
#endif
    }
    COMIX_HD static Float16 from(float value) {
#if defined(__CUDA_ARCH__)
        std::uint16_t rounded;  // to nearest even; NaN becomes the canonical one
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(rounded) : "f"(value));
        return {rounded};
#else
        const std::uint32_t b = detail::bits_of(value);
        const std::uint32_t sign = (b >> 16) & 0x8000U, magnitude = b & 0x7fffffffU;
        if (magnitude > 0x7f800000U) return {static_cast<std::uint16_t>(sign | 0x7e00U)};
        if (magnitude >= 0x477ff000U) return {static_cast<std::uint16_t>(sign | 0x7c00U)};
        if (magnitude >= 0x38800000U) {  // normal
            const std::uint32_t shifted = magnitude - (112U << 23);
            return {static_cast<std::uint16_t>(
                sign | ((shifted + 0xfffU + ((shifted >> 13) & 1U)) >> 13))};
        }
        // Subnormal: adding 0.5 lines the bits up and lets the processor round.
        const float aligned = detail::float_from_bits(magnitude) + 0.5F;
        return {static_cast<std::uint16_t>(sign | (detail::bits_of(aligned) - 0x3f000000U))};
#endif
    }
};

}  // namespace comix
