#include "gridcut/strip_table.hpp"

#include <algorithm>
#include <type_traits>

#include "base/lanes.hpp"

namespace comix::gridcut {

namespace {

// Calls run(std::integral_constant<int, width>).
template <class Run>
auto with_width(int width, const Run& run) {
    switch (width) {
        case 4:
            return run(std::integral_constant<int, 4>());
        case 5:
            return run(std::integral_constant<int, 5>());
        case 6:
            return run(std::integral_constant<int, 6>());
        case 7:
            return run(std::integral_constant<int, 7>());
        default:
            return run(std::integral_constant<int, 8>());
    }
}

}  // namespace

StripTable::Costs StripTable::resize(int rows, int columns) {
    rows_ = rows;
    width_ = std::max(columns, kNarrowest);
    sites_ = rows_ * width_;
    costs_.assign(static_cast<std::size_t>(7 * sites_), 0);
    std::int32_t* costs = costs_.data();
    return at_ = {costs, costs + sites_, costs + 2 * sites_, costs + 3 * sites_};
}

std::int32_t StripTable::solve() {
    return with_width(width_, [&](auto width) { return run<width.value>(); });
}

const std::vector<std::uint8_t>& StripTable::choices() {
    choices_.resize(static_cast<std::size_t>(rows_));
    with_width(width_, [&](auto width) { walk_back<width.value>(); });
    return choices_;
}

// A state holds the last `Width` choices as bits, the newest lowest: a step shifts the new choice
// in and the choice of the site above it out of the top.
template <int Width>
std::int32_t StripTable::run() {
    constexpr int states = 1 << Width, half = states / 2;
    tables_.resize(std::max(tables_.size(), static_cast<std::size_t>((sites_ + 1) * states)));
    const std::int32_t* keeping = at_.keep_above;
    const std::int32_t *taking_below = at_.take_below, *taking_above = at_.take_above;
    const std::int32_t* left = at_.left;
    std::int32_t* best = tables_.data();
    std::fill(best, best + states, 0);
    // Tables of sixteen states stay in registers; stored they are all the same, for the way back.
    constexpr int held = Width == 4 ? states / 4 : 1;
    Int4 now[held] = {};
    const std::int32_t* const end = keeping + sites_;
    for (; keeping != end; ++keeping, ++taking_below, ++taking_above, left += 4) {
        const Int4 keep_above = all_lanes(*keeping), take_below = all_lanes(*taking_below),
                   take_above = all_lanes(*taking_above), across = load(left);
        std::int32_t* next = best + states;
        const auto step = [&](int s, Int4 below, Int4 above, Int4& low, Int4& high) {
            const Int4 kept = least(below, above + keep_above);
            const Int4 taken = least(below + take_below, above + take_above);
            low = interleave_low(kept, taken) + across;
            high = interleave_high(kept, taken) + across;
            store(low, next + 2 * s);
            store(high, next + 2 * s + 4);
        };
        if constexpr (held == 4) {  // s: the choices that stay; the lowest bit is left
            Int4 after[4];
            step(0, now[0], now[2], after[0], after[1]);
            step(4, now[1], now[3], after[2], after[3]);
            std::copy(after, after + 4, now);
        } else {
            Int4 low, high;
            for (int s = 0; s < half; s += 4)
                step(s, load(best + s), load(best + half + s), low, high);
        }
        best = next;
    }
    Int4 minimum = load(best);
    for (int s = 4; s < states; s += 4) minimum = least(minimum, load(best + s));
    return std::min({minimum[0], minimum[1], minimum[2], minimum[3]});
}

template <int Width>
void StripTable::walk_back() {
    constexpr int states = 1 << Width, half = states / 2;
    const std::int32_t* best = tables_.data() + sites_ * states;
    auto state = static_cast<int>(std::min_element(best, best + states) - best);
    int p = sites_;
    for (std::size_t r = choices_.size(); r-- > 0;) {
        unsigned row = 0;
        for (int c = Width; c-- > 0;) {
            best -= states;
            --p;
            const bool taken = state & 1;
            row |= static_cast<unsigned>(taken) << c;
            const int s = state >> 1;
            const std::int32_t below = best[s] + (taken ? at_.take_below[p] : 0);
            const std::int32_t above =
                best[half + s] + (taken ? at_.take_above[p] : at_.keep_above[p]);
            state = above < below ? s | half : s;
        }
        choices_[r] = static_cast<std::uint8_t>(row);
    }
}

}  // namespace comix::gridcut
