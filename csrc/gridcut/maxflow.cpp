#include "gridcut/maxflow.hpp"

#include <algorithm>
#include <limits>

#include "base/errors.hpp"

namespace comix::gridcut {

void ArcTopology::clear(int nodes) {
    nodes_ = nodes;
    edge_tail_.clear();
    edge_head_.clear();
}

int ArcTopology::add_edge(int tail, int head) {
    require(edge_tail_.size() < static_cast<std::size_t>(std::numeric_limits<Arc>::max() / 2),
            "grid and labels: expected a level graph of fewer than 2^30 edges, got more");
    edge_tail_.push_back(tail);
    edge_head_.push_back(head);
    return static_cast<int>(edge_tail_.size()) - 1;
}

void ArcTopology::finish() {
    const std::size_t edges = edge_tail_.size();
    first_.assign(static_cast<std::size_t>(nodes_) + 1, 0);
    for (std::size_t e = 0; e < edges; ++e) {
        ++first_[static_cast<std::size_t>(edge_tail_[e]) + 1];
        ++first_[static_cast<std::size_t>(edge_head_[e]) + 1];
    }
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
    std::vector<Arc> free_slot(first_.begin(), first_.end() - 1);
    head_.resize(2 * edges);
    sister_.resize(2 * edges);
    position_.resize(edges);
    for (std::size_t e = 0; e < edges; ++e) {
        const Arc a = free_slot[static_cast<std::size_t>(edge_tail_[e])]++;
        const Arc b = free_slot[static_cast<std::size_t>(edge_head_[e])]++;
        position_[e] = a;
        head_[static_cast<std::size_t>(a)] = edge_head_[e];
        head_[static_cast<std::size_t>(b)] = edge_tail_[e];
        sister_[static_cast<std::size_t>(a)] = b;
        sister_[static_cast<std::size_t>(b)] = a;
    }
}

template <class Topology>
void MaxFlow<Topology>::reset(const Topology& topology) {
    topology_ = &topology;
    const auto nodes = static_cast<std::size_t>(topology.nodes());
    residual_.assign(static_cast<std::size_t>(topology.arcs()), 0);
    excess_.assign(nodes, 0);
}

template <class Topology>
void MaxFlow<Topology>::activate(int node) {
    bool& queued = node_[static_cast<std::size_t>(node)].queued;
    if (queued) return;
    queued = true;
    next_.push_back(node);
}

template <class Topology>
int MaxFlow<Topology>::next_active() {
    for (;;) {
        if (active_at_ == active_.size()) {
            active_.swap(next_);
            next_.clear();
            active_at_ = 0;
            if (active_.empty()) return -1;
        }
        const int node = active_[active_at_++];
        node_[static_cast<std::size_t>(node)].queued = false;
        if (node_[static_cast<std::size_t>(node)].parent != no_parent) return node;
    }
}

template <class Topology>
void MaxFlow<Topology>::make_orphan(int node) {
    node_[static_cast<std::size_t>(node)].parent = orphan;
    orphans_.push_back(node);
}

// Extends the tree of `node` over its residual arcs. Returns an arc from the source tree to the
// sink tree when the trees touch, else no_parent.
template <class Topology>
Arc MaxFlow<Topology>::grow(int node) {
    const Node& own = node_[static_cast<std::size_t>(node)];
    const Tree tree = own.tree;
    const std::int32_t stamp = own.stamp, distance = own.distance;
    Arc middle = no_parent;
    topology_->for_each_arc(node, [&](Arc arc, int head, Arc back) {
        const Arc along = tree == source ? arc : back;  // the direction in which flow would run
        if (residual_[static_cast<std::size_t>(along)] <= 0) return false;
        Node& other = node_[static_cast<std::size_t>(head)];
        if (other.tree == none) {
            other.tree = tree;
            other.parent = back;
            other.stamp = stamp;
            other.distance = distance + 1;
            activate(head);
        } else if (other.tree != tree) {
            middle = along;
            return true;
        } else if (other.stamp <= stamp && other.distance > distance) {
            other.parent = back;  // a shorter way to the terminal
            other.stamp = stamp;
            other.distance = distance + 1;
        }
        return false;
    });
    return middle;
}

template <class Topology>
void MaxFlow<Topology>::augment(Arc middle) {
    const auto residual = [this](Arc arc) -> Cost& {
        return residual_[static_cast<std::size_t>(arc)];
    };
    const auto parent = [this](int node) { return node_[static_cast<std::size_t>(node)].parent; };
    const int tail = topology_->head(topology_->sister(middle));
    const int head = topology_->head(middle);

    Cost bottleneck = residual(middle);
    int node = tail;
    for (Arc arc; (arc = parent(node)) != terminal;) {
        bottleneck = std::min(bottleneck, residual(topology_->sister(arc)));
        node = topology_->head(arc);
    }
    bottleneck = std::min(bottleneck, excess_[static_cast<std::size_t>(node)]);
    node = head;
    for (Arc arc; (arc = parent(node)) != terminal;) {
        bottleneck = std::min(bottleneck, residual(arc));
        node = topology_->head(arc);
    }
    bottleneck = std::min(bottleneck, -excess_[static_cast<std::size_t>(node)]);

    residual(middle) -= bottleneck;
    residual(topology_->sister(middle)) += bottleneck;
    node = tail;
    for (Arc arc; (arc = parent(node)) != terminal;) {
        const int next = topology_->head(arc);
        residual(arc) += bottleneck;
        if ((residual(topology_->sister(arc)) -= bottleneck) == 0) make_orphan(node);
        node = next;
    }
    if ((excess_[static_cast<std::size_t>(node)] -= bottleneck) == 0) make_orphan(node);
    node = head;
    for (Arc arc; (arc = parent(node)) != terminal;) {
        const int next = topology_->head(arc);
        residual(topology_->sister(arc)) += bottleneck;
        if ((residual(arc) -= bottleneck) == 0) make_orphan(node);
        node = next;
    }
    if ((excess_[static_cast<std::size_t>(node)] += bottleneck) == 0) make_orphan(node);
}

// Number of arcs from `node` to its terminal along parents, or -1 when the way ends at an orphan.
template <class Topology>
int MaxFlow<Topology>::distance_to_terminal(int node) {
    int steps = 0;
    int end = node;
    for (;;) {
        Node& at = node_[static_cast<std::size_t>(end)];
        if (at.stamp == time_) {
            steps += at.distance;
            break;
        }
        if (at.parent == terminal) {
            at.stamp = time_;
            at.distance = 1;
            ++steps;
            break;
        }
        if (at.parent < 0) return -1;
        ++steps;
        end = topology_->head(at.parent);
    }
    // The way is valid now: mark it, so that the next question about it ends early.
    int distance = steps;
    for (int j = node; node_[static_cast<std::size_t>(j)].stamp != time_;) {
        Node& at = node_[static_cast<std::size_t>(j)];
        at.stamp = time_;
        at.distance = distance--;
        j = topology_->head(at.parent);
    }
    return steps;
}

template <class Topology>
void MaxFlow<Topology>::adopt(int node) {
    Node& own = node_[static_cast<std::size_t>(node)];
    const Tree tree = own.tree;
    Arc best = no_parent;
    int best_distance = std::numeric_limits<int>::max();
    topology_->for_each_arc(node, [&](Arc arc, int head, Arc back) {
        if (node_[static_cast<std::size_t>(head)].tree != tree) return false;
        const Arc from_terminal = tree == source ? back : arc;
        if (residual_[static_cast<std::size_t>(from_terminal)] <= 0) return false;
        const int distance = distance_to_terminal(head);
        if (distance >= 0 && distance < best_distance) {
            best = arc;
            best_distance = distance;
        }
        return false;
    });
    if (best != no_parent) {
        own.parent = best;
        own.stamp = time_;
        own.distance = best_distance + 1;
        return;
    }
    topology_->for_each_arc(node, [&](Arc arc, int head, Arc back) {
        const Node& other = node_[static_cast<std::size_t>(head)];
        if (other.tree != tree) return false;
        if (residual_[static_cast<std::size_t>(tree == source ? back : arc)] > 0) activate(head);
        if (other.parent == back) make_orphan(head);
        return false;
    });
    own.tree = none;
    own.parent = no_parent;
}

template <class Topology>
void MaxFlow<Topology>::adopt_orphans() {
    // Those nearest to a terminal were found last; adopted first, they can adopt the others.
    std::reverse(orphans_.begin(), orphans_.end());
    for (std::size_t k = 0; k < orphans_.size(); ++k) adopt(orphans_[k]);
    orphans_.clear();
}

// Sends along every line what nodes further down it can take.
template <>
void MaxFlow<GridTopology>::push_straight() {
    topology_->for_each_line([&](int first, int step, int count, int forward, int backward) {
        if (static_cast<int>(room_.size()) < count) room_.resize(static_cast<std::size_t>(count));
        Cost *residual = residual_.data(), *excess = excess_.data(), *rooms = room_.data();
        Cost room = 0, most = 0;  // what the nodes after this one can take
        int p = first + (count - 1) * step;
        for (int k = count - 1; k >= 0; --k, p -= step) {
            const Cost capacity = residual[4 * p + forward], own = excess[p];
            room = room < capacity ? room : capacity;
            rooms[k] = room;
            most |= room;
            room -= own < 0 ? own : 0;
        }
        if (most == 0) return;
        // No branches on what flows: which way they go, no processor foresees.
        Cost carried = 0;
        for (int k = 0; k < count; ++k) {
            p += step;
            const Cost here = excess[p] + carried;
            carried = here < rooms[k] ? here : rooms[k];
            carried = carried > 0 ? carried : 0;
            excess[p] = here - carried;
            residual[4 * p + forward] -= carried;
            residual[4 * (p + step) + backward] += carried;  // after the last node, nothing
        }
    });
}

template <>
void MaxFlow<ArcTopology>::push_straight() {}

template <class Topology>
void MaxFlow<Topology>::solve() {
    push_straight();
    const auto nodes = static_cast<std::size_t>(topology_->nodes());
    node_.resize(nodes);
    active_.clear();
    next_.resize(nodes + 1);  // the last one is for what is not kept
    orphans_.clear();
    active_at_ = 0;
    time_ = 0;
    std::size_t waiting = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
        const bool gives = excess_[i] > 0, takes = excess_[i] < 0, ends = gives | takes;
        // One tree that grows finds all ways, and the nodes that reach the sink.
        const bool queued = Topology::kStraight ? takes : ends;
        node_[i] = {ends ? terminal : no_parent, 0, ends,
                    static_cast<Tree>(gives * source + takes * sink), queued};
        next_[waiting] = static_cast<int>(i);
        waiting += queued;
    }
    next_.resize(waiting);

    for (int node = -1;;) {
        // A node whose growth met the other tree stays active until it meets nothing more.
        if (node < 0 || node_[static_cast<std::size_t>(node)].parent == no_parent) {
            node = next_active();
            if (node < 0) return;
        }
        const Arc middle = grow(node);
        if (middle == no_parent) {
            node = -1;
            continue;
        }
        ++time_;
        augment(middle);
        adopt_orphans();
    }
}

template class MaxFlow<GridTopology>;
template class MaxFlow<ArcTopology>;

}  // namespace comix::gridcut
