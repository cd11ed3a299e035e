// How a quick expansion move decides who switches (quick_expansion.hpp).
#include <algorithm>

#include "base/lanes.hpp"
#include "gridcut/quick_expansion.hpp"

namespace comix::gridcut {

namespace {

std::size_t at(int index) {
    return static_cast<std::size_t>(index);
}

}  // namespace

// Closes the sites that keep whatever the open ones do; false when nothing stays open.
//
// Switching costs a site at least alone + the help of its open neighbours. Passes over the open
// sites go on until none closes another one; the result does not depend on order, so four sites go
// at once.
bool QuickExpansion::close_sites() {
    const int w = width_, n = sites_;
    const Int4 zero = all_lanes(0);
    for (Edges* edges : {&right_, &down_}) {
        const Quick *first = edges->first.data(), *second = edges->second.data(),
                    *both = edges->both.data();
        Quick* help = edges->help.data();
        for (int p = 0; p < n; p += 4)
            store(least(load(both + p) - load(first + p) - load(second + p), zero), help + p);
    }
    const Quick *taking = take_.data(), *right_1 = right_.first.data(),
                *right_2 = right_.second.data(), *down_1 = down_.first.data(),
                *down_2 = down_.second.data(), *right = right_.help.data(),
                *down = down_.help.data();
    Quick *alone = alone_.data(), *open = open_.data();
    for (int p = 0; p < n; p += 4) {
        const Int4 lonely = load(taking + p) + load(right_1 + p) + load(right_2 + p - 1) +
                            load(down_1 + p) + load(down_2 + p - w);
        const Int4 now = sign(lonely + load(right + p) + load(right + p - 1) + load(down + p) +
                              load(down + p - w));
        store(lonely, alone + p);
        store(now, open + p);
    }
    std::fill(open + n, open + n + 3, 0);  // beyond the last site, in the last vector
    // Vectors without an open site are done.
    active_.clear();
    for (int p = 0; p < n; p += 4)
        if (any(load(open + p))) active_.push_back(p);
    for (bool changed = true; changed;) {
        Int4 closed = zero;
        std::size_t kept = 0;
        for (std::size_t k = 0; k < active_.size(); ++k) {
            const int p = active_[k];
            const Int4 before = load(open + p);
            const Int4 helped = load(alone + p) + (load(right + p) & load(open + p + 1)) +
                                (load(right + p - 1) & load(open + p - 1)) +
                                (load(down + p) & load(open + p + w)) +
                                (load(down + p - w) & load(open + p - w));
            const Int4 now = sign(helped) & before;
            closed = closed | (now ^ before);
            store(now, open + p);
            active_[kept] = p;
            kept += any(now);
        }
        active_.resize(kept);
        changed = any(closed);
    }
    return !active_.empty();
}

// Solves what is open, component by component; false when one is too wide for a strip.
bool QuickExpansion::decide_components() {
    const Quick* open = open_.data();
    std::fill(choice_.data(), choice_.data() + sites_, 0);
    std::fill(found_.begin(), found_.end(), std::uint8_t{0});
    for (int p = 0; p < sites_; ++p) {
        if (!open[p] || found_[at(p)]) continue;
        find_component(p);
        if (!decide_component()) return false;
    }
    return true;
}

// component_: the open sites connected with `seed`.
void QuickExpansion::find_component(int seed) {
    const Quick *open = open_.data(), *inside_right = inside_right_.data();
    const int w = width_;
    const auto visit = [&](int q) {
        if (found_[at(q)]) return;
        found_[at(q)] = 1;
        component_.push_back(q);
    };
    component_.clear();
    visit(seed);
    for (std::size_t k = 0; k < component_.size(); ++k) {
        const int p = component_[k];
        // Beyond the first and the last row nothing is open.
        if (open[p - w]) visit(p - w);
        if (open[p - 1] && inside_right[p - 1]) visit(p - 1);
        if (open[p + 1] && inside_right[p]) visit(p + 1);
        if (open[p + w]) visit(p + w);
    }
}

bool QuickExpansion::decide_component() {
    int top = height_, bottom = 0, left = width_, right = 0;
    for (const int p : component_) {
        top = std::min(top, row_[at(p)]);
        bottom = std::max(bottom, row_[at(p)]);
        left = std::min(left, column_[at(p)]);
        right = std::max(right, column_[at(p)]);
    }
    const int high = bottom - top + 1, wide = right - left + 1;
    const bool transposed = high < wide;
    if (std::min(high, wide) > StripTable::kWidest) return false;
    const StripTable::Costs strip = strip_.resize(std::max(high, wide), std::min(high, wide));
    const int width = strip_.width();
    const auto place = [&](int p) {
        const int r = row_[at(p)] - top, c = column_[at(p)] - left;
        return transposed ? c * width + r : r * width + c;
    };
    const Edges &along = transposed ? right_ : down_, &across = transposed ? down_ : right_;
    const int above = transposed ? 1 : width_, before = transposed ? width_ : 1;
    const Quick *open = open_.data(), *alone = alone_.data();
    for (const int p : component_) {
        // Closed neighbours keep: their edges are part of the site's own cost, open ones' are not.
        Quick own = alone[p];
        const int k = place(p);
        if (const int q = p - above; open[q]) {
            strip.keep_above[k] = along.first.data()[q];
            strip.take_below[k] = along.second.data()[q];
            strip.take_above[k] = along.both.data()[q];
            own -= strip.take_below[k];
        }
        if (open[p + above]) own -= along.first.data()[p];
        if (open[p + before]) own -= across.first.data()[p];
        Quick* left_costs = strip.left + 4 * k;
        left_costs[1] = left_costs[3] = own;
        if (const int q = p - before; open[q]) {
            left_costs[2] = across.first.data()[q];
            left_costs[3] += across.both.data()[q] - across.second.data()[q];
        }
    }
    if (strip_.solve() >= 0) return true;
    const auto& choices = strip_.choices();
    for (const int p : component_) {
        const int k = place(p);
        choice_.data()[p] = choices[at(k / width)] >> (k % width) & 1;
    }
    return true;
}

// The whole grid, at most four wide, at once; returns what it changes.
QuickExpansion::Quick QuickExpansion::decide_whole_strip() {
    const bool transposed = height_ < width_;
    const int rows = transposed ? width_ : height_, columns = transposed ? height_ : width_;
    const int down = transposed ? 1 : width_, right = transposed ? width_ : 1;
    const Edges &along = transposed ? right_ : down_, &across = transposed ? down_ : right_;
    const Quick *taking = take_.data(), *above_1 = along.first.data(),
                *above_2 = along.second.data(), *above_b = along.both.data(),
                *left_1 = across.first.data(), *left_2 = across.second.data(),
                *left_b = across.both.data();
    const StripTable::Costs strip = strip_.resize(rows, columns);
    // Before the first row and column edges cost nothing.
    if (right == 1 && columns == 4) {
        for (int p = 0; p < sites_; p += 4) {
            store(load(above_1 + p - 4), strip.keep_above + p);
            store(load(above_2 + p - 4), strip.take_below + p);
            store(load(above_b + p - 4), strip.take_above + p);
            const Int4 own = load(taking + p);
            const Int4 second = own + load(left_2 + p - 1), first = load(left_1 + p - 1);
            const Int4 both = own + load(left_b + p - 1), none = all_lanes(0);
            const Int4 low = interleave_low(none, first), high = interleave_high(none, first);
            const Int4 low_x = interleave_low(second, both), high_x = interleave_high(second, both);
            store(interleave_low(low, low_x), strip.left + 4 * p);
            store(interleave_high(low, low_x), strip.left + 4 * p + 4);
            store(interleave_low(high, high_x), strip.left + 4 * p + 8);
            store(interleave_high(high, high_x), strip.left + 4 * p + 12);
        }
    } else {
        for (int r = 0; r < rows; ++r) {
            for (int c = 0, p = r * down; c < columns; ++c, p += right) {
                const int k = r * strip_.width() + c, q = p - down, before = p - right;
                strip.keep_above[k] = above_1[q];
                strip.take_below[k] = above_2[q];
                strip.take_above[k] = above_b[q];
                strip.left[4 * k + 1] = taking[p] + left_2[before];
                strip.left[4 * k + 2] = left_1[before];
                strip.left[4 * k + 3] = taking[p] + left_b[before];
            }
        }
    }
    const Quick change = strip_.solve();
    if (change >= 0) return 0;
    const auto& choices = strip_.choices();
    for (int r = 0; r < rows; ++r)
        for (int c = 0, p = r * down; c < columns; ++c, p += right)
            choice_.data()[p] = choices[at(r)] >> c & 1;
    return change;
}

// By the general move, for any shape.
void QuickExpansion::decide_generally() {
    move_.clear();
    for (int p = 0; p < sites_; ++p) {
        move_.add_site(p, 0, take_.data()[p]);
        const auto edge = [p](const Edges& edges) {
            return BinaryMove::Edge{0, edges.second.data()[p], edges.first.data()[p],
                                    edges.both.data()[p]};
        };
        if (inside_right_.data()[p]) move_.set_horizontal(p, edge(right_));
        if (inside_down_.data()[p]) move_.set_vertical(p, edge(down_));
    }
    move_.solve(true);
    for (int p = 0; p < sites_; ++p) choice_.data()[p] = move_.takes(p);
}

// What the choices cost more than keeping everything.
QuickExpansion::Quick QuickExpansion::change() const {
    const Quick *choice = choice_.data(), *taking = take_.data();
    Quick sum = 0;
    const auto edge = [&](const Edges& edges, int p, int q) {
        return choice[p] ? choice[q] ? edges.both.data()[p] : edges.first.data()[p]
               : choice[q] ? edges.second.data()[p]
                           : 0;
    };
    for (int p = 0; p < sites_; ++p) {
        if (!choice[p]) continue;
        sum += taking[p] + edge(right_, p, p + 1) + edge(down_, p, p + width_);
        // The edges that arrive count here when nobody at their other end counts them.
        if (!choice[p - 1]) sum += edge(right_, p - 1, p);
        if (!choice[p - width_]) sum += edge(down_, p - width_, p);
    }
    return sum;
}

}  // namespace comix::gridcut
