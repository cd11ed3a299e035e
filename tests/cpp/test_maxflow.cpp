// The minimum cut against Edmonds-Karp, and binary moves against enumeration.
#include <algorithm>
#include <cstdint>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "doctest.h"
#include "gridcut/binary_move.hpp"
#include "gridcut/maxflow.hpp"

using namespace comix;
using namespace comix::gridcut;

namespace {

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

struct Network {
    struct Edge {
        int tail, head;
        Cost forward, backward;
    };
    std::vector<Cost> sink_side_cost;  // per node
    std::vector<Edge> edges;

    int nodes() const { return static_cast<int>(sink_side_cost.size()); }

    // sink[i]: node i is on the sink side. Costs of either side, none below zero.
    Cost cut(const std::vector<bool>& sink) const {
        Cost sum = 0;
        for (int i = 0; i < nodes(); ++i) {
            const Cost cost = sink_side_cost[at(i)];
            if (sink[at(i)] ? cost > 0 : cost < 0) sum += std::abs(cost);
        }
        for (const auto& e : edges) {
            if (!sink[at(e.tail)] && sink[at(e.head)]) sum += e.forward;
            if (sink[at(e.tail)] && !sink[at(e.head)]) sum += e.backward;
        }
        return sum;
    }
};

struct Answer {
    Cost flow = 0;
    std::vector<bool> sink;  // nodes that still reach the sink
};

// Edmonds-Karp: shortest augmenting paths, until there is none.
Answer edmonds_karp(const Network& network) {
    struct Arc {
        int head;
        Cost residual;
    };
    const int n = network.nodes(), source = n, sink = n + 1;
    std::vector<Arc> arcs;  // arc k and k ^ 1 are opposite
    std::vector<std::vector<int>> out(at(n + 2));
    const auto add = [&](int tail, int head, Cost forward, Cost backward) {
        out[at(tail)].push_back(static_cast<int>(arcs.size()));
        arcs.push_back({head, forward});
        out[at(head)].push_back(static_cast<int>(arcs.size()));
        arcs.push_back({tail, backward});
    };
    for (int i = 0; i < n; ++i) {
        const Cost cost = network.sink_side_cost[at(i)];
        if (cost > 0) add(source, i, cost, 0);
        if (cost < 0) add(i, sink, -cost, 0);
    }
    for (const auto& e : network.edges) add(e.tail, e.head, e.forward, e.backward);

    Answer answer;
    for (;;) {
        std::vector<int> by(at(n + 2), -1);
        std::queue<int> queue({source});
        while (!queue.empty() && by[at(sink)] < 0) {
            const int node = queue.front();
            queue.pop();
            for (const int k : out[at(node)]) {
                const Arc& arc = arcs[at(k)];
                if (arc.residual <= 0 || arc.head == source || by[at(arc.head)] >= 0) continue;
                by[at(arc.head)] = k;
                queue.push(arc.head);
            }
        }
        if (by[at(sink)] < 0) break;
        Cost bottleneck = kInfinity;
        for (int node = sink; node != source; node = arcs[at(by[at(node)] ^ 1)].head)
            bottleneck = std::min(bottleneck, arcs[at(by[at(node)])].residual);
        for (int node = sink; node != source; node = arcs[at(by[at(node)] ^ 1)].head) {
            arcs[at(by[at(node)])].residual -= bottleneck;
            arcs[at(by[at(node)] ^ 1)].residual += bottleneck;
        }
        answer.flow += bottleneck;
    }
    // Backwards from the sink.
    std::vector<bool> reaches(at(n + 2), false);
    reaches[at(sink)] = true;
    std::queue<int> queue({sink});
    while (!queue.empty()) {
        const int node = queue.front();
        queue.pop();
        for (const int k : out[at(node)]) {
            const int tail = arcs[at(k)].head;
            if (arcs[at(k ^ 1)].residual <= 0 || reaches[at(tail)]) continue;
            reaches[at(tail)] = true;
            queue.push(tail);
        }
    }
    answer.sink.assign(reaches.begin(), reaches.begin() + n);
    return answer;
}

class Draw {
  public:
    explicit Draw(unsigned seed) : random_(seed) {}
    Cost between(Cost low, Cost high) {
        return std::uniform_int_distribution<Cost>(low, high)(random_);
    }
    bool once_in(int n) { return between(1, n) == 1; }

