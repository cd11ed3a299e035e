// The Co-Mixup objective, its solver and its descent against dense definitions and enumeration.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "base/index.hpp"
#include "comixup/batch.hpp"
#include "comixup/comixup.hpp"
#include "comixup/descent.hpp"
#include "comixup/labeller.hpp"
#include "doctest.h"

using comix::at;
using namespace comix::comixup;
using comix::gridcut::Method;

namespace {

using Labels = std::vector<std::int64_t>;
using Vector = std::vector<double>;

struct Case {
    int inputs, outputs, height, width;
    Vector cost, compatibility;  // compatibility empty: the identity

    int blocks() const { return height * width; }
    std::int64_t cells() const { return std::int64_t{outputs} * blocks(); }
    double a(int i, int j) const {
        return compatibility.empty() ? i == j : compatibility[at(i * inputs + j)];
    }
    Partition view() const {
        return {inputs, outputs,     height,
                width,  cost.data(), compatibility.empty() ? nullptr : compatibility.data()};
    }
};

Case random_case(std::mt19937& random, int inputs, int outputs, int height, int width, bool dense) {
    std::uniform_real_distribution<double> uniform(0, 1);
    Case c{inputs, outputs, height, width, {}, {}};
    for (int k = 0; k < inputs * height * width; ++k) c.cost.push_back(-uniform(random));
    if (dense)  // neither symmetric nor with ones on the diagonal
        for (int k = 0; k < inputs * inputs; ++k) c.compatibility.push_back(uniform(random));
    return c;
}

Labels random_labels(std::mt19937& random, const Case& c, bool soft) {
    Labels labels;
    for (std::int64_t k = 0; k < c.cells(); ++k) {
        labels.push_back(static_cast<std::int64_t>(random()) % c.inputs);
        labels.push_back(soft && random() % 2 ? static_cast<std::int64_t>(random()) % c.inputs
                                              : labels.back());
    }
    return labels;
}

Labels random_init(std::mt19937& random, const Case& c) {
    Labels init;
    for (std::int64_t k = 0; k < c.cells(); ++k)
        init.push_back(static_cast<std::int64_t>(random()) % c.inputs);
    return init;
}

// One-hot masks z[o][p][i], with halves.
std::vector<std::vector<Vector>> masks_of(const Case& c, const Labels& labels) {
    std::vector<std::vector<Vector>> z(at(c.outputs),
                                       std::vector<Vector>(at(c.blocks()), Vector(at(c.inputs))));
    for (std::int64_t k = 0; k < 2 * c.cells(); ++k)
        z[at(k / 2 / c.blocks())][at(k / 2 % c.blocks())][at(labels[at(k)])] += 0.5;
    return z;
}

Vector times_a(const Case& c, const Vector& x) {
    Vector y(at(c.inputs));
    for (int i = 0; i < c.inputs; ++i)
        for (int j = 0; j < c.inputs; ++j) y[at(i)] += c.a(i, j) * x[at(j)];
    return y;
}

// f(pi): what each block of an input costs when the other outputs show pi.
Vector penalty(const Case& c, const Settings& settings, const Vector& pi) {
    const double tau = settings.tau * c.blocks();
    Vector reach = times_a(c, pi), masked = pi, out(at(c.inputs));
    for (int i = 0; i < c.inputs; ++i) {
        const bool over = reach[at(i)] > tau;
        if (!over) masked[at(i)] = 0;
        if (over)
            out[at(i)] = settings.threshold == Threshold::soft ? reach[at(i)] - tau : reach[at(i)];
    }
    return settings.threshold == Threshold::hard_official ? times_a(c, masked) : out;
}

Vector shares_of(const Case& c, const std::vector<Vector>& output) {
    Vector s(at(c.inputs));
    for (const auto& block : output)
        for (int i = 0; i < c.inputs; ++i) s[at(i)] += block[at(i)];
    return s;
}

double naive_objective(const Case& c, const Settings& settings, const Labels& labels) {
    const auto z = masks_of(c, labels);
    double unary = 0, smoothness = 0, diversity = 0;
    for (int o = 0; o < c.outputs; ++o) {
        Vector pi(at(c.inputs));
        for (int other = 0; other < c.outputs; ++other) {
            const Vector s = shares_of(c, z[at(other)]);
            for (int i = 0; i < c.inputs && other != o; ++i) pi[at(i)] += s[at(i)];
        }
        const Vector f = penalty(c, settings, pi), s = shares_of(c, z[at(o)]);
        for (int i = 0; i < c.inputs; ++i) diversity += s[at(i)] * f[at(i)];
        for (int p = 0; p < c.blocks(); ++p) {
            for (int q = p + 1; q < c.blocks(); ++q) {
                const int rows = q / c.width - p / c.width;
                const int columns = std::abs(q % c.width - p % c.width);
                if (rows + columns != 1) continue;
                for (int i = 0; i < c.inputs; ++i) {
                    const double d = z[at(o)][at(p)][at(i)] - z[at(o)][at(q)][at(i)];
                    smoothness += d * d;
                }
            }
            for (int i = 0; i < c.inputs; ++i)
                unary += z[at(o)][at(p)][at(i)] * c.cost[at(i * c.blocks() + p)];
        }
    }
    return unary + settings.beta / c.blocks() / 2 * smoothness +
           settings.gamma / c.blocks() * diversity;
}

const Threshold kThresholds[] = {Threshold::hard, Threshold::soft, Threshold::hard_official};
const Method kMethods[] = {Method::expansion, Method::swap, Method::exact, Method::automatic};

Settings random_settings(std::mt19937& random, Threshold threshold) {
    std::uniform_real_distribution<double> uniform(0, 1);
    Settings settings;
    settings.beta = random() % 4 ? uniform(random) : 0.0;
    settings.gamma = random() % 4 ? 2 * uniform(random) : 0.0;
    settings.tau = uniform(random);
    settings.threshold = threshold;
    return settings;
}

struct Size {
    int inputs, outputs, height, width;
};
const Size kSizes[] = {{1, 1, 1, 1}, {1, 3, 2, 2}, {4, 1, 3, 2}, {3, 4, 1, 1}, {5, 3, 2, 3},
                       {3, 3, 1, 5}, {4, 2, 5, 1}, {6, 6, 3, 3}, {8, 5, 4, 4}};

}  // namespace

