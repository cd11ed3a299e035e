// Four 32-bit integers that are added and compared at once.
//
// GCC and Clang turn the vector type into one register on every processor; other compilers get the
// same operations as loops.
#pragma once

#include <cstdint>
#include <cstring>

namespace comix {

#if defined(__GNUC__) || defined(__clang__)

using Int4 = std::int32_t __attribute__((vector_size(16)));

inline Int4 least(Int4 a, Int4 b) {
    return a < b ? a : b;
}
// -1 where negative, else 0.
inline Int4 sign(Int4 a) {
    return a >> 31;
}

// a0 b0 a1 b1 and a2 b2 a3 b3.
#if defined(__clang__)
inline Int4 interleave_low(Int4 a, Int4 b) {
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
inline Int4 interleave_high(Int4 a, Int4 b) {
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
#else
inline Int4 interleave_low(Int4 a, Int4 b) {
    return __builtin_shuffle(a, b, Int4{0, 4, 1, 5});
}
inline Int4 interleave_high(Int4 a, Int4 b) {
    return __builtin_shuffle(a, b, Int4{2, 6, 3, 7});
}
#endif

#else

struct Int4 {
    std::int32_t lane[4];

    std::int32_t operator[](int k) const { return lane[k]; }
};

template <class Operation>
Int4 lane_by_lane(Int4 a, Int4 b, const Operation& operation) {
    for (int k = 0; k < 4; ++k) a.lane[k] = operation(a.lane[k], b.lane[k]);
    return a;
}
inline Int4 operator+(Int4 a, Int4 b) {
    return lane_by_lane(a, b, [](std::int32_t x, std::int32_t y) { return x + y; });
}
inline Int4 operator-(Int4 a, Int4 b) {
    return lane_by_lane(a, b, [](std::int32_t x, std::int32_t y) { return x - y; });
}
inline Int4 operator&(Int4 a, Int4 b) {
    return lane_by_lane(a, b, [](std::int32_t x, std::int32_t y) { return x & y; });
}
inline Int4 operator|(Int4 a, Int4 b) {
    return lane_by_lane(a, b, [](std::int32_t x, std::int32_t y) { return x | y; });
}
inline Int4 operator^(Int4 a, Int4 b) {
    return lane_by_lane(a, b, [](std::int32_t x, std::int32_t y) { return x ^ y; });
}
inline Int4 least(Int4 a, Int4 b) {
    return lane_by_lane(a, b, [](std::int32_t x, std::int32_t y) { return x < y ? x : y; });
}
inline Int4 sign(Int4 a) {
    return lane_by_lane(a, a, [](std::int32_t x, std::int32_t) { return x < 0 ? -1 : 0; });
}
inline Int4 interleave_low(Int4 a, Int4 b) {
    return {a.lane[0], b.lane[0], a.lane[1], b.lane[1]};
}
inline Int4 interleave_high(Int4 a, Int4 b) {
    return {a.lane[2], b.lane[2], a.lane[3], b.lane[3]};
}

#endif

inline Int4 all_lanes(std::int32_t value) {
    return Int4{value, value, value, value};
}
inline Int4 load(const std::int32_t* from) {
    Int4 lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}
inline void store(Int4 lanes, std::int32_t* to) {
    std::memcpy(to, &lanes, sizeof lanes);
}
// Some lane is not zero.
inline bool any(Int4 lanes) {
    std::uint64_t halves[2];
    std::memcpy(halves, &lanes, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

}  // namespace comix