  private:
    std::mt19937_64 random_;
};

Network random_network(Draw& draw, int nodes, int edges, Cost largest, int sparsity) {
    Network network;
    const auto capacity = [&] {
        return draw.once_in(sparsity) ? Cost{0} : draw.between(0, largest);
    };
    for (int i = 0; i < nodes; ++i)
        network.sink_side_cost.push_back(draw.once_in(3) ? 0 : draw.between(-largest, largest));
    for (int e = 0; e < edges && nodes > 1; ++e) {
        const auto tail = static_cast<int>(draw.between(0, nodes - 1));
        const auto head = static_cast<int>((tail + draw.between(1, nodes - 1)) % nodes);
        network.edges.push_back({tail, head, capacity(), capacity()});
    }
    return network;
}

Network grid_network(Draw& draw, int height, int width, Cost largest, int sparsity) {
    Network network = random_network(draw, height * width, 0, largest, sparsity);
    const auto capacity = [&] {
        return draw.once_in(sparsity) ? Cost{0} : draw.between(0, largest);
    };
    for (int r = 0, p = 0; r < height; ++r) {
        for (int c = 0; c < width; ++c, ++p) {
            if (r + 1 < height) network.edges.push_back({p, p + width, capacity(), capacity()});
            if (c + 1 < width) network.edges.push_back({p, p + 1, capacity(), capacity()});
        }
    }
    return network;
}

std::vector<bool> solve(MaxFlow<ArcTopology>& flow, const Network& network) {
    ArcTopology topology;
    topology.clear(network.nodes());
    for (const auto& e : network.edges) topology.add_edge(e.tail, e.head);
    topology.finish();
    flow.reset(topology);
    for (std::size_t e = 0; e < network.edges.size(); ++e)
        flow.add_capacity(topology.arc(static_cast<int>(e)), network.edges[e].forward,
                          network.edges[e].backward);
    for (int i = 0; i < network.nodes(); ++i)
        flow.add_sink_side_cost(i, network.sink_side_cost[at(i)]);
    flow.solve();
    std::vector<bool> sink;
    for (int i = 0; i < network.nodes(); ++i) sink.push_back(flow.on_sink_side(i));
    return sink;
}

// Every second edge is given by its sister arc, left or up.
std::vector<bool> solve(MaxFlow<GridTopology>& flow, GridTopology& topology, int height, int width,
                        const Network& network) {
    topology.resize(height, width);
    flow.reset(topology);
    const auto node = [&](int site) { return topology.node(site / width, site % width); };
    for (std::size_t k = 0; k < network.edges.size(); ++k) {
        const auto& e = network.edges[k];
        const bool down = width == 1 || e.head != e.tail + 1;
        if (k % 2) {
            flow.add_capacity(
                topology.arc(node(e.head), down ? GridTopology::up : GridTopology::left),
                e.backward, e.forward);
        } else {
            flow.add_capacity(
                topology.arc(node(e.tail), down ? GridTopology::down : GridTopology::right),
                e.forward, e.backward);
        }
    }
    for (int i = 0; i < network.nodes(); ++i)
        flow.add_sink_side_cost(node(i), network.sink_side_cost[at(i)]);
    flow.solve();
    std::vector<bool> sink;
    for (int i = 0; i < network.nodes(); ++i) sink.push_back(flow.on_sink_side(node(i)));
    return sink;
}

void check(const Network& network, const std::vector<bool>& sink) {
    const Answer answer = edmonds_karp(network);
    CHECK(network.cut(sink) == answer.flow);
    CHECK(sink == answer.sink);
}

// Capacities whose sum stays below 2^58, few enough for ties, and all the same.
Cost largest_capacity(int round, int terms) {
    const Cost choices[] = {1, 4, 1000, ((Cost{1} << kCostBits) - 1) / (2 * terms)};
    return choices[round % 4];
}

}  // namespace

TEST_CASE("minimum cuts of any network") {
    Draw draw(11);
    MaxFlow<ArcTopology> flow;  // one object for all sizes
    for (int round = 0; round < 6000; ++round) {
        const auto nodes = static_cast<int>(draw.between(1, round % 10 == 0 ? 60 : 12));
        const auto edges = static_cast<int>(draw.between(0, 4 * nodes));
        CAPTURE(round);
        const Network network = random_network(
            draw, nodes, edges, largest_capacity(round, nodes + edges), round % 3 + 2);
        check(network, solve(flow, network));
    }
}

