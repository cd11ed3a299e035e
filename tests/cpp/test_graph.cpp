// Moves on general graphs: against enumeration, and against the grid's own moves.
#include <algorithm>
#include <random>
#include <vector>

#include "doctest.h"
#include "draws.hpp"
#include "gridcut/graph_cut.hpp"
#include "gridcut/moves.hpp"

using namespace comix;
using namespace comix::gridcut;

namespace {

double energy_of(const GraphProblem& problem, const std::vector<Label>& labels) {
    double energy = 0;
    for (std::size_t p = 0; p < labels.size(); ++p)
        energy += problem.unary[static_cast<std::int64_t>(p) * problem.labels + labels[p]];
    for (std::int64_t e = 0; e < problem.edges; ++e) {
        const std::int64_t a = labels[static_cast<std::size_t>(problem.edge[2 * e])];
        const std::int64_t b = labels[static_cast<std::size_t>(problem.edge[2 * e + 1])];
        const double* distances =
            problem.pairwise +
            (problem.own_pairwise ? e * std::int64_t{problem.labels} * problem.labels : 0);
        energy += problem.weight[e] * distances[a * problem.labels + b];
    }
    return energy;
}

struct Graph {
    int sites, labels;
    std::vector<double> unary, pairwise, weight;
    std::vector<std::int64_t> edge;

    GraphProblem view() const {
        return {sites,        labels,          static_cast<std::int64_t>(weight.size()),
                unary.data(), pairwise.data(), edge.data(),
                weight.data()};
    }
    double energy(const std::vector<Label>& labels_of) const {
        return energy_of(view(), labels_of);
    }
};

Graph random_graph(std::mt19937& random, int sites, int labels, int edges, bool metric) {
    Graph graph{sites, labels, {}, {}, {}, {}};
    for (int k = 0; k < sites * labels; ++k) graph.unary.push_back(draw(random, 0, 1000));
    for (int i = 0; i < labels; ++i)
        for (int j = 0; j < labels; ++j)
            graph.pairwise.push_back(metric ? std::min(std::abs(i - j), 2) : draw(random, -5, 5));
    for (int e = 0; e < edges; ++e) {
        const int p = draw(random, 0, sites - 2);
        graph.edge.push_back(p);
        graph.edge.push_back(draw(random, p + 1, sites - 1));
        graph.weight.push_back(draw(random, 0, 400));
    }
    return graph;
}

double optimum(const Graph& graph) {
    std::vector<Label> labels(static_cast<std::size_t>(graph.sites), 0);
    double best = graph.energy(labels);
    for (;;) {
        std::size_t k = 0;
        while (k < labels.size() && ++labels[k] == graph.labels) labels[k++] = 0;
        if (k == labels.size()) return best;
        best = std::min(best, graph.energy(labels));
    }
}

}  // namespace

TEST_CASE("graphs: two labels exactly, more within the moves' reach") {
    std::mt19937 random(1);
    GraphCutter cutter;
    for (int round = 0; round < 60; ++round) {
        const int sites = draw(random, 2, 7), labels = draw(random, 1, 4);
        const bool metric = round % 3 != 0;
        const Graph graph = random_graph(random, sites, labels, draw(random, 0, 12), metric);
        const double best = optimum(graph);
        std::vector<Label> init(static_cast<std::size_t>(sites));
        for (auto& label : init) label = static_cast<Label>(draw(random, 0, labels - 1));
        for (const bool swap : {false, true}) {
            std::vector<Label> found = init;
            if (swap) {
                cutter.swap(graph.view(), 0, found.data());
            } else {
                cutter.expansion(graph.view(), 0, found.data());
            }
            const double energy = graph.energy(found);
            CHECK(energy >= best);
            CHECK(energy <= graph.energy(init));
            if (metric && labels <= 2) CHECK(energy == best);
            // An expansion's local minimum is within twice the optimum for this metric's range.
            if (metric && !swap) CHECK(energy <= 4 * best);
        }
    }
}

TEST_CASE("a grid given as a graph gets the grid's swap labels") {
    std::mt19937 random(2);
    GraphCutter cutter;
    Moves moves;
    FixedGrid grid;
    for (int round = 0; round < 30; ++round) {
        const int h = draw(random, 1, 7), w = draw(random, 2, 7), labels = draw(random, 2, 5);
        Graph graph = random_graph(random, h * w, labels, 0, true);
        std::vector<double> vertical, horizontal;
        const auto connect = [&](int p, int q, std::vector<double>& weights) {
            graph.edge.push_back(p);
            graph.edge.push_back(q);
            graph.weight.push_back(draw(random, 0, 400));
            weights.push_back(graph.weight.back());
        };
        for (int p = 0; p + w < h * w; ++p) connect(p, p + w, vertical);
        for (int p = 0; p < h * w; ++p)
            if ((p + 1) % w) connect(p, p + 1, horizontal);
        grid.assign({h,
                     w,
                     labels,
                     graph.unary.data(),
                     graph.pairwise.data(),
                     {vertical.data(), 0},
                     {horizontal.data(), 0}});
        std::vector<Label> mine(static_cast<std::size_t>(h * w), 0), theirs = mine;
        cutter.swap(graph.view(), 0, mine.data());
        moves.swap(grid, 0, theirs.data());
        CHECK(mine == theirs);
        cutter.expansion(graph.view(), 0, mine.data());
        CHECK(graph.energy(mine) <= graph.energy(theirs));
    }
}

