// Copies and blends of many short runs of memory: the rows of one block, in every plane.
//
// A block of a small image is a handful of pixels wide, so a call and a length test per row cost
// more than the pixels. Here the length is looked at once per block: common lengths have a loop of
// their own with the length built in, all others move words that overlap, so that no row needs a
// loop over single pixels. Every form gives the same bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/half.hpp"

namespace comix::mixing {

// The rows of a block: `height` in each of `planes` planes, at these distances (in elements).
struct Rows {
    std::int64_t planes, height, plane_stride, row_stride;
};

// Calls visit(offset in elements) for every row.
template <class Visit>
void for_each_row(const Rows& rows, const Visit& visit) {
    for (std::int64_t plane = 0; plane < rows.planes; ++plane)
        for (std::int64_t y = 0; y < rows.height; ++y)
            visit(plane * rows.plane_stride + y * rows.row_stride);
}

namespace detail {

// Rows of exactly Bytes.
template <std::size_t Bytes, class T>
void copy_bytes(const Rows& rows, const T* from, T* to) {
    for_each_row(rows, [=](std::int64_t at) { std::memcpy(to + at, from + at, Bytes); });
}

// A row of Word to 2 Words bytes: its first and its last Word, which may overlap.
template <std::size_t Word, class T>
void copy_ends(const Rows& rows, const T* from, T* to, std::size_t bytes) {
    for_each_row(rows, [=](std::int64_t at) {
        const auto* a = reinterpret_cast<const char*>(from + at);
        auto* b = reinterpret_cast<char*>(to + at);
        char first[Word], last[Word];
        std::memcpy(first, a, Word);
        std::memcpy(last, a + bytes - Word, Word);
        std::memcpy(b, first, Word);
        std::memcpy(b + bytes - Word, last, Word);
    });
}

// A row of at least 16 bytes: words of 16, the last one overlapping.
template <class T>
void copy_words(const Rows& rows, const T* from, T* to, std::size_t bytes) {
    for_each_row(rows, [=](std::int64_t at) {
        const auto* a = reinterpret_cast<const char*>(from + at);
        auto* b = reinterpret_cast<char*>(to + at);
        for (std::size_t k = 0; k + 16 < bytes; k += 16) std::memcpy(b + k, a + k, 16);
        std::memcpy(b + bytes - 16, a + bytes - 16, 16);
    });
}

constexpr std::size_t kLibraryCopy = 256;  // bytes from which a call of memcpy pays

}  // namespace detail

// Copies runs of `run` elements (at least 1). Source and target do not overlap.
template <class T>
void copy_rows(Rows rows, const T* from, T* to, std::int64_t run) {
    if (run == rows.row_stride) {  // whole rows of an image: one run
        run *= rows.height;
        rows.height = 1;
    }
    const auto bytes = static_cast<std::size_t>(run) * sizeof(T);
    switch (bytes) {
        case 1:
            return detail::copy_bytes<1>(rows, from, to);
        case 2:
            return detail::copy_bytes<2>(rows, from, to);
        case 4:
            return detail::copy_bytes<4>(rows, from, to);
        case 8:
            return detail::copy_bytes<8>(rows, from, to);
        case 16:
            return detail::copy_bytes<16>(rows, from, to);
        case 32:
            return detail::copy_bytes<32>(rows, from, to);
        case 64:
            return detail::copy_bytes<64>(rows, from, to);
        default:
            break;
    }
    if (bytes >= detail::kLibraryCopy)
        return for_each_row(rows, [=](std::int64_t at) { std::memcpy(to + at, from + at, bytes); });
    if (bytes > 32) return detail::copy_words(rows, from, to, bytes);
    if (bytes > 16) return detail::copy_ends<16>(rows, from, to, bytes);
    if (bytes > 8) return detail::copy_ends<8>(rows, from, to, bytes);
    if (bytes > 4) return detail::copy_ends<4>(rows, from, to, bytes);
    detail::copy_ends<2>(rows, from, to, bytes);
}

// What blends are computed in.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
T store(Accumulator<T> value) {
    if constexpr (std::is_same_v<T, std::uint8_t>) {
        return static_cast<T>(std::clamp(value + 0.5F, 0.0F, 255.0F));
    } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        return T::from(value);
    } else {
        return value;
    }
}

// Two weights, applied to a pair of elements.
template <class T>
struct Blend {
    Accumulator<T> first, second;

    T operator()(const T& a, const T& b) const {
        return store<T>(first * static_cast<Accumulator<T>>(a) +
                        second * static_cast<Accumulator<T>>(b));
    }
};

namespace detail {

// No alias: the compiler need not look whether the runs overlap before it vectorises.
template <class T>
void blend_run(const T* __restrict a, const T* __restrict b, const Blend<T>& blend,
               T* __restrict to, std::int64_t run) {
    for (std::int64_t e = 0; e < run; ++e) to[e] = blend(a[e], b[e]);
}

}  // namespace detail

// Rows of exactly Run elements.
template <int Run, class T>
void copy_exactly(const Rows& rows, const T* from, T* to) {
    detail::copy_bytes<Run * sizeof(T)>(rows, from, to);
}

template <int Run, class T>
void blend_exactly(const Rows& rows, const T* a, const T* b, const Blend<T>& blend, T* to) {
    for_each_row(rows,
                 [=](std::int64_t at) { detail::blend_run(a + at, b + at, blend, to + at, Run); });
}

// Blends runs of `run` elements (at least 1). Sources and target do not overlap.
template <class T>
void blend_rows(Rows rows, const T* a, const T* b, const Blend<T>& blend, T* to, std::int64_t run) {
    if (run == rows.row_stride) {  // whole rows of an image: one run
        run *= rows.height;
        rows.height = 1;
    }
    for_each_row(rows,
                 [=](std::int64_t at) { detail::blend_run(a + at, b + at, blend, to + at, run); });
}

}  // namespace comix::mixing
