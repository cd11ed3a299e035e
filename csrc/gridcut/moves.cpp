#include "gridcut/moves.hpp"

#include <algorithm>

namespace comix::gridcut {

void Moves::prepare(const FixedGrid& grid) {
    if (grid.height() == height_ && grid.width() == width_) return;
    height_ = grid.height();
    width_ = grid.width();
    move_.resize(height_, width_);
}

// An upper bound of twice what switching to `a` can gain at any site is positive somewhere. An edge
// whose two sites switch together is shared between them, so "no" is certain.
bool Moves::can_gain(const FixedGrid& grid, Label a, const Label* labels) const {
    const int h = grid.height(), w = grid.width();
    // now: cost of the edge; one: when only this site switches; both: when the two do.
    const auto gain = [](Cost now, Cost one, Cost both) {
        return std::max(2 * (now - one), now - both);
    };
    for (int r = 0, p = 0; r < h; ++r) {
        for (int c = 0; c < w; ++c, ++p) {
            const Label l = labels[p];
            if (l == a) continue;
            Cost bound = 2 * (grid.unary(p)[l] - grid.unary(p)[a]);
            const auto down = [&](int site, bool lower) {
                const Label x = labels[site], y = labels[site + w];
                const Cost now = grid.vertical(site, x, y);
                const Cost one = lower ? grid.vertical(site, x, a) : grid.vertical(site, a, y);
                bound += gain(now, one, (lower ? x : y) == a ? one : grid.vertical(site, a, a));
            };
            const auto right = [&](int site, bool second) {
                const Label x = labels[site], y = labels[site + 1];
                const Cost now = grid.horizontal(site, x, y);
                const Cost one = second ? grid.horizontal(site, x, a) : grid.horizontal(site, a, y);
                bound += gain(now, one, (second ? x : y) == a ? one : grid.horizontal(site, a, a));
            };
            if (r > 0) down(p - w, true);
            if (r + 1 < h) down(p, false);
            if (c > 0) right(p - 1, true);
            if (c + 1 < w) right(p, false);
            if (bound > 0) return true;
        }
    }
    return false;
}

// One expansion move; installed only when it lowers the energy.
bool Moves::expand(const FixedGrid& grid, Label a, Label* labels) {
    const int h = grid.height(), w = grid.width();
    move_.clear();
    for (int r = 0, p = 0; r < h; ++r) {
        for (int c = 0; c < w; ++c, ++p) {
            const Label l = labels[p];
            move_.add_site(p, grid.unary(p)[l], grid.unary(p)[a]);
            if (r + 1 < h) {
                const Label d = labels[p + w];
                move_.set_vertical(p, {grid.vertical(p, l, d), grid.vertical(p, l, a),
                                       grid.vertical(p, a, d), grid.vertical(p, a, a)});
            }
            if (c + 1 < w) {
                const Label d = labels[p + 1];
                move_.set_horizontal(p, {grid.horizontal(p, l, d), grid.horizontal(p, l, a),
                                         grid.horizontal(p, a, d), grid.horizontal(p, a, a)});
            }
        }
    }
    if (move_.solve(true).change >= 0) return false;
    for (int p = 0; p < grid.sites(); ++p)
        if (move_.takes(p)) labels[p] = a;
    return true;
}

void Moves::expansion(const FixedGrid& grid, const std::vector<Label>& candidates, int max_sweeps,
                      Label* labels) {
    prepare(grid);
    // A label is tried again only after another one's success changed the labelling.
    std::size_t failures = 0, tried = 0;
    const std::size_t limit = max_sweeps > 0
                                  ? candidates.size() * static_cast<std::size_t>(max_sweeps)
                                  : static_cast<std::size_t>(-1);
    for (std::size_t k = 0; failures < candidates.size() && tried < limit; ++tried) {
        const Label a = candidates[k];
        const bool success = can_gain(grid, a, labels) && expand(grid, a, labels);
        failures = success ? 1 : failures + 1;  // the same move twice in a row gains nothing
        k = k + 1 == candidates.size() ? 0 : k + 1;
    }
}

void Moves::swap_pair(const FixedGrid& grid, Label a, Label b, Label* labels, bool& exact) {
    const int h = grid.height(), w = grid.width();
    const auto plays = [&](int site) { return labels[site] == a || labels[site] == b; };
    playing_.clear();
    for (int p = 0; p < grid.sites(); ++p)
        if (plays(p)) playing_.push_back(p);
    move_.clear(playing_);
    for (const int p : playing_) {
        const int r = p / w, c = p % w;
        move_.add_site(p, grid.unary(p)[a], grid.unary(p)[b]);
        move_.set_current(p, labels[p] == b);
        // An edge to a site that does not play is part of the other site's cost.
        if (const int q = p + w; r + 1 < h) {
            const Label d = labels[q];
            if (plays(q))
                move_.set_vertical(p, {grid.vertical(p, a, a), grid.vertical(p, a, b),
                                       grid.vertical(p, b, a), grid.vertical(p, b, b)});
            else
                move_.add_site(p, grid.vertical(p, a, d), grid.vertical(p, b, d));
        }
        if (const int q = p + 1; c + 1 < w) {
            const Label d = labels[q];
            if (plays(q))
                move_.set_horizontal(p, {grid.horizontal(p, a, a), grid.horizontal(p, a, b),
                                         grid.horizontal(p, b, a), grid.horizontal(p, b, b)});
            else
                move_.add_site(p, grid.horizontal(p, a, d), grid.horizontal(p, b, d));
        }
        if (const int q = p - w; r > 0 && !plays(q))
            move_.add_site(p, grid.vertical(q, labels[q], a), grid.vertical(q, labels[q], b));
        if (const int q = p - 1; c > 0 && !plays(q))
            move_.add_site(p, grid.horizontal(q, labels[q], a), grid.horizontal(q, labels[q], b));
    }
    exact &= move_.solve().proven;
    for (const int p : playing_) {
        Label& l = labels[p];
        --count_[static_cast<std::size_t>(l)];
        l = move_.takes(p) ? b : a;
        ++count_[static_cast<std::size_t>(l)];
    }
}

bool Moves::swap(const FixedGrid& grid, int max_sweeps, Label* labels) {
    prepare(grid);
    const int n_labels = grid.labels();
    count_.assign(static_cast<std::size_t>(n_labels), 0);
    for (int p = 0; p < grid.sites(); ++p) ++count_[static_cast<std::size_t>(labels[p])];

    bool exact = true;
    Cost energy = grid.energy(labels);
    for (int sweep = 0; max_sweeps <= 0 || sweep < max_sweeps; ++sweep) {
        for (Label a = 0; a < n_labels; ++a)
            for (Label b = n_labels - 1; b > a; --b)
                if (count_[static_cast<std::size_t>(a)] + count_[static_cast<std::size_t>(b)] > 0)
                    swap_pair(grid, a, b, labels, exact);
        const Cost after = grid.energy(labels);
        if (after >= energy) break;
        energy = after;
    }
    return n_labels == 1 || (n_labels == 2 && exact);
}

}  // namespace comix::gridcut