TEST_CASE("minimum cuts of grids") {
    Draw draw(12);
    MaxFlow<GridTopology> flow;
    MaxFlow<ArcTopology> listed;
    GridTopology topology;
    for (int round = 0; round < 4000; ++round) {
        const auto limit = round % 10 == 0 ? 12 : 5;
        const auto height = static_cast<int>(draw.between(1, limit));
        const auto width = static_cast<int>(draw.between(1, limit));
        CAPTURE(height);
        CAPTURE(width);
        const Network network = grid_network(
            draw, height, width, largest_capacity(round, 3 * height * width), round % 3 + 2);
        const auto sink = solve(flow, topology, height, width, network);
        check(network, sink);
        CHECK(sink == solve(listed, network));  // unique, so the same for both layouts
    }
}

TEST_CASE("single nodes, nodes without terminals, networks in pieces") {
    MaxFlow<ArcTopology> flow;
    for (const Cost cost : {Cost{-1}, Cost{0}, Cost{1}}) {
        const Network network{{cost}, {}};
        // A node without preference does not reach the sink.
        CHECK(solve(flow, network) == std::vector<bool>{cost < 0});
        GridTopology topology;
        MaxFlow<GridTopology> grid;
        CHECK(solve(grid, topology, 1, 1, network) == std::vector<bool>{cost < 0});
    }
    // No source, no sink, and a chain each to one of them.
    CHECK(solve(flow, {{0, 0, 0}, {{0, 1, 5, 5}, {1, 2, 5, 5}}}) ==
          std::vector<bool>{false, false, false});
    CHECK(solve(flow, {{0, 0, -1}, {{0, 1, 5, 0}, {1, 2, 5, 0}}}) ==
          std::vector<bool>{true, true, true});
    CHECK(solve(flow, {{0, 0, -1}, {{0, 1, 0, 5}, {1, 2, 5, 0}}}) ==
          std::vector<bool>{false, true, true});
    CHECK(solve(flow, {{4, -3, 2, -6}, {{0, 1, 9, 0}, {2, 3, 9, 0}}}) ==
          std::vector<bool>{false, false, true, true});
    // Parallel and opposite edges add up.
    const Network parallel{{7, -7}, {{0, 1, 2, 0}, {0, 1, 3, 0}, {1, 0, 0, 1}}};
    CHECK(parallel.cut(solve(flow, parallel)) == 6);
}

TEST_CASE("one arc of almost 2^58, and arcs that must not be cut") {
    const Cost most = (Cost{1} << kCostBits) - 1;
    MaxFlow<ArcTopology> flow;
    for (const Cost middle : {most, most - 1, Cost{0}}) {
        const Network network{{most, 0, -most}, {{0, 1, most, 0}, {1, 2, middle, 0}}};
        check(network, solve(flow, network));
    }
    // Levels in order (ordered.hpp): an infinite arc forbids 'source side, then sink side'.
    Draw draw(13);
    for (int round = 0; round < 100; ++round) {
        Network network = random_network(draw, 8, 6, 50, 2);
        for (int i = 0; i + 1 < 8; i += 2) network.edges.push_back({i, i + 1, kInfinity, 0});
        const auto sink = solve(flow, network);
        for (int i = 0; i + 1 < 8; i += 2) CHECK_FALSE((!sink[at(i)] && sink[at(i + 1)]));
        check(network, sink);
    }
}

namespace {

struct Binary {
    int height, width;
    std::vector<std::array<Cost, 2>> cost;
    std::vector<BinaryMove::Edge> down, right;
    std::vector<int> current;

    Binary(int h, int w) : height(h), width(w), cost(at(h * w)), down(at(h * w)), right(at(h * w)) {
        current.assign(at(h * w), 0);
    }
    int sites() const { return height * width; }
    bool has_down(int p) const { return p + width < sites(); }
    bool has_right(int p) const { return (p + 1) % width != 0; }

