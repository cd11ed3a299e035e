// Sets of small numbers as bits, and bits of a word.
#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/base/atomics.hpp"

namespace comix::cuda {

COMIX_HD inline int count_bits(std::uint32_t word) {
#if defined(__CUDA_ARCH__)
    return __popc(word);
#else
    word -= word >> 1 & 0x55555555U;
    word = (word & 0x33333333U) + (word >> 2 & 0x33333333U);
    return static_cast<int>(((word + (word >> 4)) & 0x0F0F0F0FU) * 0x01010101U >> 24);
#endif
}

// Where the bit is that has `rank` set bits below it, of a word with more than that many.
COMIX_HD inline int place_of_bit(std::uint32_t word, int rank) {
    for (; rank > 0; --rank) word &= word - 1;
    return count_bits((word & (0U - word)) - 1);
}

// Sets of numbers below some count, 32 of them in a word; words are int32 for atomics.
COMIX_HD constexpr int word_count(int numbers) {
    return (numbers + 31) / 32;
}
COMIX_HD inline std::uint32_t bit_of(int i) {
    return 1U << i % 32;
}
COMIX_HD inline void add_to_set(std::int32_t* words, int i) {
    atomic_or(words + i / 32, static_cast<std::int32_t>(bit_of(i)));
}
COMIX_HD inline bool is_in_set(const std::int32_t* words, int i) {
    return (static_cast<std::uint32_t>(words[i / 32]) & bit_of(i)) != 0;
}
// How many members are below i.
COMIX_HD inline int members_below(const std::int32_t* words, int i) {
    int count = 0;
    for (int k = 0; k < i / 32; ++k) count += count_bits(static_cast<std::uint32_t>(words[k]));
    return i % 32 == 0
               ? count
               : count + count_bits(static_cast<std::uint32_t>(words[i / 32]) & (bit_of(i) - 1));
}
// The member with `rank` members below it, -1 if there are no more.
COMIX_HD inline int member(const std::int32_t* words, int count, int rank) {
    for (int k = 0; k < count; ++k) {
        const auto word = static_cast<std::uint32_t>(words[k]);
        const int here = count_bits(word);
        if (rank < here) return 32 * k + place_of_bit(word, rank);
        rank -= here;
    }
    return -1;
}

}  // namespace comix::cuda