TEST_CASE("single moves: the best of their reach, and no other site moves") {
    std::mt19937 random(3);
    GraphCutter cutter;
    for (int round = 0; round < 60; ++round) {
        const int sites = draw(random, 2, 7), labels = draw(random, 2, 4);
        const Graph graph = random_graph(random, sites, labels, draw(random, 0, 10), true);
        std::vector<Label> init(static_cast<std::size_t>(sites));
        for (auto& label : init) label = static_cast<Label>(draw(random, 0, labels - 1));
        const Label a = static_cast<Label>(draw(random, 0, labels - 1));
        const Label b = static_cast<Label>((a + 1) % labels);
        for (const bool swap : {false, true}) {
            std::vector<Label> found = init;
            bool fell = false;
            if (swap) {
                cutter.swap_move(graph.view(), a, b, found.data());
            } else {
                fell = cutter.expansion_move(graph.view(), a, found.data());
            }
            CHECK(cutter.submodular());
            double best = graph.energy(init);
            for (int choice = 0; choice < 1 << sites; ++choice) {
                std::vector<Label> tried = init;
                for (std::size_t p = 0; p < tried.size(); ++p) {
                    const bool second = choice >> p & 1;
                    if (!swap && second) tried[p] = a;
                    if (swap && (init[p] == a || init[p] == b)) tried[p] = second ? a : b;
                }
                best = std::min(best, graph.energy(tried));
            }
            CHECK(graph.energy(found) == best);
            if (!swap) CHECK(fell == (best < graph.energy(init)));
            for (std::size_t p = 0; p < found.size(); ++p)
                if (swap && init[p] != a && init[p] != b) CHECK(found[p] == init[p]);
        }
    }
}

TEST_CASE("a swap of one label with itself changes nothing") {
    std::mt19937 random(4);
    const Graph graph = random_graph(random, 5, 3, 6, true);
    std::vector<Label> labels{0, 1, 2, 1, 0};
    GraphCutter().swap_move(graph.view(), 1, 1, labels.data());
    CHECK(labels == std::vector<Label>{0, 1, 2, 1, 0});
}

TEST_CASE("distances of every edge's own") {
    std::mt19937 random(5);
    GraphCutter cutter;
    for (int round = 0; round < 40; ++round) {
        const int sites = draw(random, 2, 7), labels = draw(random, 2, 3);
        const std::size_t square = static_cast<std::size_t>(labels) * labels;
        Graph graph = random_graph(random, sites, labels, draw(random, 1, 10), true);
        const std::vector<double> shared = graph.pairwise;
        std::vector<double> own;
        for (const double weight : graph.weight)
            for (std::size_t k = 0; k < square; ++k) own.push_back(shared[k] * weight);
        const std::vector<double> ones(graph.weight.size(), 1.0);
        GraphProblem problem = graph.view();
        problem.own_pairwise = true;
        problem.pairwise = own.data();
        problem.weight = ones.data();
        for (const bool swap : {false, true}) {  // the same energy, put the other way
            std::vector<Label> mine(static_cast<std::size_t>(sites), 0), theirs = mine;
            if (swap) {
                cutter.swap(problem, 0, mine.data());
                cutter.swap(graph.view(), 0, theirs.data());
            } else {
                cutter.expansion(problem, 0, mine.data());
                cutter.expansion(graph.view(), 0, theirs.data());
            }
            CHECK(mine == theirs);
            CHECK(energy_of(problem, mine) == graph.energy(mine));
        }
        // Where only one edge is not submodular, the cutter says so.
        own[square - 1] = 1e6;
        std::vector<Label> labels_of(static_cast<std::size_t>(sites), 0);
        for (std::size_t k = 0; k + 1 < square; ++k) own[k] = 0;
        cutter.swap_move(problem, 0, static_cast<Label>(labels - 1), labels_of.data());
        CHECK(!cutter.submodular());
    }
}

TEST_CASE("expansion: ties switch, a limit counts rounds over all labels") {
    GraphCutter cutter;
    // Label 1 is better at site 0 alone; site 1 does not care, so it switches too.
    const std::vector<double> unary{5, 0, 3, 3}, pairwise{0, 1, 1, 0}, weight{0};
    const std::vector<std::int64_t> edge{0, 1};
    const GraphProblem problem{2, 2, 1, unary.data(), pairwise.data(), edge.data(), weight.data()};
    std::vector<Label> labels{0, 0};
    CHECK(cutter.expansion_move(problem, 1, labels.data()));
    CHECK(labels == std::vector<Label>{1, 1});
    CHECK(!cutter.expansion_move(problem, 0, labels.data()));
    CHECK(labels == std::vector<Label>{1, 1});
    std::mt19937 random(6);
    for (int round = 0; round < 20; ++round) {
        const Graph graph = random_graph(random, 8, 4, 12, true);
        std::vector<Label> by_rounds(8, 0), by_moves(8, 0);
        cutter.expansion(graph.view(), 2, by_rounds.data());
        for (int sweep = 0; sweep < 2; ++sweep)
            for (Label a = 0; a < 4; ++a) cutter.expansion_move(graph.view(), a, by_moves.data());
        CHECK(by_rounds == by_moves);
    }
}
