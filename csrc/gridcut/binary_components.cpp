// Elimination over the connected components that bounds leave undecided (binary_move.hpp).
#include <algorithm>

#include "base/index.hpp"
#include "gridcut/binary_move.hpp"

namespace comix::gridcut {

namespace {

// Costs carry the number of ones in their low 10 bits: fewest ones among equal costs.
constexpr Cost kUnit = BinaryMove::kMostSites + 1;

}  // namespace

// Solves all components whose frontier has at most `widest` sites; false when one of them is wider,
// and its sites stay undecided.
bool BinaryMove::eliminate_components(int widest) {
    bool all = true;
    for (const int p : playing_) {
        if (choice_[at(p)] != undecided || mark_[at(p)]) continue;
        find_component(p);
        if (static_cast<int>(component_.size()) <= kMostSites &&
            frontier_of_component() <= widest) {
            eliminate_component();
        } else {
            all = false;
        }
    }
    for (const int p : playing_) mark_[at(p)] = 0;
    return all;
}

// component_: the undecided sites connected with `seed`, line by line across their shorter side.
void BinaryMove::find_component(int seed) {
    component_.assign(1, seed);
    mark_[at(seed)] = 1;
    int top = height_, bottom = 0, left = width_, right = 0;
    for (std::size_t k = 0; k < component_.size(); ++k) {
        const int p = component_[k], r = p / width_, c = p % width_;
        top = std::min(top, r);
        bottom = std::max(bottom, r);
        left = std::min(left, c);
        right = std::max(right, c);
        int neighbours = 0;
        for_each_neighbour(p, [&](int q, const Edge&, bool) {
            if (choice_[at(q)] != undecided) return;
            ++neighbours;
            if (mark_[at(q)]) return;
            mark_[at(q)] = 1;
            component_.push_back(q);
        });
        pending_[at(p)] = neighbours;
    }
    if (right - left <= bottom - top) {
        std::sort(component_.begin(), component_.end());
    } else {
        std::sort(component_.begin(), component_.end(), [&](int a, int b) {
            return a % width_ != b % width_ ? a % width_ < b % width_ : a < b;
        });
    }
}

// Size of the largest frontier that eliminating the component needs.
int BinaryMove::frontier_of_component() {
    int size = 0, largest = 0;
    for (const int p : component_) {
        mark_[at(p)] = 2;
        largest = std::max(largest, ++size);
        for_each_neighbour(p, [&](int q, const Edge&, bool) {
            if (mark_[at(q)] != 2 || choice_[at(q)] != undecided) return;
            --pending_[at(p)];
            if (--pending_[at(q)] == 0) --size;
        });
        if (pending_[at(p)] == 0) --size;
    }
    for (const int p : component_) {  // as it was
        mark_[at(p)] = 1;
        pending_[at(p)] = 0;
        for_each_neighbour(
            p, [&](int q, const Edge&, bool) { pending_[at(p)] += choice_[at(q)] == undecided; });
    }
    return largest;
}

// The site's two choices double the table.
void BinaryMove::join_frontier(int site) {
    Cost alone = take_[at(site)];
    // Of the edges to visited sites: place of the site in the frontier, cost by [its choice][our
    // choice].
    struct Link {
        int bit;
        Cost cost[2][2];
    };
    Link links[4];
    int count = 0;
    for_each_neighbour(site, [&](int q, const Edge& e, bool first) {
        const auto cost = [&](int other, int own) {
            return (e[at(first ? 2 * own + other : 2 * other + own)] - e[0]) * kUnit;
        };
        if (choice_[at(q)] != undecided) {
            alone += (cost(choice_[at(q)], 1) - cost(choice_[at(q)], 0)) / kUnit;
        } else if (mark_[at(q)] == 2) {
            const auto place = std::find(frontier_.begin(), frontier_.end(), q) - frontier_.begin();
            links[count++] = {static_cast<int>(place),
                              {{cost(0, 0), cost(0, 1)}, {cost(1, 0), cost(1, 1)}}};
        }
    });
    const std::size_t states = table_.size();
    table_.resize(2 * states);
    for (std::size_t s = 0; s < states; ++s) {
        Cost kept = table_[s], taken = table_[s] + alone * kUnit + 1;
        for (int k = 0; k < count; ++k) {
            const auto other = (s >> links[k].bit) & 1;
            kept += links[k].cost[other][0];
            taken += links[k].cost[other][1];
        }
        table_[s] = kept;
        table_[states + s] = taken;
    }
    frontier_.push_back(site);
    steps_.push_back({-1, 0, 0});
}

// Minimises over the choice of the site at `place`, all of whose neighbours are visited.
void BinaryMove::leave_frontier(int place) {
    const std::size_t bit = std::size_t{1} << place, states = table_.size() / 2;
    const std::size_t first_choice = choices_.size();
    choices_.resize(first_choice + states);
    next_table_.resize(states);
    for (std::size_t s = 0; s < states; ++s) {
        const std::size_t kept = (s & (bit - 1)) | (s & ~(bit - 1)) << 1, taken = kept | bit;
        choices_[first_choice + s] = table_[taken] < table_[kept];
        next_table_[s] = std::min(table_[kept], table_[taken]);
    }
    table_.swap(next_table_);
    steps_.push_back({frontier_[at(place)], place, first_choice});
    frontier_.erase(frontier_.begin() + place);
}

void BinaryMove::eliminate_component() {
    table_.assign(1, 0);
    frontier_.clear();
    steps_.clear();
    choices_.clear();
    int finished[4];
    for (const int p : component_) {
        join_frontier(p);
        mark_[at(p)] = 2;
        int count = 0;
        for_each_neighbour(p, [&](int q, const Edge&, bool) {
            if (choice_[at(q)] != undecided || mark_[at(q)] != 2) return;
            --pending_[at(p)];
            if (--pending_[at(q)] == 0) finished[count++] = q;
        });
        const auto leave = [&](int site) {
            const auto place = std::find(frontier_.begin(), frontier_.end(), site);
            leave_frontier(static_cast<int>(place - frontier_.begin()));
        };
        for (int k = 0; k < count; ++k) leave(finished[k]);
        if (pending_[at(p)] == 0) leave(p);
    }

    // Backwards: `state` holds the choices of the frontier after each step.
    std::size_t state = 0;
    std::size_t width = 0;  // sites in the frontier after the step
    for (std::size_t k = steps_.size(); k-- > 0;) {
        const Step& step = steps_[k];
        if (step.site < 0) {  // the newest site has the highest bit
            --width;
            state &= (std::size_t{1} << width) - 1;
            continue;
        }
        const std::size_t choice = choices_[step.first_choice + state];
        choice_[at(step.site)] = choice ? take : keep;
        const std::size_t below = (std::size_t{1} << step.bit) - 1;
        state = (state & below) | (state & ~below) << 1 | choice << step.bit;
        ++width;
    }
}

}  // namespace comix::gridcut
