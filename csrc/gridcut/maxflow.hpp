// Maximum flow / minimum cut by two search trees that are kept from one augmentation to the next.
//
// Algorithm: Boykov & Kolmogorov, "An experimental comparison of min-cut/max-flow algorithms for
//   energy minimization in vision", PAMI 2004, section 3: a tree of residual arcs grows from the
//   source and one into the sink; where they touch, the path is saturated, which cuts off orphans;
//   orphans look for a new parent, nearest to the terminal first (distance labels with time
//   stamps). On grids, flow along straight rows and columns goes first; it leaves short ways, which
//   growing from the sink alone finds faster.
// Guarantee: integer capacities, an exact minimum cut; among all minimum cuts the one whose sink
//   side is smallest (a node is on the sink side iff it still reaches the sink in the residual
//   graph), so the answer does not depend on the order of augmentations.
// Cost: worst case O(nodes^2 * arcs * value) on paper, close to linear on grids.
//
// The network's shape is a Topology, so that grids need no arc lists:
//   int nodes() const; int head(arc); Arc sister(arc); for_each_arc(node, visit);
//   kStraight, and then for_each_line(visit).
// An arc may be declared without capacity; a boundary arc of a grid leads to a padding node.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fixed_point.hpp"

namespace comix::gridcut {

using Arc = std::int32_t;

// A 4-connected H x W grid with a rim of padding nodes, so that every arc has a head.
// Arcs of node p are 4p..4p+3: right, left, down, up.
class GridTopology {
  public:
    enum Direction { right = 0, left = 1, down = 2, up = 3 };

    void resize(int height, int width) {
        height_ = height;
        width_ = width;
        pitch_ = width + 2;
        nodes_ = (height + 2) * pitch_;
        offset_[right] = 1;
        offset_[left] = -1;
        offset_[down] = pitch_;
        offset_[up] = -pitch_;
    }

    int nodes() const { return nodes_; }
    int node(int row, int column) const { return (row + 1) * pitch_ + column + 1; }
    Arc arc(int node, Direction direction) const { return 4 * node + direction; }
    Arc arcs() const { return 4 * nodes_; }
    int head(Arc arc) const { return (arc >> 2) + offset_[arc & 3]; }
    Arc sister(Arc arc) const { return (head(arc) << 2) | ((arc & 3) ^ 1); }

    // Whether straight lines carry most of the flow, so that ways are short afterwards.
    static constexpr bool kStraight = true;

    // visit(arc, head, sister) for the arcs of a node, until it returns true.
    template <class Visit>
    void for_each_arc(int node, const Visit& visit) const {
        const Arc arc = 4 * node;
        const int below = node + pitch_, above = node - pitch_;
        if (visit(arc + right, node + 1, arc + 4 + left)) return;
        if (visit(arc + left, node - 1, arc - 4 + right)) return;
        if (visit(arc + down, below, 4 * below + up)) return;
        visit(arc + up, above, 4 * above + down);
    }
    // visit(first node, step to the next one, nodes, direction of the step, of the way back): rows
    // and columns, in the directions in which arcs of grid energies have capacity.
    template <class Visit>
    void for_each_line(const Visit& visit) const {
        for (int r = 0; r < height_; ++r) visit(node(r, 0), 1, width_, right, left);
        for (int c = 0; c < width_; ++c) visit(node(0, c), pitch_, height_, down, up);
    }

  private:
    int height_ = 0, width_ = 0;
    int pitch_ = 2;
    int nodes_ = 4;
    int offset_[4] = {};
};

// Any network, arcs listed once and then laid out by tail.
class ArcTopology {
  public:
    void clear(int nodes);
    // Adds a pair of opposite arcs and returns its number; arc() finds the arcs after finish().
    int add_edge(int tail, int head);
    void finish();

    static constexpr bool kStraight = false;

    int nodes() const { return nodes_; }
    Arc arc(int edge) const { return position_[static_cast<std::size_t>(edge)]; }
    Arc arcs() const { return static_cast<Arc>(head_.size()); }
    int head(Arc arc) const { return head_[static_cast<std::size_t>(arc)]; }
    Arc sister(Arc arc) const { return sister_[static_cast<std::size_t>(arc)]; }

    template <class Visit>
    void for_each_arc(int node, const Visit& visit) const {
        const Arc end = first_[static_cast<std::size_t>(node) + 1];
        for (Arc arc = first_[static_cast<std::size_t>(node)]; arc < end; ++arc)
            if (visit(arc, head(arc), sister(arc))) return;
    }

  private:
    int nodes_ = 0;
    std::vector<int> edge_tail_, edge_head_;
    std::vector<Arc> first_, position_, sister_;
    std::vector<int> head_;
};

template <class Topology>
class MaxFlow {
  public:
    // Forgets all capacities; `topology` must outlive the solve.
    void reset(const Topology& topology);

    // `arc` may carry `forward` units from its tail to its head and `backward` the other way.
    void add_capacity(Arc arc, Cost forward, Cost backward) {
        residual_[static_cast<std::size_t>(arc)] += forward;
        residual_[static_cast<std::size_t>(topology_->sister(arc))] += backward;
    }

    // The same with nothing the other way.
    void add_capacity(Arc arc, Cost forward) {
        residual_[static_cast<std::size_t>(arc)] += forward;
    }

    // Cost paid when the node ends on the sink side, minus that for the source side.
    void add_sink_side_cost(int node, Cost cost) {
        excess_[static_cast<std::size_t>(node)] += cost;
    }

    void solve();
    bool on_sink_side(int node) const { return node_[static_cast<std::size_t>(node)].tree == sink; }

  private:
    enum Tree : std::uint8_t { none, source, sink };
    static constexpr Arc no_parent = -1, terminal = -2, orphan = -3;

    struct Node {
        Arc parent = no_parent;  // arc to the parent, or one of the marks
        std::int32_t stamp = 0, distance = 0;
        Tree tree = none;
        bool queued = false;
    };

    void push_straight();
    void activate(int node);
    int next_active();
    Arc grow(int node);
    void augment(Arc middle);
    void adopt_orphans();
    void adopt(int node);
    int distance_to_terminal(int node);
    void make_orphan(int node);

    const Topology* topology_ = nullptr;
    std::vector<Cost> residual_;  // per arc
    std::vector<Cost> excess_;    // per node: > 0 from the source, < 0 into the sink
    std::vector<Node> node_;
    std::vector<Cost> room_;  // of a line
    std::vector<int> active_, next_, orphans_;
    std::size_t active_at_ = 0;
    std::int32_t time_ = 0;
};

template <>
void MaxFlow<GridTopology>::push_straight();
template <>
void MaxFlow<ArcTopology>::push_straight();
extern template class MaxFlow<GridTopology>;
extern template class MaxFlow<ArcTopology>;

}  // namespace comix::gridcut
