// The minimum cut against Edmonds-Karp, and binary moves against enumeration.
#include <algorithm>
#include <array>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "base/index.hpp"
#include "doctest.h"
#include "gridcut/binary_move.hpp"
#include "gridcut/maxflow.hpp"

using namespace comix;
using namespace comix::gridcut;

namespace {

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

// Edmonds-Karp: shortest augmenting paths, found backwards from the sink, until there is none.
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

    for (Answer answer;;) {
        std::vector<int> next(at(n + 2), -1);  // arc towards the sink
        for (std::queue<int> queue({sink}); !queue.empty(); queue.pop()) {
            for (const int k : out[at(queue.front())]) {
                const int tail = arcs[at(k)].head;
                if (arcs[at(k ^ 1)].residual <= 0 || tail == sink || next[at(tail)] >= 0) continue;
                next[at(tail)] = k ^ 1;
                queue.push(tail);
            }
        }
        if (next[at(source)] < 0) {
            for (int i = 0; i < n; ++i) answer.sink.push_back(next[at(i)] >= 0);
            return answer;
        }
        Cost bottleneck = kInfinity;
        for (int i = source; i != sink; i = arcs[at(next[at(i)])].head)
            bottleneck = std::min(bottleneck, arcs[at(next[at(i)])].residual);
        for (int i = source; i != sink; i = arcs[at(next[at(i)])].head) {
            arcs[at(next[at(i)])].residual -= bottleneck;
            arcs[at(next[at(i)] ^ 1)].residual += bottleneck;
        }
        answer.flow += bottleneck;
    }
}

struct Draw {
    std::mt19937_64 random;
    explicit Draw(unsigned seed) : random(seed) {}
    Cost between(Cost low, Cost high) {
        return std::uniform_int_distribution<Cost>(low, high)(random);
    }
    bool once_in(int n) { return between(1, n) == 1; }
    Cost capacity(Cost largest, int sparsity) {
        return once_in(sparsity) ? 0 : between(0, largest);
    }
};

Network random_network(Draw& draw, int nodes, int edges, Cost largest, int sparsity) {
    Network network;
    const auto capacity = [&] { return draw.capacity(largest, sparsity); };
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
    const auto capacity = [&] { return draw.capacity(largest, sparsity); };
    for (int p = 0; p < height * width; ++p) {
        if (p + width < height * width)
            network.edges.push_back({p, p + width, capacity(), capacity()});
        if ((p + 1) % width) network.edges.push_back({p, p + 1, capacity(), capacity()});
    }
    return network;
}

// `flow` has the edges; node(i): its name of node i.
template <class Flow, class Node>
std::vector<bool> cut(Flow& flow, const Network& network, const Node& node) {
    for (int i = 0; i < network.nodes(); ++i)
        flow.add_sink_side_cost(node(i), network.sink_side_cost[at(i)]);
    flow.solve();
    std::vector<bool> sink;
    for (int i = 0; i < network.nodes(); ++i) sink.push_back(flow.on_sink_side(node(i)));
    return sink;
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
    return cut(flow, network, [](int i) { return i; });
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
        const Arc arc = topology.arc(node(e.tail), down ? GridTopology::down : GridTopology::right);
        if (k % 2) {
            flow.add_capacity(topology.sister(arc), e.backward, e.forward);
        } else {
            flow.add_capacity(arc, e.forward, e.backward);
        }
    }
    return cut(flow, network, node);
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
    // No terminal, and two chains with one each way.
    CHECK(solve(flow, {{0, 0, 0}, {{0, 1, 5, 5}, {1, 2, 5, 5}}}) ==
          std::vector<bool>{false, false, false});
    CHECK(solve(flow, {{4, -3, 2, -6}, {{0, 1, 9, 0}, {2, 3, 9, 0}}}) ==
          std::vector<bool>{false, false, true, true});
}

