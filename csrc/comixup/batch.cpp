#include "comixup/batch.hpp"

#include <algorithm>

#include "base/index.hpp"
#include "base/threads.hpp"
#include "comixup/labeller.hpp"

namespace comix::comixup {

namespace {

std::int64_t cells(const Task& task) {
    return std::int64_t{task.partition.outputs} * task.partition.blocks();
}

}  // namespace

void solve_batch(const std::vector<Task>& tasks, std::int64_t starts, const Settings& settings,
                 int threads) {
    const auto count = static_cast<std::int64_t>(tasks.size());
    if (starts == 1) {
        parallel_for(count, threads, [&] {
            return [&, labeller = Labeller()](std::int64_t t) mutable {
                const Task& task = tasks[at(t)];
                labeller.solve(task.partition, settings, task.init, task.labels);
            };
        });
        return;
    }
    struct Result {
        std::vector<std::int64_t> labels;
        double objective = 0;
    };
    std::vector<Result> results(at(count * starts));
    parallel_for(count * starts, threads, [&] {
        return [&, labeller = Labeller()](std::int64_t job) mutable {
            const Task& task = tasks[at(job / starts)];
            Result& result = results[at(job)];
            result.labels.resize(at(cells(task) * 2));
            labeller.solve(task.partition, settings, task.init + job % starts * cells(task),
                           result.labels.data());
            result.objective = objective(task.partition, settings, result.labels.data());
        };
    });
    for (std::int64_t t = 0; t < count; ++t) {
        const auto first = results.begin() + t * starts;
        const auto best = std::min_element(
            first, first + starts,
            [](const Result& a, const Result& b) { return a.objective < b.objective; });
        std::copy(best->labels.begin(), best->labels.end(), tasks[at(t)].labels);
    }
}

}  // namespace comix::comixup
