// The grid labelling problem, as the caller states it and as the solvers see it.
//
//   E(l) = sum_p unary[p, l_p] + sum_{p above q} weight_v[p] V[l_p, l_q]
//                              + sum_{p left of q} weight_h[p] V[l_p, l_q]
//
// Sites are row-major on an H x W grid, 4-connected; V = `pairwise` is any [L, L] matrix.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fixed_point.hpp"

namespace comix::gridcut {

using Label = std::int32_t;

// Room for what solvers add on top of one energy: residual arcs, unary terms of level graphs, and
// the 10 bits in which binary moves count sites to break ties. An energy stays below 2^51.
constexpr double kHeadroom = 128.0;

// Edge weights: one number for all edges (data == nullptr) or one per edge.
struct EdgeWeights {
    const double* data = nullptr;
    double uniform = 0.0;

    double operator[](std::int64_t edge) const { return data ? data[edge] : uniform; }
};

struct GridProblem {
    int height = 0;
    int width = 0;
    int labels = 0;
    const double* unary = nullptr;     // [H, W, L]
    const double* pairwise = nullptr;  // [L, L]
    EdgeWeights weight_v;              // [H-1, W]
    EdgeWeights weight_h;              // [H, W-1]

    // Every edge has the same weight (weight_v.uniform).
    bool uniform() const {
        return !weight_v.data && !weight_h.data && weight_v.uniform == weight_h.uniform;
    }
    // All costs, distances and weights are whole numbers.
    bool all_integers() const;
    // Calls visit(first site, second site, weight).
    template <class Visit>
    void for_each_edge(const Visit& visit) const;
};

template <class Visit>
void GridProblem::for_each_edge(const Visit& visit) const {
    for (int r = 0; r + 1 < height; ++r)
        for (int c = 0; c < width; ++c)
            visit(r * width + c, (r + 1) * width + c, weight_v[std::int64_t{r} * width + c]);
    for (int r = 0; r < height; ++r)
        for (int c = 0; c + 1 < width; ++c)
            visit(r * width + c, r * width + c + 1, weight_h[std::int64_t{r} * (width - 1) + c]);
}

// E(labels) in doubles, on the caller's numbers.
double grid_energy(const GridProblem& problem, const std::int64_t* labels);

// The same problem in fixed-point integers. The smallest unary of each site is taken off first: it
// changes every energy by the same constant and leaves more bits for the differences.
class FixedGrid {
  public:
    void assign(const GridProblem& problem);

    int height() const { return height_; }
    int width() const { return width_; }
    int labels() const { return labels_; }
    int sites() const { return height_ * width_; }

    const Cost* unary(int site) const { return unary_.data() + std::int64_t{site} * labels_; }

    // Cost of the edge from `site` to the site below it / to its right, labelled a and b.
    Cost vertical(int site, int a, int b) const { return pair(weight_v_.data(), site, a, b); }
    Cost horizontal(int site, int a, int b) const { return pair(weight_h_.data(), site, a, b); }

    // Whether every edge has the same weight, and then its table of pair costs [L, L].
    bool uniform() const { return uniform_; }
    const Cost* pair_table() const { return table_.data(); }

    // Otherwise a pair cost is a weight, by upper / left site, times a distance [L, L], rounded.
    const double* distances() const { return pairwise_.data(); }
    double weight_down(int site) const { return weight_v_[static_cast<std::size_t>(site)]; }
    double weight_right(int site) const { return weight_h_[static_cast<std::size_t>(site)]; }

    Cost energy(const Label* labels) const;

  private:
    Cost pair(const double* weight, int site, int a, int b) const {
        const std::int64_t entry = std::int64_t{a} * labels_ + b;
        if (uniform_) return table_[static_cast<std::size_t>(entry)];
        return std::llrint(weight[site] * pairwise_[static_cast<std::size_t>(entry)]);
    }

    int height_ = 0;
    int width_ = 0;
    int labels_ = 0;
    bool uniform_ = false;
    std::vector<Cost> unary_;       // [H, W, L]
    std::vector<double> lowest_;    // [H, W]
    std::vector<Cost> table_;       // [L, L], when uniform
    std::vector<double> pairwise_;  // [L, L], scaled, when not uniform
    std::vector<double> weight_v_;  // [H, W] by upper site, scaled, when not uniform
    std::vector<double> weight_h_;  // [H, W] by left site, scaled, when not uniform
};

}  // namespace comix::gridcut