TEST_CASE("one arc of almost 2^58, and arcs that must not be cut") {
    const Cost most = (Cost{1} << kCostBits) - 1;
    MaxFlow<ArcTopology> flow;
    for (const Cost middle : {most, most - 1, Cost{0}}) {
        const Network network{{most, 0, -most}, {{0, 1, most, 0}, {1, 2, middle, 0}}};
        check(network, solve(flow, network));
    }
    // An infinite arc forbids 'source side, then sink side' (ordered.hpp).
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

    Binary(int h, int w)
        : height(h),
          width(w),
          cost(at(h * w)),
          down(cost.size()),
          right(cost.size()),
          current(cost.size()) {}
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

// `own`: size of a site's own costs against its edges'. Below 1, edges only tell equal from
// different choices, so that no site is decided alone.
Binary random_binary(Draw& draw, int height, int width, Cost largest, Kind kind, double own = 1) {
    Binary problem(height, width);
    const auto edge = [&] {
        BinaryMove::Edge e;
        for (auto& cost : e) cost = draw.between(-largest, largest);
        if (own < 1) e = {e[0], e[1], e[1], e[0]};
        const bool missing = e[0] + e[3] > e[1] + e[2];
        if (missing && kind != Kind::arbitrary) e = {e[1], e[0], e[3], e[2]};
        if (kind == Kind::almost && draw.once_in(3)) e = {0, 0, 0, draw.between(1, 2)};
        return e;
    };
    for (int p = 0; p < problem.sites(); ++p) {
        const auto most = static_cast<Cost>(own * static_cast<double>(largest));
        problem.cost[at(p)] = {draw.between(-most, most), draw.between(-most, most)};
        if (problem.has_down(p)) problem.down[at(p)] = edge();
        if (problem.has_right(p)) problem.right[at(p)] = edge();
        problem.current[at(p)] = static_cast<int>(draw.between(0, 1));
    }
    return problem;
}

struct Best {
    Cost energy = kInfinity;
    int ones = 0;
    double count = 0;  // of minima with the fewest ones

    void add(Cost new_energy, int new_ones, double new_count) {
        const auto mine = std::pair(energy, ones), other = std::pair(new_energy, new_ones);
        if (other < mine) *this = {new_energy, new_ones, 0};
        if (other <= mine) count += new_count;
    }
};

Best enumerate(const Binary& problem) {
    Best best;
    std::vector<int> x(at(problem.sites()));
    for (int bits = 0; bits < 1 << problem.sites(); ++bits) {
        for (int p = 0; p < problem.sites(); ++p) x[at(p)] = bits >> p & 1;
        best.add(problem.energy(x), static_cast<int>(std::count(x.begin(), x.end(), 1)), 1);
    }
    return best;
}

// The same site by site: for every choice of the last row's worth of sites (bit c: column c), the
// best so far. Plain, and for every energy.
Best sweep(const Binary& problem) {
    std::vector<Best> states(std::size_t{1} << problem.width);
    states[0] = {0, 0, 1};
    for (int p = 0; p < problem.sites(); ++p) {
        const int c = p % problem.width;
        std::vector<Best> next(states.size());
        for (std::size_t s = 0; s < states.size(); ++s) {
            if (states[s].count == 0) continue;
            for (std::size_t x = 0; x < 2; ++x) {
                Cost energy = states[s].energy + problem.cost[at(p)][x];
                if (p >= problem.width)
                    energy += problem.down[at(p - problem.width)][2 * (s >> c & 1) + x];
                if (c > 0) energy += problem.right[at(p - 1)][2 * (s >> (c - 1) & 1) + x];
                const std::size_t to = (s & ~(std::size_t{1} << c)) | x << c;
                next[to].add(energy, states[s].ones + static_cast<int>(x), states[s].count);
            }
        }
        states.swap(next);
    }
    Best best;
    for (const auto& state : states) best.add(state.energy, state.ones, state.count);
    return best;
}

struct Solved {
    std::vector<int> x;
    bool proven;
};

// `again`: with the size of the problem before, and ties broken anyhow.
Solved solve(BinaryMove& move, const Binary& problem, bool again = false) {
    again ? move.clear() : move.resize(problem.height, problem.width);
    for (int p = 0; p < problem.sites(); ++p) {
        const auto [keep, take] = problem.cost[at(p)];
        move.add_site(p, keep - 5, take);  // in two parts
        move.add_site(p, 5, 0);
        move.set_current(p, problem.current[at(p)]);
        if (problem.has_down(p)) move.set_vertical(p, problem.down[at(p)]);
        if (problem.has_right(p)) move.set_horizontal(p, problem.right[at(p)]);
    }
    const BinaryMove::Outcome outcome = move.solve(again);
    Solved solved{{}, outcome.proven};
    for (int p = 0; p < problem.sites(); ++p) solved.x.push_back(move.takes(p));
    const std::vector<int> kept(solved.x.size(), 0);
    CHECK(outcome.change == problem.energy(solved.x) - problem.energy(kept));
    return solved;
}

void check_binary(BinaryMove& move, const Binary& problem, Kind kind, const Best& best) {
    CAPTURE(problem.width);
    const Solved solved = solve(move, problem);
    const Cost energy = problem.energy(solved.x);
    CHECK(energy >= best.energy);
    CHECK(energy <= problem.energy(problem.current));
    // Wide grids: no proof for what is not submodular, and two units of rounding per edge.
    const bool narrow = std::min(problem.height, problem.width) <= 8 && problem.sites() <= 255;
    if (kind != Kind::arbitrary || narrow) CHECK(solved.proven);
    if (solved.proven)
        CHECK(energy <= best.energy + (kind == Kind::almost ? 4 * problem.sites() : 0));
    if (kind == Kind::submodular) CHECK(best.count == 1);  // so this is the one minimum:
    if (kind != Kind::submodular && !narrow) return;
    CHECK(energy == best.energy);
    CHECK(std::count(solved.x.begin(), solved.x.end(), 1) == best.ones);
    CHECK(problem.energy(solve(move, problem, true).x) == best.energy);
}

const int kSmall[][2] = {{1, 1}, {1, 2}, {5, 1}, {1, 8}, {8, 1}, {2, 2},
                         {3, 2}, {2, 5}, {3, 3}, {3, 4}, {4, 3}, {2, 6}};
const int kLong[][2] = {{255, 1}, {256, 1}, {700, 1}, {51, 5}, {64, 4},
                        {86, 3},  {31, 8},  {32, 8},  {60, 6}};
const Kind kKinds[] = {Kind::submodular, Kind::arbitrary, Kind::almost};

Binary transposed(const Binary& problem) {
    Binary other(problem.width, problem.height);
    for (int p = 0; p < problem.sites(); ++p) {
        const int q = p % problem.width * problem.height + p / problem.width;
        other.cost[at(q)] = problem.cost[at(p)];
        other.current[at(q)] = problem.current[at(p)];
        if (problem.has_down(p)) other.right[at(q)] = problem.down[at(p)];
        if (problem.has_right(p)) other.down[at(q)] = problem.right[at(p)];
    }
    return other;
}

}  // namespace

