#include "gridcut/grid_move.hpp"

#include <algorithm>
#include <utility>

#include "base/index.hpp"

namespace comix::gridcut {

namespace {

// A grid at most this wide is one strip.
constexpr int kNarrow = 4;

// A component wider than this costs more as a strip of doubles than as a minimum cut.
template <class Number>
constexpr int kWidestStrip = Lanes<Number>::kCount == 4 ? 8 : 6;

// Grids of at most this many sites find their components in a few words.
constexpr int kFewSites = 4 * SiteSet::kBits;

}  // namespace

template <class Number>
void GridMove<Number>::resize(int height, int width) {
    if (height == height_ && width == width_) return;
    height_ = height;
    width_ = width;
    sites_ = height * width;
    for (auto* field : {&alone_, &joint_right_, &joint_down_, &own_, &all_, &least_,
                        &negative_right_, &negative_down_})
        field->resize(sites_, margin(width));
    for (auto* set : {&open_, &rest_, &choice_, &has_left_, &has_right_})
        set->resize(std::max(sites_, kFewSites), width);
    list_.resize(at(sites_) + 1);
    row_.resize(at(sites_));
    column_.resize(at(sites_));
    for (int p = 0; p < sites_; ++p) {
        row_[at(p)] = p / width;
        column_[at(p)] = p % width;
        has_left_.add(p, p % width > 0);
        has_right_.add(p, (p + 1) % width > 0);
    }
    topology_.resize(height, width);
    move_.resize(height, width);
}

template <class Number>
bool GridMove<Number>::narrow() const {
    return std::min(height_, width_) <= kNarrow;
}

template <class Number>
Number GridMove<Number>::solve() {
    if (narrow()) return solve_strip();
    return choose(false) ? energy() : 0;
}

template <class Number>
bool GridMove<Number>::choose(bool attractive) {
    if (narrow()) return solve_strip() < 0;
    submodular_ = attractive;
    help_right_ = joint_right_.data();
    help_down_ = joint_down_.data();
    if (!attractive) find_help();
    settle_sites();
    if (!open_.empty()) {
        rest_ = open_;
        wide_.clear();
        while (!rest_.empty()) {
            const Component component = find_component();
            if (std::min(component.high(), component.wide()) <= kWidestStrip<Number>) {
                decide_in_strip(component);
            } else {
                wide_.insert(wide_.end(), component.begin(), component.end());
            }
        }
        if (!wide_.empty()) submodular_ ? decide_by_cut() : decide_generally();
    }
    return !choice_.empty();
}

template <class Number>
void GridMove<Number>::find_help() {
    constexpr int lanes = Lanes<Number>::kCount;
    const Vector zero = Lanes<Number>::all(0);
    const Number *joint_right = joint_right_.data(), *joint_down = joint_down_.data();
    Number *right = negative_right_.data(), *down = negative_down_.data();
    Mask positive{};
    for (int p = 0; p < sites_; p += lanes) {
        const Vector across = load(joint_right + p), along = load(joint_down + p);
        positive = positive | negative(zero - across) | negative(zero - along);
        store(least(across, zero), right + p);
        store(least(along, zero), down + p);
    }
    submodular_ = !any(positive);
    if (submodular_) return;
    help_right_ = right;
    help_down_ = down;
}

// Sites that gain alone gain in any company; sites that do not gain in the company of all that may
// be taken stay. Either tells its neighbours. What is left is open.
template <class Number>
void GridMove<Number>::settle_sites() {
    constexpr int lanes = Lanes<Number>::kCount;
    const int w = width_, n = sites_;
    const Number *alone = alone_.data(), *right = help_right_, *down = help_down_;
    Number *own = own_.data(), *all = all_.data(), *least = least_.data();
    for (int first = 0; first < n; first += SiteSet::kBits) {
        SiteWord<Number> gain_alone, may_gain;
        for (int p = first, end = std::min(n, first + SiteSet::kBits); p < end; p += lanes) {
            const Vector cost = load(alone + p);
            const Vector helped =
                cost + load(right + p) + load(right + p - 1) + load(down + p) + load(down + p - w);
            store(helped, all + p);
            gain_alone.append(negative(cost));
            may_gain.append(negative(helped));
        }
        choice_.words()[first / SiteSet::kBits] = gain_alone.word();
        open_.words()[first / SiteSet::kBits] = may_gain.word();
    }
    spread(all, least, open_, [](Number cost, Number joint) { return cost - joint; });
    if (!submodular_) {
        std::copy(alone, alone + n, own);
        choice_.clear();
        return;
    }
    spread(alone, own, choice_, [](Number cost, Number joint) { return cost + joint; });
    for (int k = 0; k < open_.count_words(); ++k) open_.words()[k] ^= choice_.words()[k];
}

// Writes what the sites cost together with those neighbours who `first` cost less than nothing, and
// goes on from there: where that changes a site's sign, which happens only in one direction, the
// neighbours' costs change too. `gaining`: the sites with negative `first`, and in the end with
// negative `cost`. No branches on costs: which way they go, no processor foresees.
template <class Number>
template <class Change>
void GridMove<Number>::spread(const Number* first, Number* cost, SiteSet& gaining,
                              const Change& change) {
    constexpr int lanes = Lanes<Number>::kCount;
    const Number *alone = alone_.data(), *right = help_right_, *down = help_down_;
    const int w = width_, n = sites_;
    const auto joint = [&](const Number* costs, int q) {
        return only(load(costs), negative(load(first + q)));
    };
    int *const begin = list_.data(), *end = begin;
    for (int start = 0; start < n; start += SiteSet::kBits) {
        SiteWord<Number> gain;
        for (int p = start, stop = std::min(n, start + SiteSet::kBits); p < stop; p += lanes) {
            const Vector now = load(alone + p) + joint(right + p, p + 1) +
                               joint(right + p - 1, p - 1) + joint(down + p, p + w) +
                               joint(down + p - w, p - w);
            store(now, cost + p);
            gain.append(negative(now));
        }
        const SiteSet::Word changed = gain.word() ^ gaining.words()[start / SiteSet::kBits];
        SiteSet::for_each_bit(changed, start, [&](int p) { *end++ = p; });
    }
    for (const int* site = begin; site != end; ++site) {
        const int p = *site;
        gaining.flip(p);
        const auto tell = [&](int q, Number joint_cost) {
            const Number was = cost[q], is = change(was, joint_cost);
            cost[q] = is;
            *end = q;
            end += (was < 0) != (is < 0);
        };
        tell(p + 1, right[p]);
        tell(p + w, down[p]);
        tell(p - 1, right[p - 1]);
        tell(p - w, down[p - w]);
    }
}

// The open sites connected with the first one that is in no component yet.
template <class Number>
auto GridMove<Number>::find_component() -> Component {
    if (sites_ <= SiteSet::kBits) return flood_component<1>();
    if (sites_ <= kFewSites) return flood_component<kFewSites / SiteSet::kBits>();
    const int w = width_;
    int* list = list_.data();
    std::size_t count = 0;
    const auto visit = [&](int q, bool linked) {
        const bool fresh = linked & rest_[q];
        rest_.remove(q, fresh);
        list[count] = q;
        count += fresh;
    };
    int word = 0;
    while (rest_.words()[word] == 0) ++word;
    visit(SiteSet::kBits * word + SiteSet::lowest(rest_.words()[word]), true);
    int top = height_, bottom = 0, left = width_, right = 0;
    for (std::size_t k = 0; k < count; ++k) {
        const int p = list[k], r = row_[at(p)], c = column_[at(p)];
        top = std::min(top, r);
        bottom = std::max(bottom, r);
        left = std::min(left, c);
        right = std::max(right, c);
        // Beyond the first and the last row nothing is open.
        visit(p - w, true);
        visit(p - 1, c > 0);
        visit(p + 1, c + 1 < w);
        visit(p + w, true);
    }
    return {list, list + count, top, bottom, left, right};
}

// The same on few sites, in words: rows are between 5 and 51 sites long.
template <class Number>
template <int Words>
auto GridMove<Number>::flood_component() -> Component {
    using Word = SiteSet::Word;
    const int w = width_, back = SiteSet::kBits - w;
    Word* rest = rest_.words();
    Word in[Words + 2] = {};  // with a word before and after
    int seed = 0;
    while (rest[seed] == 0) ++seed;
    in[seed + 1] = rest[seed] & ~(rest[seed] - 1);
    for (Word grown = 1; grown != 0;) {
        grown = 0;
        for (int k = 1; k <= Words; ++k) {
            const Word was = in[k];
            in[k] |= ((in[k] << 1 | in[k - 1] >> 63) & has_left_.words()[k - 1] & rest[k - 1]) |
                     ((in[k] >> 1 | in[k + 1] << 63) & has_right_.words()[k - 1] & rest[k - 1]);
            in[k] |=
                (in[k] << w | in[k - 1] >> back | in[k] >> w | in[k + 1] << back) & rest[k - 1];
            grown |= was ^ in[k];
        }
    }
    int *const begin = list_.data(), *end = begin;
    int left = width_, right = 0;
    for (int k = 0; k < Words; ++k) {
        rest[k] ^= in[k + 1];
        SiteSet::for_each_bit(in[k + 1], SiteSet::kBits * k, [&](int p) {
            *end++ = p;
            left = std::min(left, column_[at(p)]);
            right = std::max(right, column_[at(p)]);
        });
    }
    return {begin, end, row_[at(*begin)], row_[at(end[-1])], left, right};
}

// Solves a narrow component.
template <class Number>
void GridMove<Number>::decide_in_strip(const Component& component) {
    const bool transposed = component.high() < component.wide();
    const int rows = std::max(component.high(), component.wide());
    const int width =
        std::max(std::min(component.high(), component.wide()), StripTable<Number>::kNarrowest);
    // Row and column in the strip.
    const auto place = [&](int p) {
        const int r = row_[at(p)] - component.top, c = column_[at(p)] - component.left;
        return transposed ? std::pair(c, r) : std::pair(r, c);
    };
    // Sites of the strip that are not in the component cost nothing, nor do edges to closed sites.
    const auto cells = at(rows * width);
    strip_costs_.assign(3 * cells, 0);
    Number *alone = strip_costs_.data(), *above = alone + cells, *before = above + cells;
    Number *from_up = transposed ? before : above, *from_back = transposed ? above : before;
    const Number *own = own_.data(), *down = joint_down_.data(), *right = joint_right_.data();
    for (const int p : component) {
        const auto [r, c] = place(p);
        const int k = r * width + c, up = p - width_, back = p - 1;
        alone[k] = own[p];
        from_up[k] = down[up] * static_cast<Number>(open_[up]);
        from_back[k] = right[back] * static_cast<Number>(open_[back]);
    }
    if (strip_.solve(rows, width, {alone, above, before}) >= 0) return;
    const auto& choices = strip_.choices();
    for (const int p : component) {
        const auto [r, c] = place(p);
        choice_.add(p, choices[at(r)] >> c & 1);
    }
}

// A grid at most four wide at once; returns E.
template <class Number>
Number GridMove<Number>::solve_strip() {
    constexpr int width = kNarrow;
    const bool transposed = height_ < width_;
    const int rows = transposed ? width_ : height_, columns = transposed ? height_ : width_;
    const int down = transposed ? 1 : width_, right = transposed ? width_ : 1;
    const Number* along = (transposed ? joint_right_ : joint_down_).data();
    const Number* across = (transposed ? joint_down_ : joint_right_).data();
    typename StripTable<Number>::Costs costs{alone_.data(), along - down, across - right};
    if (right != 1 || columns != width) {
        const auto cells = at(rows * width);
        strip_costs_.assign(3 * cells, 0);
        Number *alone = strip_costs_.data(), *above = alone + cells, *before = above + cells;
        for (int r = 0; r < rows; ++r) {
            for (int c = 0, p = r * down; c < columns; ++c, p += right) {
                const int k = r * width + c;
                alone[k] = alone_.data()[p];
                above[k] = along[p - down];
                before[k] = across[p - right];
            }
        }
        costs = {alone, above, before};
    }
    const Number best = strip_.solve(rows, width, costs);
    if (best >= 0) return 0;
    const auto& choices = strip_.choices();
    choice_.clear();
    for (int r = 0; r < rows; ++r) {
        if (transposed)
            for (int c = 0; c < columns; ++c) choice_.add(r + c * width_, choices[at(r)] >> c & 1);
        else
            choice_.add_run(r * columns, choices[at(r)]);
    }
    return best;
}

// The wide components, joint costs at most 0, by one minimum cut: joint x y, as a cut, is
// joint y + |joint| (1 - x) y.
template <class Number>
void GridMove<Number>::decide_by_cut() {
    const Number *own = own_.data(), *right = joint_right_.data(), *down = joint_down_.data();
    const GridTopology topology = topology_;  // copies: nothing that is written can be they
    const int w = width_, *row = row_.data(), *column = column_.data();
    const SiteSet::Word* open = open_.words();
    const auto node = [=](int p) { return topology.node(row[p], column[p]); };
    flow_.reset(topology_);
    const auto add_edge = [=](int here, GridTopology::Direction direction, Number value, int q) {
        // The joint cost where its other site is open too, else 0.
        const Cost joint = static_cast<Cost>(value) & -static_cast<Cost>(SiteSet::has(open, q));
        const Arc arc = topology.arc(here, direction);
        flow_.add_capacity(arc, -joint);
        flow_.add_sink_side_cost(topology.head(arc), joint);
    };
    for (const int p : wide_) {
        const int here = node(p);
        flow_.add_sink_side_cost(here, static_cast<Cost>(own[p]));
        add_edge(here, GridTopology::right, right[p], p + 1);
        add_edge(here, GridTopology::down, down[p], p + w);
    }
    flow_.solve();
    for (const int p : wide_) choice_.add(p, flow_.on_sink_side(node(p)));
}

// Everything by the general move.
template <class Number>
void GridMove<Number>::decide_generally() {
    move_.clear();
    for (int p = 0; p < sites_; ++p) {
        move_.add_site(p, 0, static_cast<Cost>(alone_.data()[p]));
        const auto edge = [p](const Field<Number>& joint) {
            return BinaryMove::Edge{0, 0, 0, static_cast<Cost>(joint.data()[p])};
        };
        if (column_[at(p)] + 1 < width_) move_.set_horizontal(p, edge(joint_right_));
        if (row_[at(p)] + 1 < height_) move_.set_vertical(p, edge(joint_down_));
    }
    move_.solve(true);
    choice_.clear();
    for (int p = 0; p < sites_; ++p) choice_.add(p, move_.takes(p));
}

template <class Number>
Number GridMove<Number>::energy() const {
    const Number *right = joint_right_.data(), *down = joint_down_.data();
    Number sum = 0;
    choice_.for_each([&](int p) {  // joint costs are zero where there is no edge
        sum += alone_.data()[p];
        if (choice_[p + 1]) sum += right[p];
        if (choice_[p + width_]) sum += down[p];
    });
    return sum;
}

template class GridMove<std::int32_t>;
template class GridMove<double>;

}  // namespace comix::gridcut
