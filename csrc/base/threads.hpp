// Threads over independent problems.
//
// Problems are handed out in chunks (they differ in cost); which thread solves which problem never
// changes a result. The first exception of any worker is rethrown after all have stopped.
//
// The workers are kept between calls (starting a thread costs more than solving a small batch) and
// sleep in between; only for a tenth of a millisecond after a job they stay awake, giving way to
// whoever wants their core, since the steps of one call follow each other that closely. A job that
// is done before a worker wakes up does not wait for it. After a fork the child starts workers of
// its own on its first call, so DataLoader workers can use the library. When two threads call at
// once, the second one works alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>

namespace comix {

namespace detail {

// Runs work(context) on the calling thread and on at most `helpers` pool threads; returns when all
// that entered have left. `work` must not throw.
void run_on_pool(int helpers, void (*work)(void*), void* context);

// How many workers have just left a job and would enter another one at once.
int workers_awake();

}  // namespace detail

// Calls `make_worker()` once per thread for a callable with its own scratch memory, and that
// callable with every index in 0..count-1 exactly once (fewer when one throws). At least `chunk`
// indices go to one thread at a time: choose it so that a chunk is worth waking a thread for (some
// 20 microseconds).
template <class MakeWorker>
void parallel_for(std::int64_t count, int threads, const MakeWorker& make_worker,
                  std::int64_t chunk = 1) {
    if (count <= 0) return;
    chunk = std::clamp<std::int64_t>(chunk, 1, count);
    const std::int64_t chunks = (count - 1) / chunk + 1;
    const auto workers = static_cast<int>(std::clamp<std::int64_t>(threads, 1, chunks));

    if (workers == 1) {
        auto work = make_worker();
        for (std::int64_t i = 0; i < count; ++i) work(i);
        return;
    }

    struct Job {
        const MakeWorker& make_worker;
        std::int64_t count, chunk;
        std::atomic<std::int64_t> next{0};
        std::exception_ptr error;
        std::mutex error_mutex;
    } job{make_worker, count, chunk, {}, {}, {}};
    const auto run = [](void* context) {
        Job& shared = *static_cast<Job*>(context);
        try {
            auto work = shared.make_worker();
            for (;;) {
                const std::int64_t begin = shared.next.fetch_add(shared.chunk);
                if (begin >= shared.count) return;
                const std::int64_t end = std::min(shared.count, begin + shared.chunk);
                for (std::int64_t i = begin; i < end; ++i) work(i);
            }
        } catch (...) {
            shared.next.store(shared.count);  // the other workers stop at their next chunk
            const std::lock_guard<std::mutex> lock(shared.error_mutex);
            if (!shared.error) shared.error = std::current_exception();
        }
    };
    detail::run_on_pool(workers - 1, run, &job);
    if (job.error) std::rethrow_exception(job.error);
}

// The same for problems so small that a batch may be solved before another thread is awake: unless
// all it could use are, the calling thread starts alone, and wakes others once its pace says that
// the rest is worth it. Problems that fill a chunk each are not that small.
template <class MakeWorker>
void parallel_for_small(std::int64_t count, int threads, const MakeWorker& make_worker,
                        std::int64_t chunk) {
    using Clock = std::chrono::steady_clock;
    constexpr auto pace_known = std::chrono::microseconds(20);
    // Waking takes 10 to 100 microseconds, and more where machines are shared.
    constexpr auto worth_waking = std::chrono::microseconds(250);
    std::int64_t done = 0;
    const bool small = threads > 1 && chunk > 1 && count > chunk;
    if (small &&
        detail::workers_awake() < std::min<std::int64_t>(threads - 1, (count - 1) / chunk)) {
        auto work = make_worker();
        const auto start = Clock::now();
        while (done < count) {
            // Many problems take less time than a look at the clock.
            const std::int64_t look = std::min(count, done + std::max<std::int64_t>(chunk / 2, 1));
            while (done < look) work(done++);
            const auto spent = Clock::now() - start;
            if (spent >= pace_known && spent * (count - done) >= worth_waking * done) break;
        }
    }
    if (done == 0) return parallel_for(count, threads, make_worker, chunk);
    parallel_for(
        count - done, threads,
        [&] { return [done, work = make_worker()](std::int64_t i) mutable { work(done + i); }; },
        chunk);
}

}  // namespace comix
