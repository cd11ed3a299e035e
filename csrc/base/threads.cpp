#include "base/threads.hpp"

#include <chrono>
#include <condition_variable>
#include <new>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define COMIX_HAS_FORK 1
#endif

namespace comix::detail {

namespace {

thread_local bool inside_job = false;  // this thread is working on a job already

using Clock = std::chrono::steady_clock;

// How long a thread stays awake for what is about to come: the next job of a call that makes
// several, or the last chunk of a job. Sleeping and waking takes about as long.
constexpr auto kStayAwake = std::chrono::microseconds(100);

// Looks again and again, but gives way to whatever else wants the core; false when nothing came.
template <class Condition>
bool stay_awake_until(const Condition& came) {
    const auto deadline = Clock::now() + kStayAwake;
    do {
        for (int look = 0; look < 32; ++look)
            if (came()) return true;
        std::this_thread::yield();
    } while (Clock::now() < deadline);
    return false;
}

class Pool {
  public:
    void run(int helpers, void (*work)(void*), void* context) {
        if (inside_job) return work(context);
        const std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
        if (!turn.owns_lock()) return work(context);  // another thread's job has the pool
        grow(helpers);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            work_ = work;
            context_ = context;
            open_places_ = helpers;
            job_.store(job_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        }
        // A worker that is about to sleep looks for a job once more, with the lock.
        if (workers_awake() < helpers) wake_.notify_all();
        inside_job = true;
        work(context);
        inside_job = false;
        std::unique_lock<std::mutex> lock(mutex_);
        open_places_ = 0;  // whoever has not entered by now is not needed
        if (inside_ == 0) return;
        lock.unlock();
        stay_awake_until([&] { return inside_.load(std::memory_order_acquire) == 0; });
        lock.lock();
        left_.wait(lock, [&] { return inside_ == 0; });
    }

    int workers_awake() const { return awake_.load(); }

  private:
    void grow(int helpers) {
        try {
            for (; size_ < helpers; ++size_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            // No more threads to be had (a process limit): those that started do the work.
        }
    }

    void serve() {
        inside_job = true;
        std::uint64_t last_job = 0;
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return job_ != last_job && open_places_ > 0; });
            last_job = job_;
            --open_places_;
            ++inside_;
            const auto work = work_;
            void* const context = context_;
            lock.unlock();
            work(context);
            lock.lock();
            if (--inside_ == 0) left_.notify_one();
            lock.unlock();
            ++awake_;
            stay_awake_until([&] { return job_.load(std::memory_order_acquire) != last_job; });
            --awake_;
            lock.lock();
        }
    }

    std::mutex turn_;   // held by the thread whose job runs
    std::mutex mutex_;  // guards everything below
    std::condition_variable wake_, left_;
    void (*work_)(void*) = nullptr;
    void* context_ = nullptr;
    std::atomic<std::uint64_t> job_{0};  // written under mutex_ only, like inside_
    int open_places_ = 0;                // how many more workers may enter the job
    std::atomic<int> inside_{0};         // how many are in it
    int size_ = 0;                       // threads started; guarded by turn_
    std::atomic<int> awake_{0};          // workers that wait for a job without sleeping
};

std::mutex pool_mutex;
Pool* pool = nullptr;  // never destroyed: its threads sleep until the process ends

// The child of a fork has no threads but the one that forked, and locks in unknown states: forget
// all.
[[maybe_unused]] void forget_pool() {
    pool = nullptr;
    new (&pool_mutex) std::mutex;
}

Pool& shared_pool() {
    const std::lock_guard<std::mutex> lock(pool_mutex);
    if (!pool) {
#ifdef COMIX_HAS_FORK
        static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
        (void)registered;
#endif
        pool = new Pool;
    }
    return *pool;
}

}  // namespace

int workers_awake() {
    return shared_pool().workers_awake();
}

void run_on_pool(int helpers, void (*work)(void*), void* context) {
    shared_pool().run(helpers, work, context);
}

}  // namespace comix::detail
