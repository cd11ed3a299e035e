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
        const std::vector<std::int64_t> wide(labels_of.begin(), labels_of.end());
        return graph_energy(view(), wide.data());
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