    Cost energy(const std::vector<int>& x) const {
        Cost sum = 0;
        for (int p = 0; p < sites(); ++p) {
            sum += cost[at(p)][at(x[at(p)])];
            if (has_down(p)) sum += down[at(p)][at(2 * x[at(p)] + x[at(p + width)])];
            if (has_right(p)) sum += right[at(p)][at(2 * x[at(p)] + x[at(p + 1)])];
        }
        return sum;
    }
};

enum class Kind { submodular, arbitrary, almost };  // almost: short of submodular by 1 or 2

Binary random_binary(Draw& draw, int height, int width, Cost largest, Kind kind) {
    Binary problem(height, width);
    const auto edge = [&] {
        BinaryMove::Edge e;
        for (auto& cost : e) cost = draw.between(-largest, largest);
        const Cost missing = e[0] + e[3] - e[1] - e[2];
        if (kind == Kind::submodular && missing > 0) e[draw.once_in(2) ? 1 : 2] += missing;
        if (kind == Kind::almost) e[1] += missing - (draw.once_in(3) ? draw.between(1, 2) : 0);
        return e;
    };
    for (int p = 0; p < problem.sites(); ++p) {
        problem.cost[at(p)] = {draw.between(-largest, largest), draw.between(-largest, largest)};
        if (problem.has_down(p)) problem.down[at(p)] = edge();
        if (problem.has_right(p)) problem.right[at(p)] = edge();
        problem.current[at(p)] = static_cast<int>(draw.between(0, 1));
    }
    return problem;
}

// The same problem in the corner of a larger grid whose other sites want to stay 0.
Binary enlarged(const Binary& small, int height, int width) {
    Binary large(height, width);
    for (auto& cost : large.cost) cost = {0, 1};
    for (int p = 0; p < small.sites(); ++p) {
        const int q = p / small.width * width + p % small.width;
        large.cost[at(q)] = small.cost[at(p)];
        if (small.has_down(p)) large.down[at(q)] = small.down[at(p)];
        if (small.has_right(p)) large.right[at(q)] = small.right[at(p)];
        large.current[at(q)] = small.current[at(p)];
    }
    return large;
}

struct Solved {
    std::vector<int> x;
    bool proven;
};

Solved solve(BinaryMove& move, const Binary& problem) {
    move.resize(problem.height, problem.width);
    for (int p = 0; p < problem.sites(); ++p) {
        const auto [keep, take] = problem.cost[at(p)];
        move.add_site(p, keep - 5, take);  // in two parts
        move.add_site(p, 5, 0);
        move.set_current(p, problem.current[at(p)]);
        if (problem.has_down(p)) move.set_vertical(p, problem.down[at(p)]);
        if (problem.has_right(p)) move.set_horizontal(p, problem.right[at(p)]);
    }
    const BinaryMove::Outcome outcome = move.solve();
    Solved solved{{}, outcome.proven};
    for (int p = 0; p < problem.sites(); ++p) solved.x.push_back(move.takes(p));
    CHECK(outcome.change ==
          problem.energy(solved.x) - problem.energy(std::vector<int>(solved.x.size(), 0)));
    return solved;
}

// The corner of a solution of the enlarged problem; everything else must have stayed 0.
Solved solve_enlarged(BinaryMove& move, const Binary& small, const Binary& large) {
    const Solved all = solve(move, large);
    Solved corner{{}, all.proven};
    for (int p = 0; p < small.sites(); ++p)
        corner.x.push_back(all.x[at(p / small.width * large.width + p % small.width)]);
    CHECK(std::count(all.x.begin(), all.x.end(), 1) ==
          std::count(corner.x.begin(), corner.x.end(), 1));
    return corner;
}

struct Best {
    Cost energy = kInfinity;
    int ones = 0;
    std::vector<std::vector<int>> minima;  // with the fewest ones
};

Best enumerate(const Binary& problem) {
    Best best;
    std::vector<int> x(at(problem.sites()));
    for (int bits = 0; bits < 1 << problem.sites(); ++bits) {
        for (int p = 0; p < problem.sites(); ++p) x[at(p)] = bits >> p & 1;
        const Cost energy = problem.energy(x);
        const auto ones = static_cast<int>(std::count(x.begin(), x.end(), 1));
        if (std::pair(energy, ones) > std::pair(best.energy, best.ones)) continue;
        if (std::pair(energy, ones) < std::pair(best.energy, best.ones)) best = {energy, ones, {}};
        best.minima.push_back(x);
    }
    return best;
}

const std::pair<int, int> kSmall[] = {{1, 1}, {1, 2}, {5, 1}, {1, 8}, {8, 1},
                                      {2, 2}, {3, 2}, {2, 5}, {5, 2}, {3, 3},
                                      {3, 4}, {4, 3}, {2, 6}, {6, 2}, {2, 7}};

}  // namespace

