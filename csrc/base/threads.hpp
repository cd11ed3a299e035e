// Threads over independent problems.
//
// Each call starts its own threads and joins them, so nothing survives into a forked DataLoader
// worker. Problems are handed out one by one (they differ in cost); which thread solves which
// problem never changes a result. The first exception of any worker is rethrown after all joined.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace comix {

// Calls `make_worker()` once per thread for a callable with its own scratch memory, and that
// callable with every index in 0..count-1 exactly once (fewer when one throws).
template <class MakeWorker>
void parallel_for(std::int64_t count, int threads, const MakeWorker& make_worker,
                  std::int64_t chunk = 1) {
    if (count <= 0) return;
    chunk = std::max<std::int64_t>(chunk, 1);
    const std::int64_t chunks = (count + chunk - 1) / chunk;
    const auto workers = static_cast<int>(std::clamp<std::int64_t>(threads, 1, chunks));

    if (workers == 1) {
        auto work = make_worker();
        for (std::int64_t i = 0; i < count; ++i) work(i);
        return;
    }

    std::atomic<std::int64_t> next{0};
    std::exception_ptr error;
    std::mutex error_mutex;
    const auto run = [&]() noexcept {
        try {
            auto work = make_worker();
            for (;;) {
                const std::int64_t begin = next.fetch_add(chunk);
                if (begin >= count) return;
                const std::int64_t end = std::min(count, begin + chunk);
                for (std::int64_t i = begin; i < end; ++i) work(i);
            }
        } catch (...) {
            next.store(count);  // the other workers stop at their next index
            const std::lock_guard<std::mutex> lock(error_mutex);
            if (!error) error = std::current_exception();
        }
    };

    std::vector<std::thread> pool;
    pool.reserve(static_cast<std::size_t>(workers - 1));
    try {
        for (int t = 1; t < workers; ++t) pool.emplace_back(run);
    } catch (const std::system_error&) {
        // No more threads to be had (a process limit): the ones that started do the work.
    }
    run();  // the calling thread works too
    for (auto& thread : pool) thread.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace comix
