// A set of sites, one bit each: what a vector of costs says about its sites enters at once, and a
// walk over the members needs no branch per site.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/lanes.hpp"

namespace comix::gridcut {

class SiteSet {
  public:
    using Word = std::uint64_t;
    static constexpr int kBits = 64;  // site p is bit p % 64 of word p / 64

    // Empty. Sites up to `margin` before the first one or after the last one may be asked for.
    void resize(int sites, int margin) {
        words_ = (sites + kBits - 1) / kBits;
        before_ = margin / kBits + 1;
        bits_.assign(static_cast<std::size_t>(words_ + 2 * before_), 0);
    }
    void clear() { std::fill(words(), words() + words_, Word{0}); }

    int count_words() const { return words_; }
    Word* words() { return bits_.data() + before_; }
    const Word* words() const { return bits_.data() + before_; }

    bool operator[](int site) const { return has(words(), site); }
    static bool has(const Word* words, int site) { return words[word(site)] >> bit(site) & 1; }
    bool empty() const {
        Word some = 0;
        for (int k = 0; k < words_; ++k) some |= words()[k];
        return some == 0;
    }
    void add(int site, bool member = true) { words()[word(site)] |= Word{member} << bit(site); }
    void flip(int site) { words()[word(site)] ^= Word{1} << bit(site); }
    void remove(int site, bool member) { words()[word(site)] &= ~(Word{member} << bit(site)); }
    // As many sites from `first` on as `members` has bits.
    void add_run(int first, Word members) {
        words()[word(first)] |= members << bit(first);
        words()[word(first) + 1] |= members >> 1 >> (kBits - 1 - bit(first));
    }

    // The sites from `first` on, as a word.
    Word from(int first) const {
        const Word* here = words() + word(first);
        return here[0] >> bit(first) | here[1] << 1 << (kBits - 1 - bit(first));
    }

    // Calls visit(site) in ascending order.
    template <class Visit>
    void for_each(const Visit& visit) const {
        for (int k = 0; k < words_; ++k) for_each_bit(words()[k], kBits * k, visit);
    }
    // The same for a word whose first bit is site `first`.
    template <class Visit>
    static void for_each_bit(Word members, int first, const Visit& visit) {
        for (; members != 0; members &= members - 1) visit(first + lowest(members));
    }
    // Place of the lowest bit of a word that has one.
    static int lowest(Word members) {
#if defined(__GNUC__) || defined(__clang__)
        return __builtin_ctzll(members);
#else
        int place = 0;
        for (; !(members & 1); members >>= 1) ++place;
        return place;
#endif
    }

  private:
    static int word(int site) { return site >> 6; }  // -1 for the sites before the first one
    static int bit(int site) { return site & (kBits - 1); }

    int words_ = 0, before_ = 0;
    std::vector<Word> bits_;
};

// A word of a set, from masks of its sites in ascending order.
template <class Number>
class SiteWord {
  public:
    void append(typename Lanes<Number>::Mask members) {
        word_ = word_ >> kCount | SiteSet::Word{bits(members)} << (SiteSet::kBits - kCount);
        missing_ -= kCount;
    }
    SiteSet::Word word() const { return word_ >> missing_; }

  private:
    static constexpr int kCount = Lanes<Number>::kCount;
    SiteSet::Word word_ = 0;
    int missing_ = SiteSet::kBits;
};

}  // namespace comix::gridcut
