#include "gridcut/elimination.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace comix::gridcut {

namespace {

// Calls visit(neighbour, pair) for each neighbour q of a site; pair(a, c) is the cost of the edge
// when the site has label a and q label c.
template <class Visit>
void for_each_neighbour(const FixedGrid& grid, int site, const Visit& visit) {
    const int w = grid.width(), r = site / w, c = site % w;
    if (r > 0) visit(site - w, [&](int a, int b) { return grid.vertical(site - w, b, a); });
    if (r + 1 < grid.height())
        visit(site + w, [&](int a, int b) { return grid.vertical(site, a, b); });
    if (c > 0) visit(site - 1, [&](int a, int b) { return grid.horizontal(site - 1, b, a); });
    if (c + 1 < w) visit(site + 1, [&](int a, int b) { return grid.horizontal(site, a, b); });
}

}  // namespace

void Survivors::reset(const FixedGrid& grid) {
    stride_ = grid.labels();
    const auto sites = static_cast<std::size_t>(grid.sites());
    counts_.assign(sites, stride_);
    labels_.resize(sites * static_cast<std::size_t>(stride_));
    survives_.assign(labels_.size(), 1);
    for (std::size_t p = 0; p < sites; ++p)
        std::iota(labels_.data() + p * static_cast<std::size_t>(stride_),
                  labels_.data() + (p + 1) * static_cast<std::size_t>(stride_), 0);
}

void Survivors::strike_quick(const FixedGrid& grid) {
    const int n_labels = grid.labels();
    // Largest change of an edge's cost when one of its two labels changes, from its table [L, L].
    const auto largest_change = [n_labels](const auto* table) {
        auto largest = *table - *table;
        for (int c = 0; c < n_labels; ++c) {
            auto low = table[c], high = low, low_t = table[c * n_labels], high_t = low_t;
            for (int a = 1; a < n_labels; ++a) {
                low = std::min(low, table[a * n_labels + c]);
                high = std::max(high, table[a * n_labels + c]);
                low_t = std::min(low_t, table[c * n_labels + a]);
                high_t = std::max(high_t, table[c * n_labels + a]);
            }
            largest = std::max({largest, high - low, high_t - low_t});
        }
        return largest;
    };
    const Cost shared = grid.uniform() ? largest_change(grid.pair_table()) : 0;
    const double spread = grid.uniform() ? 0.0 : largest_change(grid.distances());
    const auto change = [&](double weight) {
        return grid.uniform() ? shared
                              : static_cast<Cost>(std::ceil(std::abs(weight) * spread)) + 1;
    };
    const int h = grid.height(), w = grid.width();
    const auto weight = [&](bool down, int site) {
        return grid.uniform() ? 0.0 : down ? grid.weight_down(site) : grid.weight_right(site);
    };
    for (int r = 0, p = 0; r < h; ++r) {
        for (int c = 0; c < w; ++c, ++p) {
            Cost reach = 0;
            if (r > 0) reach += change(weight(true, p - w));
            if (r + 1 < h) reach += change(weight(true, p));
            if (c > 0) reach += change(weight(false, p - 1));
            if (c + 1 < w) reach += change(weight(false, p));
            const Cost* unary = grid.unary(p);  // its minimum is 0
            const auto best = static_cast<Label>(std::min_element(unary, unary + n_labels) - unary);
            keep_if(p, [&](Label a) { return a == best || unary[a] < reach; });
        }
    }
}

// Whether E(a at site) >= E(b at site), whatever labels the neighbours have.
bool Survivors::never_better(const FixedGrid& grid, int site, Label a, Label b) const {
    // What a loses at least. Neighbours that may have a as well are first taken to have it, which
    // mostly shows that a can win.
    Cost loss = grid.unary(site)[a] - grid.unary(site)[b];
    bool guessed = false;
    const auto least_of = [&](int q, const auto& pair) {
        Cost least = std::numeric_limits<Cost>::max();
        for (const Label c : at(q)) least = std::min(least, pair(a, c) - pair(b, c));
        return least;
    };
    for_each_neighbour(grid, site, [&](int q, const auto& pair) {
        const bool agrees = survives(q, a);
        guessed |= agrees;
        loss += agrees ? pair(a, a) - pair(b, a) : least_of(q, pair);
    });
    if (loss < 0 || !guessed) return loss >= 0;
    for_each_neighbour(grid, site, [&](int q, const auto& pair) {
        if (survives(q, a)) loss += least_of(q, pair) - (pair(a, a) - pair(b, a));
    });
    return loss >= 0;
}

bool Survivors::strike_site(const FixedGrid& grid, int site, int rivals) {
    if (count(site) == 1) return false;
    const Cost* unary = grid.unary(site);
    by_unary_.assign(at(site).begin(), at(site).end());
    std::stable_sort(by_unary_.begin(), by_unary_.end(),
                     [&](Label a, Label b) { return unary[a] < unary[b]; });
    bool changed = false;
    // The dearest labels go first; a label already struck off strikes nothing.
    for (std::size_t k = by_unary_.size(); k-- > 0 && by_unary_.size() > 1;) {
        const Label a = by_unary_[k];
        const std::size_t candidates =
            rivals > 0 ? std::min(static_cast<std::size_t>(rivals), by_unary_.size())
                       : by_unary_.size();
        for (std::size_t j = 0; j < candidates; ++j) {
            if (j == k || !never_better(grid, site, a, by_unary_[j])) continue;
            by_unary_.erase(by_unary_.begin() + static_cast<std::ptrdiff_t>(k));
            keep_if(site, [a](Label b) { return b != a; });
            changed = true;
            break;
        }
    }
    return changed;
}

void Survivors::strike_thoroughly(const FixedGrid& grid, int rivals) {
    for (bool changed = true; changed;) {
        changed = false;
        for (int p = 0; p < grid.sites(); ++p) changed |= strike_site(grid, p, rivals);
    }
}

bool Survivors::single() const {
    return std::all_of(counts_.begin(), counts_.end(), [](int count) { return count == 1; });
}

}  // namespace comix::gridcut