TEST_CASE("binary moves against enumeration") {
    Draw draw(14);
    BinaryMove move;
    for (int round = 0; round < 100; ++round) {
        for (const auto& [height, width] : kSmall) {
            for (const auto kind : {Kind::submodular, Kind::arbitrary, Kind::almost}) {
                CAPTURE(height);
                CAPTURE(width);
                CAPTURE(static_cast<int>(kind));
                // Small numbers: many ties.
                const Binary problem =
                    random_binary(draw, height, width, round % 2 ? 3 : Cost{1} << 45, kind);
                const Cost start = problem.energy(problem.current);
                const Best best = enumerate(problem);
                const Solved frontier = solve(move, problem);
                CHECK(frontier.proven);
                CHECK(problem.energy(frontier.x) == best.energy);
                CHECK(std::count(frontier.x.begin(), frontier.x.end(), 1) == best.ones);
                // The same by a minimum cut: what is not submodular costs the proof, but nothing
                // gets worse; rounding may cost two units per edge.
                const Solved cut = solve_enlarged(move, problem, enlarged(problem, 9, 9));
                const Cost edges = 2 * height * width - height - width;
                CHECK(problem.energy(cut.x) <= start);
                if (cut.proven) CHECK(problem.energy(cut.x) <= best.energy + 2 * edges);
                if (kind != Kind::arbitrary) CHECK(cut.proven);
                if (kind != Kind::submodular) continue;
                REQUIRE(best.minima.size() == 1);
                CHECK(frontier.x == best.minima[0]);
                CHECK(cut.x == best.minima[0]);
            }
        }
    }
}

TEST_CASE("binary moves: frontier and minimum cut agree, widths 1..8, both orientations") {
    Draw draw(17);
    BinaryMove move;
    const Cost most = Cost{1} << 42;  // sums below 2^53, the frontier's room
    for (int narrow = 1; narrow <= 8; ++narrow) {
        for (int round = 0; round < 100; ++round) {
            const auto length = static_cast<int>(draw.between(narrow, 14));
            const bool upright = round % 2 == 0;
            const int height = upright ? length : narrow, width = upright ? narrow : length;
            CAPTURE(height);
            CAPTURE(width);
            const Binary problem =
                random_binary(draw, height, width, round % 4 < 2 ? 2 : most, Kind::submodular);
            // 9 x 15 and more: a minimum cut.
            const Binary wide = enlarged(problem, std::max(height, 9), std::max(width, 9) + 1);
            const Solved cut = solve_enlarged(move, problem, wide);
            CHECK(cut.proven);
            // One edge apart from the rest that is not submodular: the frontier programme.
            Binary one_off = enlarged(problem, height + 2 * upright, width + 2 * !upright);
            const int last = one_off.sites() - 1;
            const int before = upright ? last - one_off.width : last - 1;
            (upright ? one_off.down : one_off.right)[at(before)] = {0, 0, 0, 1};
            const Solved frontier = solve_enlarged(move, problem, one_off);
            CHECK(frontier.proven);
            CHECK(frontier.x == cut.x);
            CHECK(solve(move, problem).x == cut.x);
            CHECK(problem.energy(cut.x) <= problem.energy(problem.current));
        }
    }
}

TEST_CASE("binary moves: wide grids, and grids at the limits of the frontier") {
    Draw draw(18);
    BinaryMove move;
    for (int round = 0; round < 60; ++round) {
        const auto height = static_cast<int>(draw.between(9, 12));
        const auto width = static_cast<int>(draw.between(9, 12));
        const Binary problem = random_binary(draw, height, width, 100, Kind::arbitrary);
        const Solved solved = solve(move, problem);
        CHECK_FALSE(solved.proven);
        CHECK(problem.energy(solved.x) <= problem.energy(problem.current));
    }
    // 255 sites are the most whose ones can be counted, 256 are a minimum cut.
    for (const auto& [height, width] : {std::pair(51, 5), std::pair(5, 51), std::pair(255, 1),
                                        std::pair(1, 255), std::pair(64, 4), std::pair(1, 256)}) {
        Binary problem(height, width);
        CHECK(solve(move, problem).x == std::vector<int>(at(height * width), 0));
        for (auto& cost : problem.cost) cost = {1, 0};
        CHECK(solve(move, problem).x == std::vector<int>(at(height * width), 1));
        const Binary mixed = random_binary(draw, height, width, 3, Kind::submodular);
        const Binary wide = enlarged(mixed, std::max(height, 9), std::max(width, 9));
        CHECK(solve(move, mixed).x == solve_enlarged(move, mixed, wide).x);
    }
}
