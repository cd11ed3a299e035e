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
    if (queued_[static_cast<std::size_t>(node)]) return;
    queued_[static_cast<std::size_t>(node)] = 1;
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
        queued_[static_cast<std::size_t>(node)] = 0;
        if (parent_[static_cast<std::size_t>(node)] != no_parent) return node;
    }
}

template <class Topology>
void MaxFlow<Topology>::make_orphan(int node) {
    parent_[static_cast<std::size_t>(node)] = orphan;
    orphans_.push_back(node);
}

// Extends the tree of `node` over its residual arcs. Returns an arc from the source tree to the
// sink tree when the trees touch, else no_parent.
template <class Topology>
Arc MaxFlow<Topology>::grow(int node) {
    const auto i = static_cast<std::size_t>(node);
    const Tree tree = tree_[i];
    for (Arc arc = topology_->begin(node); arc < topology_->end(node); ++arc) {
        const Arc back = topology_->sister(arc);
        const Arc along = tree == source ? arc : back;  // the direction in which flow would run
        if (residual_[static_cast<std::size_t>(along)] <= 0) continue;
        const int head = topology_->head(arc);
        const auto j = static_cast<std::size_t>(head);
        if (tree_[j] == none) {
            tree_[j] = tree;
            parent_[j] = back;
            stamp_[j] = stamp_[i];
            distance_[j] = distance_[i] + 1;
            activate(head);
        } else if (tree_[j] != tree) {
            return along;
        } else if (stamp_[j] <= stamp_[i] && distance_[j] > distance_[i]) {
            parent_[j] = back;  // a shorter way to the terminal
            stamp_[j] = stamp_[i];
            distance_[j] = distance_[i] + 1;
        }
    }
    return no_parent;
}

template <class Topology>
void MaxFlow<Topology>::augment(Arc middle) {
    const auto residual = [this](Arc arc) -> Cost& {
        return residual_[static_cast<std::size_t>(arc)];
    };
    const int tail = topology_->head(topology_->sister(middle));
    const int head = topology_->head(middle);

    Cost bottleneck = residual(middle);
    int node = tail;
    for (Arc arc; (arc = parent_[static_cast<std::size_t>(node)]) != terminal;) {
        bottleneck = std::min(bottleneck, residual(topology_->sister(arc)));
        node = topology_->head(arc);
    }
    bottleneck = std::min(bottleneck, excess_[static_cast<std::size_t>(node)]);
    node = head;
    for (Arc arc; (arc = parent_[static_cast<std::size_t>(node)]) != terminal;) {
        bottleneck = std::min(bottleneck, residual(arc));
        node = topology_->head(arc);
    }
    bottleneck = std::min(bottleneck, -excess_[static_cast<std::size_t>(node)]);

    residual(middle) -= bottleneck;
    residual(topology_->sister(middle)) += bottleneck;
    node = tail;
    for (Arc arc; (arc = parent_[static_cast<std::size_t>(node)]) != terminal;) {
        const int parent = topology_->head(arc);
        residual(arc) += bottleneck;
        if ((residual(topology_->sister(arc)) -= bottleneck) == 0) make_orphan(node);
        node = parent;
    }
    if ((excess_[static_cast<std::size_t>(node)] -= bottleneck) == 0) make_orphan(node);
    node = head;
    for (Arc arc; (arc = parent_[static_cast<std::size_t>(node)]) != terminal;) {
        const int parent = topology_->head(arc);
        residual(topology_->sister(arc)) += bottleneck;
        if ((residual(arc) -= bottleneck) == 0) make_orphan(node);
        node = parent;
    }
    if ((excess_[static_cast<std::size_t>(node)] += bottleneck) == 0) make_orphan(node);
}

// Number of arcs from `node` to its terminal along parents, or -1 when the way ends at an orphan.
template <class Topology>
int MaxFlow<Topology>::distance_to_terminal(int node) {
    int steps = 0;
    int end = node;
    for (;;) {
        const auto j = static_cast<std::size_t>(end);
        if (stamp_[j] == time_) {
            steps += distance_[j];
            break;
        }
        const Arc arc = parent_[j];
        if (arc == terminal) {
            stamp_[j] = time_;
            distance_[j] = 1;
            ++steps;
            break;
        }
        if (arc == orphan || arc == no_parent) return -1;
        ++steps;
        end = topology_->head(arc);
    }
    // The way is valid now: mark it, so that the next question about it ends early.
    int distance = steps;
    for (int j = node; stamp_[static_cast<std::size_t>(j)] != time_;) {
        stamp_[static_cast<std::size_t>(j)] = time_;
        distance_[static_cast<std::size_t>(j)] = distance--;
        j = topology_->head(parent_[static_cast<std::size_t>(j)]);
    }
    return steps;
}

template <class Topology>
void MaxFlow<Topology>::adopt(int node) {
    const auto i = static_cast<std::size_t>(node);
    const Tree tree = tree_[i];
    Arc best = no_parent;
    int best_distance = std::numeric_limits<int>::max();
    for (Arc arc = topology_->begin(node); arc < topology_->end(node); ++arc) {
        const Arc from_terminal = tree == source ? topology_->sister(arc) : arc;
        if (residual_[static_cast<std::size_t>(from_terminal)] <= 0) continue;
        const int head = topology_->head(arc);
        if (tree_[static_cast<std::size_t>(head)] != tree) continue;
        const int distance = distance_to_terminal(head);
        if (distance >= 0 && distance < best_distance) {
            best = arc;
            best_distance = distance;
        }
    }
    if (best != no_parent) {
        parent_[i] = best;
        stamp_[i] = time_;
        distance_[i] = best_distance + 1;
        return;
    }
    for (Arc arc = topology_->begin(node); arc < topology_->end(node); ++arc) {
        const int head = topology_->head(arc);
        const auto j = static_cast<std::size_t>(head);
        if (tree_[j] != tree) continue;
        const Arc back = topology_->sister(arc);
        if (residual_[static_cast<std::size_t>(tree == source ? back : arc)] > 0) activate(head);
        if (parent_[j] == back) make_orphan(head);
    }
    tree_[i] = none;
    parent_[i] = no_parent;
}

template <class Topology>
void MaxFlow<Topology>::adopt_orphans() {
    // Those nearest to a terminal were found last; adopted first, they can adopt the others.
    std::reverse(orphans_.begin(), orphans_.end());
    for (std::size_t k = 0; k < orphans_.size(); ++k) adopt(orphans_[k]);
    orphans_.clear();
}

template <class Topology>
void MaxFlow<Topology>::solve() {
    const auto nodes = static_cast<std::size_t>(topology_->nodes());
    tree_.assign(nodes, none);
    parent_.assign(nodes, no_parent);
    stamp_.assign(nodes, 0);
    distance_.assign(nodes, 0);
    queued_.assign(nodes, 0);
    active_.clear();
    next_.clear();
    orphans_.clear();
    active_at_ = 0;
    time_ = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
        if (excess_[i] == 0) continue;
        tree_[i] = excess_[i] > 0 ? source : sink;
        parent_[i] = terminal;
        distance_[i] = 1;
        activate(static_cast<int>(i));
    }

    for (int node = -1;;) {
        // A node whose growth met the other tree stays active until it meets nothing more.
        if (node < 0 || parent_[static_cast<std::size_t>(node)] == no_parent) {
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