TEST_CASE("objective against masks and matrices written out") {
    std::mt19937 random(51);
    for (int round = 0; round < 30; ++round) {
        for (const auto& [inputs, outputs, height, width] : kSizes) {
            for (const bool dense : {false, true}) {
                const Case c = random_case(random, inputs, outputs, height, width, dense);
                for (const auto threshold : kThresholds) {
                    const Settings settings = random_settings(random, threshold);
                    const Labels labels = random_labels(random, c, round % 2);
                    CAPTURE(inputs);
                    CAPTURE(outputs);
                    CAPTURE(dense);
                    CAPTURE(static_cast<int>(threshold));
                    CHECK(objective(c.view(), settings, labels.data()) ==
                          doctest::Approx(naive_objective(c, settings, labels)).epsilon(1e-12));
                }
            }
        }
    }
}

TEST_CASE("objective by hand") {
    // Two inputs, two outputs of 1 x 2 blocks; both show input 0 at the left, 0 and 1 half at the
    // right.
    const Case c{2, 2, 1, 2, {-1, -2, -4, -8}, {}};
    const Labels labels{0, 0, 0, 1, 0, 0, 1, 0};
    Settings settings;
    settings.beta = 2;  // per block 1: half of 0.25 + 0.25, twice
    settings.gamma = 4;
    settings.tau = 0.5;  // one block: only input 0 with 1.5 exceeds it
    const double unary = 2 * (-1 - 5), smoothness = 2 * 0.5 * 0.5;
    CHECK(objective(c.view(), settings, labels.data()) ==
          doctest::Approx(unary + smoothness + 2 * 2 * 1.5 * 1.5));
    settings.threshold = Threshold::soft;
    CHECK(objective(c.view(), settings, labels.data()) ==
          doctest::Approx(unary + smoothness + 2 * 2 * 1.5 * 0.5));
    settings.tau = 0.75;  // exactly at the threshold nobody pays
    for (const auto threshold : kThresholds) {
        settings.threshold = threshold;
        CHECK(objective(c.view(), settings, labels.data()) == doctest::Approx(unary + smoothness));
    }
}

