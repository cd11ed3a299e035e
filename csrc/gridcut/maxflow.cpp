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
        if (node_[static_cast<std::size_t>(node)].state == sink) return node;
    }
}

template <class Topology>
void MaxFlow<Topology>::make_orphan(int node) {
    node_[static_cast<std::size_t>(node)].parent = orphan;
    orphans_.push_back(node);
}

// Extends the tree from `node` over its residual arcs. Returns an arc from a node with excess into
// the tree where there is one, else no_parent.
template <class Topology>
Arc MaxFlow<Topology>::grow(int node) {
    const Node& own = node_[static_cast<std::size_t>(node)];
    const std::int32_t stamp = own.stamp, distance = own.distance;
    Arc found = no_parent;
    topology_->for_each_arc(node, [&](Arc, int tail, Arc arc) {  // arc: from tail to node
        if (residual_[static_cast<std::size_t>(arc)] <= 0) return false;
        Node& other = node_[static_cast<std::size_t>(tail)];
        if (other.state == source) {
            found = arc;
            return true;
        }
        if (other.state == free) {
            other.state = sink;
            activate(tail);
        } else if (other.stamp > stamp || other.distance <= distance) {
            return false;
        }
        other.parent = arc;  // the only way to the sink, or a shorter one
        other.stamp = stamp;
        other.distance = distance + 1;
        return false;
    });
    return found;
}

// Sends what fits from the tail of `first` down the tree.
template <class Topology>
void MaxFlow<Topology>::augment(Arc first) {
    const auto residual = [this](Arc arc) -> Cost& {
        return residual_[static_cast<std::size_t>(arc)];
    };
    const auto parent = [this](int node) { return node_[static_cast<std::size_t>(node)].parent; };
    const auto tail = static_cast<std::size_t>(topology_->head(topology_->sister(first)));
    const int head = topology_->head(first);

    Cost amount = std::min(excess_[tail], residual(first));
    int node = head;
    for (Arc arc; (arc = parent(node)) != terminal; node = topology_->head(arc))
        amount = std::min(amount, residual(arc));
    amount = std::min(amount, -excess_[static_cast<std::size_t>(node)]);

    excess_[tail] -= amount;
    if (excess_[tail] == 0) node_[tail].state = free;
    residual(first) -= amount;
    residual(topology_->sister(first)) += amount;
    node = head;
    for (Arc arc; (arc = parent(node)) != terminal;) {
        const int next = topology_->head(arc);
        residual(topology_->sister(arc)) += amount;
        if ((residual(arc) -= amount) == 0) make_orphan(node);
        node = next;
    }
    if ((excess_[static_cast<std::size_t>(node)] += amount) == 0) make_orphan(node);
}

// Number of arcs from `node` to the sink along parents, or -1 when the way ends at an orphan.
template <class Topology>
int MaxFlow<Topology>::distance_to_sink(int node) {
    int steps = 0;
    for (int end = node;;) {
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
    Arc best = no_parent;
    int best_distance = std::numeric_limits<int>::max();
    topology_->for_each_arc(node, [&](Arc arc, int head, Arc) {
        if (residual_[static_cast<std::size_t>(arc)] <= 0) return false;
        if (node_[static_cast<std::size_t>(head)].state != sink) return false;
        const int distance = distance_to_sink(head);
        if (distance >= 0 && distance < best_distance) {
            best = arc;
            best_distance = distance;
        }
        return false;
    });
    own.parent = best;
    if (best != no_parent) {
        own.stamp = time_;
        own.distance = best_distance + 1;
        return;
    }
    own.state = free;
    topology_->for_each_arc(node, [&](Arc arc, int head, Arc back) {
        const Node& other = node_[static_cast<std::size_t>(head)];
        if (other.state != sink) return false;
        if (residual_[static_cast<std::size_t>(arc)] > 0) activate(head);
        if (other.parent == back) make_orphan(head);
        return false;
    });
}

template <class Topology>
void MaxFlow<Topology>::adopt_orphans() {
    // Those nearest to the sink were found last; adopted first, they can adopt the others.
    std::reverse(orphans_.begin(), orphans_.end());
    for (std::size_t k = 0; k < orphans_.size(); ++k) adopt(orphans_[k]);
    orphans_.clear();
}

// Sends along every line what nodes further down it can take.
template <class Topology>
void MaxFlow<Topology>::push_straight() {
    topology_->for_each_line([&](int first, int step, int count, int forward, int backward) {
        if (static_cast<int>(room_.size()) < count) room_.resize(static_cast<std::size_t>(count));
        Cost *residual = residual_.data(), *excess = excess_.data(), *rooms = room_.data();
        Cost room = 0, most = 0;  // what the nodes after this one can take
        int p = first + (count - 1) * step;
        for (int k = count - 1; k >= 0; --k, p -= step) {
            room = std::min(room, residual[4 * p + forward]);
            rooms[k] = room;
            most |= room;
            room -= std::min(excess[p], Cost{0});
        }
        if (most == 0) return;
        Cost carried = 0;
        for (int k = 0; k < count; ++k) {
            p += step;
            const Cost here = excess[p] + carried;
            carried = std::max(std::min(here, rooms[k]), Cost{0});
            excess[p] = here - carried;
            if (carried == 0) continue;
            residual[4 * p + forward] -= carried;
            residual[4 * (p + step) + backward] += carried;
        }
    });
}

template <class Topology>
void MaxFlow<Topology>::solve() {
    push_straight();
    const auto nodes = static_cast<std::size_t>(topology_->nodes());
    node_.assign(nodes, Node{});
    active_.clear();
    next_.clear();
    orphans_.clear();
    active_at_ = 0;
    time_ = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
        if (excess_[i] == 0) continue;
        if (excess_[i] > 0) {
            node_[i].state = source;
            continue;
        }
        node_[i].state = sink;
        node_[i].parent = terminal;
        node_[i].distance = 1;
        activate(static_cast<int>(i));
    }

    for (int node = -1;;) {
        // A node whose growth met excess stays active until it meets nothing more.
        if (node < 0 || node_[static_cast<std::size_t>(node)].state != sink) {
            node = next_active();
            if (node < 0) return;
        }
        const Arc first = grow(node);
        if (first == no_parent) {
            node = -1;
            continue;
        }
        ++time_;
        augment(first);
        adopt_orphans();
    }
}

template class MaxFlow<GridTopology>;
template class MaxFlow<ArcTopology>;

}  // namespace comix::gridcut
