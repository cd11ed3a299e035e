#include "comixup/batch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>

#include "base/index.hpp"
#include "base/threads.hpp"
#include "comixup/labeller.hpp"

namespace comix::comixup {

namespace {

// One start of one task.
struct Job {
    Candidates candidates;
    std::array<bool, std::tuple_size_v<Candidates>> improved{};
    std::atomic<bool> swept{false};
};

struct Improvement {
    std::int64_t job;
    std::size_t candidate;
};

class Batch {
  public:
    Batch(const std::vector<Task>& tasks, std::int64_t starts, const Settings& settings)
        : tasks_(tasks), starts_(starts), settings_(settings), jobs_(tasks.size() * at(starts)) {}

    // With fewer threads than sweeps, whoever finds none left to do improves what is swept;
    // the second sweeps' results first, from which descent takes longer. What is still swept
    // elsewhere when its turn comes is left for the end.
    void solve(int threads) {
        const std::int64_t sweeps = jobs();
        const bool improves = settings_.select == Select::best;
        std::vector<Improvement> order;
        for (const std::size_t candidate : {std::size_t{1}, std::size_t{0}})
            for (std::int64_t job = 0; improves && job < sweeps; ++job)
                order.push_back({job, candidate});
        const std::int64_t early = sweeps > threads || threads == 1 ? count_of(order) : 0;
        parallel_for(
            sweeps + early, static_cast<int>(std::min<std::int64_t>(threads, sweeps)), [&] {
                return [&, labeller = Labeller(), improver = Improver()](std::int64_t k) mutable {
                    if (k < sweeps) return sweep(labeller, k);
                    improve(improver, order[at(k - sweeps)]);
                };
            });
        const auto done = [&](const Improvement& improvement) { return !open(improvement); };
        order.erase(std::remove_if(order.begin(), order.end(), done), order.end());
        parallel_for(count_of(order), threads, [&] {
            return [&, improver = Improver()](std::int64_t k) mutable {
                improve(improver, order[at(k)]);
            };
        });
        for (std::size_t t = 0; t < tasks_.size(); ++t) choose(t);
    }

  private:
    std::int64_t jobs() const { return static_cast<std::int64_t>(jobs_.size()); }
    static std::int64_t count_of(const std::vector<Improvement>& order) {
        return static_cast<std::int64_t>(order.size());
    }
    const Task& task_of(std::int64_t job) const { return tasks_[at(job / starts_)]; }

    void sweep(Labeller& labeller, std::int64_t k) {
        const Task& task = task_of(k);
        const std::int64_t cells = std::int64_t{task.partition.outputs} * task.partition.blocks();
        Job& job = jobs_[at(k)];
        labeller.sweep(task.partition, settings_, task.init + k % starts_ * cells, job.candidates);
        job.swept = true;
    }

    bool open(const Improvement& improvement) const {
        const Job& job = jobs_[at(improvement.job)];
        return job.swept && job.candidates[improvement.candidate].found() &&
               !job.improved[improvement.candidate];
    }

    void improve(Improver& improver, const Improvement& improvement) {
        if (!open(improvement)) return;
        Job& job = jobs_[at(improvement.job)];
        improver.improve(task_of(improvement.job).partition, settings_,
                         job.candidates[improvement.candidate]);
        job.improved[improvement.candidate] = true;
    }

    // The labels with the lowest objective, the first of equals.
    void choose(std::size_t task) {
        const auto first = jobs_.begin() + static_cast<std::ptrdiff_t>(task) * starts_;
        const Labelling* best = &first->candidates[0];
        for (auto job = first; job != first + starts_; ++job)
            for (const Labelling& candidate : job->candidates)
                if (candidate.objective < best->objective) best = &candidate;
        std::copy(best->labels.begin(), best->labels.end(), tasks_[task].labels);
    }

    const std::vector<Task>& tasks_;
    std::int64_t starts_;
    Settings settings_;
    std::vector<Job> jobs_;
};

}  // namespace

void solve_batch(const std::vector<Task>& tasks, std::int64_t starts, const Settings& settings,
                 int threads) {
    Batch(tasks, starts, settings).solve(threads);
}

}  // namespace comix::comixup