TEST_CASE("solver: labels in range, the value returned is theirs, the same every time") {
    std::mt19937 random(52);
    Labeller labeller;  // one for all sizes
    Improver improver;
    for (int round = 0; round < 12; ++round) {
        for (const auto& [inputs, outputs, height, width] : kSizes) {
            for (const bool dense : {false, true}) {
                const Case c = random_case(random, inputs, outputs, height, width, dense);
                const Labels init = random_init(random, c);
                Settings settings = random_settings(random, kThresholds[random() % 3]);
                settings.sweeps = 1 + round % 5;
                settings.resolve_duplicates = random() % 2;
                for (const auto method : kMethods) {
                    // All steps of the frontier programme: not on the largest grid.
                    if (method == Method::exact && c.blocks() > 9) continue;
                    CAPTURE(inputs);
                    CAPTURE(outputs);
                    CAPTURE(static_cast<int>(method));
                    settings.method = method;
                    double value[2];
                    for (const auto select : {Select::best, Select::last}) {
                        settings.select = select;
                        Labels labels(at(2 * c.cells()), -1);
                        solve_batch({{c.view(), init.data(), labels.data()}}, 1, settings, 1);
                        const double got = objective(c.view(), settings, labels.data());
                        value[select == Select::last] = got;
                        CHECK(got ==
                              doctest::Approx(naive_objective(c, settings, labels)).epsilon(1e-12));
                        CHECK(*std::min_element(labels.begin(), labels.end()) >= 0);
                        CHECK(*std::max_element(labels.begin(), labels.end()) < inputs);
                        Candidates found;
                        labeller.sweep(c.view(), settings, init.data(), found);
                        const Labelling* kept = &found[0];
                        for (Labelling& candidate : found) {
                            if (!candidate.found()) continue;
                            if (select == Select::best)
                                improver.improve(c.view(), settings, candidate);
                            CHECK(candidate.objective ==
                                  doctest::Approx(naive_objective(c, settings, candidate.labels))
                                      .epsilon(1e-12));
                            if (candidate.objective < kept->objective) kept = &candidate;
                        }
                        CHECK(kept->labels == labels);
                    }
                    CHECK(value[0] <= value[1] + 1e-12);
                    if (inputs == 1) CHECK(value[0] == value[1]);
                }
            }
        }
    }
}

