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

}  // namespace

template <class Number>
void GridMove<Number>::resize(int height, int width) {
    if (height == height_ && width == width_) return;
    height_ = height;
    width_ = width;
    sites_ = height * width;
    for (auto* field :
         {&alone_, &joint_right_, &joint_down_, &own_, &least_, &negative_right_, &negative_down_})
        field->resize(sites_, margin(width));
    open_.resize(sites_, margin(width));
    found_.resize(sites_, margin(width));
    choice_.resize(at(sites_));
    list_.resize(at(sites_) + 1);
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
        const MaskNumber* open = open_.data();
        std::fill(found_.data(), found_.data() + sites_, std::uint8_t{0});
        wide_.clear();
        for (int p = 0; p < sites_; ++p) {
            if (!((open[p] != 0) & (found_.data()[p] == 0))) continue;  // one branch, not two
            const Component component = find_component(p);
            if (std::min(component.high(), component.wide()) <= kWidestStrip<Number>) {
                decide_in_strip(component);
            } else {
                wide_.insert(wide_.end(), component.begin(), component.end());
            }
        }
        if (!wide_.empty()) submodular_ ? decide_by_cut() : decide_generally();
    }
    return std::find(choice_.begin(), choice_.end(), 1) != choice_.end();
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
    Number *own = own_.data(), *least = least_.data();
    for (int p = 0; p < n; p += lanes) {
        const Vector cost = load(alone + p);
        store(cost, own + p);
        store(cost + load(right + p) + load(right + p - 1) + load(down + p) + load(down + p - w),
              least + p);
    }
    std::fill(choice_.begin(), choice_.end(), std::uint8_t{0});
    if (submodular_) {
        const auto gains = [](Number cost) { return cost < 0; };
        const std::size_t sure =
            spread(own, gains, [](Number cost, Number joint) { return cost + joint; });
        for (std::size_t k = 0; k < sure; ++k) choice_[at(list_[k])] = 1;
    }
    const auto stays = [](Number cost) { return cost >= 0; };
    spread(least, stays, [](Number cost, Number joint) { return cost - joint; });

    MaskNumber* open = open_.data();
    Mask some{};
    for (int p = 0; p < n; p += lanes) {
        Mask here = negative(load(least + p));
        if (submodular_) here = here ^ negative(load(own + p));  // the sure ones, negative in both
        store(here, open + p);
        some = some | here;
    }
    return any(some);
}

// Lists the sites whose cost is settled, which changes their neighbours' and may settle these.
// No branches on costs: which way they go, no processor foresees.
template <class Number>
template <class Settled, class Change>
std::size_t GridMove<Number>::spread(Number* cost, const Settled& is_settled,
                                     const Change& change) {
    const Number *right = help_right_, *down = help_down_;
    const int w = width_;
    int* list = list_.data();
    std::size_t count = 0;
    for (int p = 0; p < sites_; ++p) {
        list[count] = p;
        count += is_settled(cost[p]);
    }
    for (std::size_t k = 0; k < count; ++k) {
        const int p = list[k];
        const auto tell = [&](int q, Number joint) {
            const Number before = cost[q], after = change(before, joint);
            cost[q] = after;
            list[count] = q;
            count += !is_settled(before) & is_settled(after);
        };
        tell(p + 1, right[p]);
        tell(p + w, down[p]);
        tell(p - 1, right[p - 1]);
        tell(p - w, down[p - w]);
    }
    return count;
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
        from_up[k] = open[up] ? down[up] : 0;
        from_back[k] = open[back] ? right[back] : 0;
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
