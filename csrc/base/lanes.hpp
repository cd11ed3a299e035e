// A few numbers that are added and compared at once: four 32-bit integers or floats, or two
// doubles.
//
// GCC and Clang turn the vector types into one register on every processor; other compilers get
// the same operations as loops.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace comix {

// Lanes<Number>::Vector holds kCount numbers, Lanes<Number>::Mask as many integers of their size,
// each 0 or -1.
template <class Number>
struct Lanes;

#if defined(__GNUC__) || defined(__clang__)

using Int4 = std::int32_t __attribute__((vector_size(16)));
using Long2 = std::int64_t __attribute__((vector_size(16)));
using Double2 = double __attribute__((vector_size(16)));
using Float4 = float __attribute__((vector_size(16)));

inline Int4 least(Int4 a, Int4 b) {
    return a < b ? a : b;
}
inline Double2 least(Double2 a, Double2 b) {
    return a < b ? a : b;
}
inline Float4 least(Float4 a, Float4 b) {
    return a < b ? a : b;
}
inline Int4 at_most(Float4 a, Float4 b) {
    return a <= b;
}
inline Int4 negative(Int4 a) {
    return a >> 31;
}
inline Long2 negative(Double2 a) {
    return a < Double2{0, 0};
}
inline Int4 only(Int4 a, Int4 mask) {
    return a & mask;
}
inline Double2 only(Double2 a, Long2 mask) {
    return reinterpret_cast<Double2>(reinterpret_cast<Long2>(a) & mask);
}

// a0 b0 a1 b1 and a2 b2 a3 b3; a0 b0 and a1 b1.
#if defined(__clang__)
inline Int4 interleave_low(Int4 a, Int4 b) {
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
inline Int4 interleave_high(Int4 a, Int4 b) {
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
inline Double2 interleave_low(Double2 a, Double2 b) {
    return __builtin_shufflevector(a, b, 0, 2);
}
inline Double2 interleave_high(Double2 a, Double2 b) {
    return __builtin_shufflevector(a, b, 1, 3);
}
#else
inline Int4 interleave_low(Int4 a, Int4 b) {
    return __builtin_shuffle(a, b, Int4{0, 4, 1, 5});
}
inline Int4 interleave_high(Int4 a, Int4 b) {
    return __builtin_shuffle(a, b, Int4{2, 6, 3, 7});
}
inline Double2 interleave_low(Double2 a, Double2 b) {
    return __builtin_shuffle(a, b, Long2{0, 2});
}
inline Double2 interleave_high(Double2 a, Double2 b) {
    return __builtin_shuffle(a, b, Long2{1, 3});
}
#endif

#else

template <class Number, int count>
struct LaneArray {
    Number lane[count];

    Number operator[](int k) const { return lane[k]; }
    template <class Operation>
    friend LaneArray lane_by_lane(LaneArray a, LaneArray b, const Operation& operation) {
        for (int k = 0; k < count; ++k) a.lane[k] = operation(a.lane[k], b.lane[k]);
        return a;
    }
    friend LaneArray operator+(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x + y; });
    }
    friend LaneArray operator-(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x - y; });
    }
    friend LaneArray operator*(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x * y; });
    }
    friend LaneArray operator&(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x & y; });
    }
    friend LaneArray operator|(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x | y; });
    }
    friend LaneArray operator^(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x ^ y; });
    }
    friend LaneArray least(LaneArray a, LaneArray b) {
        return lane_by_lane(a, b, [](Number x, Number y) { return x < y ? x : y; });
    }
    friend LaneArray interleave_low(LaneArray a, LaneArray b) {
        LaneArray mixed;
        for (int k = 0; k < count; ++k) mixed.lane[k] = k % 2 ? b.lane[k / 2] : a.lane[k / 2];
        return mixed;
    }
    friend LaneArray interleave_high(LaneArray a, LaneArray b) {
        for (int k = 0; k < count / 2; ++k) {
            a.lane[k] = a.lane[k + count / 2];
            b.lane[k] = b.lane[k + count / 2];
        }
        return interleave_low(a, b);
    }
};

using Int4 = LaneArray<std::int32_t, 4>;
using Long2 = LaneArray<std::int64_t, 2>;
using Double2 = LaneArray<double, 2>;
using Float4 = LaneArray<float, 4>;

inline Int4 at_most(Float4 a, Float4 b) {
    Int4 mask{};
    for (int k = 0; k < 4; ++k) mask.lane[k] = a[k] <= b[k] ? -1 : 0;
    return mask;
}

inline Int4 negative(Int4 a) {
    for (auto& lane : a.lane) lane = lane < 0 ? -1 : 0;
    return a;
}
inline Long2 negative(Double2 a) {
    return {a[0] < 0 ? -1 : 0, a[1] < 0 ? -1 : 0};
}
inline Int4 only(Int4 a, Int4 mask) {
    return a & mask;
}
inline Double2 only(Double2 a, Long2 mask) {
    return {mask[0] ? a[0] : 0.0, mask[1] ? a[1] : 0.0};
}

#endif

template <>
struct Lanes<std::int32_t> {
    static constexpr int kCount = 4;
    using Vector = Int4;
    using Mask = Int4;
    using MaskNumber = std::int32_t;
    static Vector all(std::int32_t value) { return Vector{value, value, value, value}; }
};

template <>
struct Lanes<double> {
    static constexpr int kCount = 2;
    using Vector = Double2;
    using Mask = Long2;
    using MaskNumber = std::int64_t;
    static Vector all(double value) { return Vector{value, value}; }
};

template <>
struct Lanes<float> {
    static constexpr int kCount = 4;
    using Vector = Float4;
    using Mask = Int4;
    using MaskNumber = std::int32_t;
    static Vector all(float value) { return Vector{value, value, value, value}; }
};

template <class Number>
typename Lanes<Number>::Vector load(const Number* from) {
    typename Lanes<Number>::Vector lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}
inline Long2 load(const std::int64_t* from) {
    Long2 lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}
template <class Vector, class Number>
void store(Vector lanes, Number* to) {
    std::memcpy(to, &lanes, sizeof lanes);
}

// Bit k: whether lane k of the mask is set.
inline unsigned bits(Int4 mask) {
#if defined(__SSE4_1__) && (defined(__GNUC__) || defined(__clang__))
    return static_cast<unsigned>(__builtin_ia32_movmskps(reinterpret_cast<Float4>(mask)));
#else
    return static_cast<unsigned>((mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8));
#endif
}
inline unsigned bits(Long2 mask) {
#if defined(__SSE4_1__) && (defined(__GNUC__) || defined(__clang__))
    return static_cast<unsigned>(__builtin_ia32_movmskpd(reinterpret_cast<Double2>(mask)));
#else
    return static_cast<unsigned>((mask[0] & 1) | (mask[1] & 2));
#endif
}

// The nearest integers, as std::rint finds them.
inline Double2 nearest(Double2 value) {
#if defined(__SSE4_1__) && (defined(__GNUC__) || defined(__clang__))
    return __builtin_ia32_roundpd(value, 4);  // as the processor is set
#else
    return Double2{std::rint(value[0]), std::rint(value[1])};
#endif
}

// Some lane of the mask is set.
template <class Mask>
bool any(Mask lanes) {
    std::uint64_t halves[2];
    std::memcpy(halves, &lanes, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

}  // namespace comix