namespace {

// Every labelling of one output's blocks with `count` labels, the cheapest one.
std::vector<int> cheapest(const Case& c, int count, const std::vector<Vector>& unary,
                          const std::vector<Vector>& distance, double beta) {
    std::vector<int> x(at(c.blocks()), 0), best;
    double lowest = 0;
    for (;;) {
        double sum = 0;
        for (int p = 0; p < c.blocks(); ++p) {
            sum += unary[at(p)][at(x[at(p)])];
            if ((p + 1) % c.width) sum += beta * distance[at(x[at(p)])][at(x[at(p + 1)])];
            if (p + c.width < c.blocks())
                sum += beta * distance[at(x[at(p)])][at(x[at(p + c.width)])];
        }
        if (best.empty() || sum < lowest) {
            lowest = sum;
            best = x;
        }
        int p = 0;
        while (p < c.blocks() && ++x[at(p)] == count) x[at(p++)] = 0;
        if (p == c.blocks()) return best;
    }
}

// Algorithm 1 of Co-Mixup, every cut by enumeration: the labels after the last sweep.
Labels naive_sweeps(const Case& c, const Settings& settings, const Labels& init) {
    const double beta = settings.beta / c.blocks(), gamma = settings.gamma / c.blocks();
    Labels labels;
    for (const auto label : init) labels.insert(labels.end(), {label, label});
    std::set<std::pair<int, int>> avoid;  // (output, input) since the duplicate resolution
    bool resolved = false;
    Settings plain = settings;  // the objective without threshold
    plain.tau = -1;
    plain.threshold = Threshold::hard;
    Case identity = c;
    identity.compatibility.clear();
    double previous = naive_objective(identity, plain, labels);
    for (int sweep = 0; sweep < settings.sweeps; ++sweep) {
        for (int o = 0; o < c.outputs; ++o) {
            const auto z = masks_of(c, labels);
            Vector pi(at(c.inputs));
            for (int other = 0; other < c.outputs; ++other) {
                const Vector s = shares_of(c, z[at(other)]);
                for (int i = 0; i < c.inputs && other != o; ++i) pi[at(i)] += s[at(i)];
            }
            Vector rho = penalty(c, settings, pi);
            for (int i = 0; i < c.inputs; ++i) {
                rho[at(i)] *= 2 * gamma;
                if (resolved && avoid.count({o, i})) rho[at(i)] += gamma;
            }
            // Soft labels: pairs of the up to three inputs shown most.
            std::vector<std::array<int, 2>> pairs;
            for (int i = 0; i < c.inputs; ++i) pairs.push_back({i, i});
            const Vector s = shares_of(c, z[at(o)]);
            std::vector<int> top;
            for (int i = 0; i < c.inputs; ++i) top.push_back(i);
            std::stable_sort(top.begin(), top.end(),
                             [&](int i, int j) { return s[at(i)] > s[at(j)]; });
            while (top.size() > 3 || (!top.empty() && s[at(top.back())] == 0)) top.pop_back();
            std::sort(top.begin(), top.end());
            for (std::size_t i = 0; sweep > 0 && i < top.size(); ++i)
                for (std::size_t j = i + 1; j < top.size(); ++j) pairs.push_back({top[i], top[j]});
            const auto count = static_cast<int>(pairs.size());
            std::vector<Vector> unary(at(c.blocks())), distance(at(count), Vector(at(count), 1.0));
            for (int k = 0; k < count; ++k) {
                const auto [i, j] = pairs[at(k)];
                for (int p = 0; p < c.blocks(); ++p)
                    unary[at(p)].push_back(0.5 * (c.cost[at(i * c.blocks() + p)] + rho[at(i)] +
                                                  c.cost[at(j * c.blocks() + p)] + rho[at(j)]) -
                                           (i != j ? 5e-4 : 0));
                distance[at(k)][at(k)] = 0;
                if (i != j) distance[at(k)][at(i)] = distance[at(i)][at(k)] = 0.25;
                if (i != j) distance[at(k)][at(j)] = distance[at(j)][at(k)] = 0.25;
            }
            const auto x = cheapest(c, count, unary, distance, beta);
            for (int p = 0; p < c.blocks(); ++p)
                for (int k = 0; k < 2; ++k)
                    labels[at((o * c.blocks() + p) * 2 + k)] = pairs[at(x[at(p)])][at(k)];
        }
        if (settings.resolve_duplicates && sweep == settings.sweeps - 2) {
            const auto z = masks_of(c, labels);
            std::vector<std::vector<int>> shown(at(c.outputs));
            for (int o = 0; o < c.outputs; ++o)
                for (int i = 0; i < c.inputs; ++i)
                    if (shares_of(c, z[at(o)])[at(i)] > 0) shown[at(o)].push_back(i);
            for (int o = 0; o < c.outputs; ++o)
                for (int other = o + 1; other < c.outputs; ++other)
                    if (shown[at(o)].size() > 1 && shown[at(o)] == shown[at(other)])
                        avoid.insert({{o, shown[at(o)][0]}, {other, shown[at(o)][1]}});
            resolved = true;
        }
        const double now = naive_objective(identity, plain, labels);
        if (std::abs(previous - now) < 1e-6 * std::abs(now)) break;
        previous = now;
    }
    return labels;
}

}  // namespace

TEST_CASE("solver: the sweeps of algorithm 1, each cut an enumeration") {
    std::mt19937 random(53);
    const Size sizes[] = {{3, 1, 2, 3}, {3, 3, 2, 2}, {4, 3, 1, 4},
                          {2, 4, 2, 2}, {1, 2, 2, 2}, {4, 4, 1, 1}};
    int soft = 0;
    for (int round = 0; round < 60; ++round) {
        for (const auto& [inputs, outputs, height, width] : sizes) {
            for (const bool dense : {false, true}) {
                Case c = random_case(random, inputs, outputs, height, width, dense);
                // An offset decides nothing but when a change counts as small.
                if (round % 5 == 0)
                    for (auto& cost : c.cost) cost -= 30;
                const Labels init = random_init(random, c);
                Settings settings = random_settings(random, kThresholds[round % 3]);
                settings.select = Select::last;
                settings.method = Method::exact;
                settings.sweeps = 1 + round % 4;
                settings.resolve_duplicates = round % 2;
                // Edges that reward differences: labels that lose alone may win together.
                if (round % 6 == 5) settings.beta *= -1;
                CAPTURE(round);
                CAPTURE(inputs);
                CAPTURE(outputs);
                CAPTURE(dense);
                const Labels expected = naive_sweeps(c, settings, init);
                Labels labels(expected.size(), -1);
                solve_batch({{c.view(), init.data(), labels.data()}}, 1, settings, 1);
                CHECK(labels == expected);
                for (std::size_t k = 0; k < labels.size(); k += 2)
                    soft += labels[k] != labels[k + 1];
            }
        }
    }
    CHECK(soft > 100);  // soft labels take part
}

