#include "gridcut/strip_table.hpp"

#include <algorithm>
#include <type_traits>

namespace comix::gridcut {

namespace {

// Calls run(std::integral_constant<int, width>).
template <int Narrowest, class Run>
auto with_width(int width, const Run& run) {
    switch (width) {
        case 2:
            return run(std::integral_constant<int, std::max(2, Narrowest)>());
        case 3:
            return run(std::integral_constant<int, 3>());
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

// What a new choice x costs, by the choice of the site to its left, laid out as the states that
// interleave_low and interleave_high give: [left 0, x 0], [left 0, x 1], [left 1, x 0], [left 1, x
// 1].
struct AcrossInts {
    Int4 low, high;
    AcrossInts(std::int32_t alone, std::int32_t joint)
        : low{0, alone, 0, alone + joint}, high(low) {}
};
struct AcrossDoubles {
    Double2 low, high;
    AcrossDoubles(double alone, double joint) : low{0, alone}, high{0, alone + joint} {}
};

}  // namespace

template <class Number>
Number StripTable<Number>::solve(int rows, int width, const Costs& costs) {
    rows_ = rows;
    width_ = width;
    costs_ = costs;
    return with_width<kNarrowest>(width_, [&](auto w) { return run<w.value>(); });
}

template <class Number>
const std::vector<std::uint8_t>& StripTable<Number>::choices() {
    choices_.resize(static_cast<std::size_t>(rows_));
    with_width<kNarrowest>(width_, [&](auto w) { walk_back<w.value>(); });
    return choices_;
}

// A state holds the last `Width` choices as bits, the newest lowest: a step shifts the new choice
// in and the choice of the site above it out of the top.
template <class Number>
template <int Width>
Number StripTable<Number>::run() {
    using Vector = typename Lanes<Number>::Vector;
    using Across = std::conditional_t<std::is_same_v<Number, double>, AcrossDoubles, AcrossInts>;
    constexpr int states = 1 << Width, half = states / 2, lanes = Lanes<Number>::kCount;
    const int sites = rows_ * Width;
    tables_.resize(std::max(tables_.size(), static_cast<std::size_t>((sites + 1) * states)));
    Number* best = tables_.data();
    std::fill(best, best + states, Number{0});
    // Tables of up to sixteen states stay in registers; stored they are all the same, for the way
    // back.
    constexpr int held = Width <= 4 ? states / lanes : 1;
    Vector now[held] = {};
    const Costs costs = costs_;
    for (int p = 0; p < sites; ++p) {
        const Vector joint = Lanes<Number>::all(costs.joint_above[p]);
        const Across across(costs.alone[p], costs.joint_left[p]);
        Number* next = best + states;
        // s: the choices that stay; the lowest bit is left.
        const auto step = [&](int s, Vector below, Vector above, Vector& low, Vector& high) {
            const Vector kept = least(below, above), taken = least(below, above + joint);
            low = interleave_low(kept, taken) + across.low;
            high = interleave_high(kept, taken) + across.high;
            store(low, next + 2 * s);
            store(high, next + 2 * s + lanes);
        };
        if constexpr (held > 1) {
            Vector after[held];
            for (int k = 0; k < held / 2; ++k)
                step(lanes * k, now[k], now[k + held / 2], after[2 * k], after[2 * k + 1]);
            std::copy(after, after + held, now);
        } else {
            Vector low, high;
            for (int s = 0; s < half; s += lanes)
                step(s, load(best + s), load(best + half + s), low, high);
        }
        best = next;
    }
    Vector minimum = load(best);
    for (int s = lanes; s < states; s += lanes) minimum = least(minimum, load(best + s));
    Number smallest = minimum[0];
    for (int k = 1; k < lanes; ++k) smallest = std::min<Number>(smallest, minimum[k]);
    return smallest;
}

template <class Number>
template <int Width>
void StripTable<Number>::walk_back() {
    constexpr int states = 1 << Width, half = states / 2;
    int p = rows_ * Width;
    const Number* best = tables_.data() + p * states;
    auto state = static_cast<int>(std::min_element(best, best + states) - best);
    for (std::size_t r = choices_.size(); r-- > 0;) {
        unsigned row = 0;
        for (int c = Width; c-- > 0;) {
            best -= states;
            --p;
            const bool taken = state & 1;
            row |= static_cast<unsigned>(taken) << c;
            const int s = state >> 1;
            const Number above = best[half + s] + (taken ? costs_.joint_above[p] : Number{0});
            state = above < best[s] ? s | half : s;
        }
        choices_[r] = static_cast<std::uint8_t>(row);
    }
}

template class StripTable<std::int32_t>;
template class StripTable<double>;

}  // namespace comix::gridcut