TEST_CASE("binary moves against enumeration") {
    Draw draw(14);
    BinaryMove move;
    for (int round = 0; round < 60; ++round) {
        for (const auto& [height, width] : kSmall) {
            for (const auto kind : kKinds) {
                // Small numbers: many ties.
                const Cost largest = round % 2 ? 3 : Cost{1} << 44;
                const Binary problem = random_binary(draw, height, width, largest, kind);
                const Best best = enumerate(problem);
                check_binary(move, problem, kind, best);
                check_binary(move, problem, kind, sweep(problem));  // the oracle of larger grids
                CHECK(sweep(problem).count == best.count);
            }
        }
    }
}

TEST_CASE("binary moves on grids of 1 to 11 columns, undecided alone or together") {
    Draw draw(15);
    BinaryMove move;
    for (int width = 1; width <= 11; ++width) {
        for (int round = 0; round < 24; ++round) {
            for (const auto kind : kKinds) {
                const auto height = static_cast<int>(draw.between(width < 10 ? 1 : 10, 12));
                const Cost most[] = {1, 2, 10, Cost{1} << 42};
                const double own[] = {0.5, 0.1, 1};
                const Binary problem =
                    random_binary(draw, height, width, most[round % 4], kind, own[round % 3]);
                const Best best = sweep(problem);
                check_binary(move, problem, kind, best);
                check_binary(move, transposed(problem), kind, best);
            }
        }
    }
}

TEST_CASE("binary moves on long strips: 255 sites and more") {
    Draw draw(16);
    BinaryMove move;
    for (const auto& [height, width] : kLong) {
        Binary problem(height, width);
        CHECK(solve(move, problem).x == std::vector<int>(at(height * width), 0));
        // All sites alike, and one of them wants to move: more ones than 8 bits can count.
        problem.down.assign(problem.down.size(), {0, 2, 2, 0});
        problem.right = problem.down;
        problem.cost.back() = {1, 0};
        CHECK(solve(move, problem).x == std::vector<int>(at(height * width), 1));
        for (int round = 0; round < 6; ++round) {
            for (const auto kind : kKinds) {
                problem = random_binary(draw, height, width, 4, kind, round % 2 ? 0.3 : 2);
                const Best best = sweep(problem);
                check_binary(move, problem, kind, best);
                check_binary(move, transposed(problem), kind, best);
            }
        }
    }
}

TEST_CASE("binary moves never make a wide grid worse") {
    Draw draw(17);
    BinaryMove move;
    for (int round = 0; round < 100; ++round) {
        const auto height = static_cast<int>(draw.between(9, 30));
        const auto width = static_cast<int>(draw.between(9, 30));
        Binary problem = random_binary(draw, height, width, 100, kKinds[round % 3], 0.2);
        // From a random start, then from a good one: the answer improved by flips of single sites.
        std::vector<int> x = solve(move, problem).x;
        Cost energy = problem.energy(x);
        CHECK(energy <= problem.energy(problem.current));
        for (int p = 0; p < problem.sites(); ++p) {
            x[at(p)] ^= 1;
            const Cost flipped = problem.energy(x);
            if (flipped >= energy) x[at(p)] ^= 1;
            energy = std::min(energy, flipped);
        }
        problem.current = x;
        CHECK(problem.energy(solve(move, problem).x) <= energy);
    }
}