namespace {

// Some output shows the input and pays for it.
std::vector<bool> overused(const Case& c, const Settings& settings, const Labels& labels) {
    const auto z = masks_of(c, labels);
    std::vector<bool> over(at(c.inputs), false);
    for (int o = 0; o < c.outputs; ++o) {
        Vector pi(at(c.inputs));
        for (int other = 0; other < c.outputs; ++other) {
            const Vector s = shares_of(c, z[at(other)]);
            for (int i = 0; i < c.inputs && other != o; ++i) pi[at(i)] += s[at(i)];
        }
        const Vector reach = times_a(c, pi), s = shares_of(c, z[at(o)]);
        for (int i = 0; i < c.inputs; ++i)
            if (s[at(i)] > 0 && reach[at(i)] > settings.tau * c.blocks()) over[at(i)] = true;
    }
    return over;
}

}  // namespace

TEST_CASE("descent: never up, and no single block can improve at its end") {
    std::mt19937 random(54);
    Descent descent;  // one for all sizes
    int moved = 0, stopped = 0;
    for (int round = 0; round < 40; ++round) {
        for (const auto& [inputs, outputs, height, width] : kSizes) {
            for (const bool dense : {false, true}) {
                for (const auto threshold : {Threshold::hard, Threshold::soft}) {
                    const Case c = random_case(random, inputs, outputs, height, width, dense);
                    const Settings settings = random_settings(random, threshold);
                    const Labels before = random_labels(random, c, round % 2);
                    Labels labels = before;
                    const double gain = descent.run(c.view(), settings, labels.data());
                    CAPTURE(inputs);
                    CAPTURE(outputs);
                    CAPTURE(dense);
                    CAPTURE(static_cast<int>(threshold));
                    REQUIRE(*std::min_element(labels.begin(), labels.end()) >= 0);
                    REQUIRE(*std::max_element(labels.begin(), labels.end()) < inputs);
                    const double end = naive_objective(c, settings, labels);
                    const double begin = naive_objective(c, settings, before);
                    CHECK(end <= begin + 1e-12);
                    CHECK(gain == doctest::Approx(end - begin).epsilon(1e-9));
                    moved += labels != before;
                    Labels again = labels;
                    descent.run(c.view(), settings, again.data());
                    CHECK(again == labels);
                    // Blocks change to one input, or stay as they are.
                    for (std::size_t k = 0; k < labels.size(); k += 2)
                        CHECK((labels[k] == labels[k + 1] ||
                               (labels[k] == before[k] && labels[k + 1] == before[k + 1])));
                    const auto over = overused(c, settings, labels);
                    double best = end;
                    for (std::size_t k = 0; k < labels.size(); k += 2) {
                        if (!over[at(labels[k])] && !over[at(labels[k + 1])]) continue;
                        ++stopped;
                        Labels other = labels;
                        for (int j = 0; j < inputs; ++j) {
                            other[k] = other[k + 1] = j;
                            best = std::min(best, naive_objective(c, settings, other));
                        }
                    }
                    CHECK(best >= end - 1.1e-9);
                }
            }
        }
    }
    CHECK(moved > 400);
    CHECK(stopped > 400);
}

TEST_CASE("without diversity the first sweep is the optimum") {
    std::mt19937 random(56);
    for (int round = 0; round < 20; ++round) {
        const Case c = random_case(random, 3, 2, 2, 3, false);
        Settings settings;
        settings.gamma = 0;
        settings.sweeps = 1;
        settings.method = Method::exact;
        double best = 0;
        Labels labels(at(2 * c.cells()), 0);
        const auto half = static_cast<std::size_t>(2 * c.blocks());
        for (int code = 0; code < 729; ++code) {
            for (int p = 0, rest = code; p < 6; ++p, rest /= 3)
                for (std::size_t k = 0; k < 2; ++k)
                    labels[2 * at(p) + k] = labels[half + 2 * at(p) + k] = rest % 3;
            const double value = naive_objective(c, settings, labels);
            if (code == 0 || value < best) best = value;
        }
        const Labels init = random_init(random, c);
        solve_batch({{c.view(), init.data(), labels.data()}}, 1, settings, 1);
        CHECK(objective(c.view(), settings, labels.data()) == doctest::Approx(best).epsilon(1e-12));
    }
}
