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
constexpr int kWidestStrip = Lanes<Number>::kCount == 4 ? 8 : 5;

// Appends those of the sites from `first` on whose lane is set; writes a vector's worth of sites.
template <class Mask>
int* append(Mask lanes, int first, int* list) {
    constexpr int count = sizeof lanes / sizeof lanes[0];
    for (int k = 0; k < count; ++k) {
        *list = first + k;
        list -= lanes[k];
    }
    return list;
}

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
    open_.resize(sites_, margin(width));
    found_.resize(sites_, margin(width));
    constexpr int lanes = Lanes<Number>::kCount;
    choice_.resize(at(sites_ + lanes));
    list_.resize(at(sites_ + lanes));
    row_.resize(at(sites_));
    column_.resize(at(sites_));
    for (int p = 0; p < sites_; ++p) {
        row_[at(p)] = p / width;
        column_[at(p)] = p % width;
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
    if (settle_sites()) {
        std::fill(found_.data(), found_.data() + sites_, std::uint8_t{0});
        wide_.clear();
        for (const int p : open_list_) {
            if (found_.data()[p]) continue;
            const Component component = find_component(p);
            if (std::min(component.high(), component.wide()) <= kWidestStrip<Number>) {
                decide_in_strip(component);
            } else {
                wide_.insert(wide_.end(), component.begin(), component.end());
            }
        }
        if (!wide_.empty()) submodular_ ? decide_by_cut() : decide_generally();
    }
    const auto end = choice_.begin() + sites_;
    return std::find(choice_.begin(), end, 1) != end;
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
bool GridMove<Number>::settle_sites() {
    constexpr int lanes = Lanes<Number>::kCount;
    const int w = width_, n = sites_;
    const Number *alone = alone_.data(), *right = help_right_, *down = help_down_;
    Number *own = own_.data(), *all = all_.data(), *least = least_.data();
    for (int p = 0; p < n; p += lanes)
        store(load(alone + p) + load(right + p) + load(right + p - 1) + load(down + p) +
                  load(down + p - w),
              all + p);
    spread(all, least, [](Number cost, Number joint) { return cost - joint; });
    if (submodular_)
        spread(alone, own, [](Number cost, Number joint) { return cost + joint; });
    else
        std::copy(alone, alone + n, own);

    MaskNumber* open = open_.data();
    open_list_.resize(at(n + lanes));  // the last ones are for what is not kept
    int* list = open_list_.data();
    for (int p = 0; p < n; p += lanes) {
        const Mask gains = negative(load(own + p));
        Mask sure{};
        if (submodular_) sure = gains;
        const Mask here = negative(load(least + p)) ^ sure;
        store(here, open + p);
        list = append(here, p, list);
        for (int k = 0; k < lanes; ++k) choice_[at(p + k)] = static_cast<std::uint8_t>(-sure[k]);
    }
    open_list_.resize(at(list - open_list_.data()));
    return !open_list_.empty();
}

// Writes what the sites cost together with those neighbours who `first` cost less than nothing, and
// goes on from there: where that changes a site's sign, which happens only in one direction, the
// neighbours' costs change too. No branches on costs: which way they go, no processor foresees.
template <class Number>
template <class Change>
void GridMove<Number>::spread(const Number* first, Number* cost, const Change& change) {
    constexpr int lanes = Lanes<Number>::kCount;
    const Number *alone = alone_.data(), *right = help_right_, *down = help_down_;
    const int w = width_;
    const auto joint = [&](const Number* costs, int q) {
        return only(load(costs), negative(load(first + q)));
    };
    int *const begin = list_.data(), *end = begin;
    for (int p = 0; p < sites_; p += lanes) {
        const Vector now = load(alone + p) + joint(right + p, p + 1) + joint(right + p - 1, p - 1) +
                           joint(down + p, p + w) + joint(down + p - w, p - w);
        store(now, cost + p);
        end = append(negative(load(first + p)) ^ negative(now), p, end);
    }
    for (const int* site = begin; site != end; ++site) {
        const int p = *site;
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

// The open sites connected with `seed`.
template <class Number>
auto GridMove<Number>::find_component(int seed) -> Component {
    const MaskNumber* open = open_.data();
    const int w = width_;
    std::uint8_t* found = found_.data();
    int* list = list_.data();
    std::size_t count = 0;
    const auto visit = [&](int q, bool linked) {
        const bool fresh = linked & (open[q] != 0) & (found[q] == 0);
        found[q] |= static_cast<std::uint8_t>(fresh);
        list[count] = q;
        count += fresh;
    };
    visit(seed, true);
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
    const MaskNumber* open = open_.data();
    for (const int p : component) {
        const auto [r, c] = place(p);
        const int k = r * width + c, up = p - width_, back = p - 1;
        alone[k] = own[p];
        from_up[k] = down[up] * static_cast<Number>(-open[up]);
        from_back[k] = right[back] * static_cast<Number>(-open[back]);
    }
    if (strip_.solve(rows, width, {alone, above, before}) >= 0) return;
    const auto& choices = strip_.choices();
    for (const int p : component) {
        const auto [r, c] = place(p);
        choice_[at(p)] = choices[at(r)] >> c & 1;
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
    for (int r = 0; r < rows; ++r)
        for (int c = 0, p = r * down; c < columns; ++c, p += right)
            choice_[at(p)] = choices[at(r)] >> c & 1;
    return best;
}

// The wide components, joint costs at most 0, by one minimum cut: joint x y, as a cut, is
// joint y + |joint| (1 - x) y.
template <class Number>
void GridMove<Number>::decide_by_cut() {
    const MaskNumber* open = open_.data();
    const Number *right = joint_right_.data(), *down = joint_down_.data();
    const auto node = [&](int p) { return topology_.node(row_[at(p)], column_[at(p)]); };
    flow_.reset(topology_);
    for (const int p : wide_) {
        // A joint cost where its other site is open too, else 0.
        const auto joint = [open](Number value, int q) {
            return static_cast<Cost>(value) & static_cast<Cost>(open[q]);
        };
        flow_.add_sink_side_cost(node(p), static_cast<Cost>(own_.data()[p]) +
                                              joint(right[p - 1], p - 1) +
                                              joint(down[p - width_], p - width_));
        flow_.add_capacity(topology_.arc(node(p), GridTopology::right), -joint(right[p], p + 1), 0);
        flow_.add_capacity(topology_.arc(node(p), GridTopology::down), -joint(down[p], p + width_),
                           0);
    }
    flow_.solve();
    for (const int p : wide_) choice_[at(p)] = flow_.on_sink_side(node(p));
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
    for (int p = 0; p < sites_; ++p) choice_[at(p)] = move_.takes(p);
}

template <class Number>
Number GridMove<Number>::energy() const {
    const Number *right = joint_right_.data(), *down = joint_down_.data();
    Number sum = 0;
    for (int p = 0; p < sites_; ++p) {
        if (!choice_[at(p)]) continue;
        sum += alone_.data()[p];
        if (column_[at(p)] + 1 < width_ && choice_[at(p + 1)]) sum += right[p];
        if (row_[at(p)] + 1 < height_ && choice_[at(p + width_)]) sum += down[p];
    }
    return sum;
}

template class GridMove<std::int32_t>;
template class GridMove<double>;

}  // namespace comix::gridcut
