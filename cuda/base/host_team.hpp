// Teams that run on the CPU, for tests of kernel logic. Rules: team.hpp.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/base/team.hpp"

namespace comix::cuda {

enum class Order { forward, reversed, shuffled };

// Runs the threads of a phase one after the other. If the order, or the number of threads, changes
// an answer, two threads of one phase met. Every piece of shared memory is an allocation of its
// own, full of noise: an access out of bounds meets the address sanitizer.
class HostTeam {
  public:
    explicit HostTeam(int size, Order order = Order::forward, unsigned seed = 1)
        : order_(order), random_(seed), threads_(static_cast<std::size_t>(size)) {
        std::iota(threads_.begin(), threads_.end(), 0);
        if (order == Order::reversed) std::iota(threads_.rbegin(), threads_.rend(), 0);
    }

    int size() const { return static_cast<int>(threads_.size()); }
    // With no shared memory yet, as of the next kernel.
    HostTeam another() const { return HostTeam(size(), order_); }

    template <class Body>
    void phase(const Body& body) {
        if (order_ == Order::shuffled)
            for (std::size_t i = threads_.size(); i > 1; --i)
                std::swap(threads_[i - 1], threads_[random_() % i]);
        for (const int thread : threads_) body(thread);
        ++phases_;
    }
    template <class Body>
    void warp_phase(const Body& body) {
        phase(body);
    }

    template <class T>
    T uniform(const T& memory) {
        return memory;
    }

    template <class T>
    T* shared(std::size_t count) {
        bytes_.add<T>(count);
        const std::size_t size = count * sizeof(T);
        arrays_.push_back(std::make_unique<unsigned char[]>(size));
        for (std::size_t i = 0; i < size; ++i)
            arrays_.back()[i] = static_cast<unsigned char>(random_());
        return reinterpret_cast<T*>(arrays_.back().get());
    }

    // How much shared memory was asked for, and how many times all threads waited.
    std::size_t shared_bytes() const { return bytes_.total(); }
    std::int64_t phases() const { return phases_; }

  private:
    Order order_;
    std::mt19937 random_;
    std::vector<int> threads_;
    std::vector<std::unique_ptr<unsigned char[]>> arrays_;
    SharedBytes bytes_;
    std::int64_t phases_ = 0;
};

// Runs the algorithm itself on a number of threads at once, as the device does: the thread
// sanitizer sees every access that lacks a phase in between, rule 2 of team.hpp included.
class SpmdTeam {
  public:
    int size() const { return meeting_.size; }

    template <class Body>
    void phase(const Body& body) {
        body(thread_);
        meeting_.all.wait();
    }
    template <class Body>
    void warp_phase(const Body& body) {
        body(thread_);
        meeting_.warps[static_cast<std::size_t>(thread_ / kWarp)].wait();
    }

    template <class T>
    T uniform(const T& memory) {
        const T value = memory;
        meeting_.all.wait();
        return value;
    }

    template <class T>
    T* shared(std::size_t count) {
        SharedBytes end = used_;
        end.add<T>(count);
        unsigned char* begin = meeting_.arena.get() + end.total() - count * sizeof(T);
        used_ = end;
        return reinterpret_cast<T*>(begin);
    }

    // algorithm(team) on `size` threads that share `bytes` of memory.
    template <class Algorithm>
    static void run(int size, std::size_t bytes, const Algorithm& algorithm) {
        Meeting meeting(size, bytes);
        std::vector<std::thread> threads;
        for (int thread = 0; thread < size; ++thread)
            threads.emplace_back([&meeting, &algorithm, thread] {
                SpmdTeam team(meeting, thread);
                algorithm(team);
            });
        for (auto& thread : threads) thread.join();
    }

  private:
    static constexpr int kWarp = 32;

    // Where a number of threads wait for each other.
    class Barrier {
      public:
        explicit Barrier(int threads) : size_(threads) {}
        void wait() {
            std::unique_lock<std::mutex> lock(mutex_);
            const std::int64_t round = round_;
            if (++waiting_ == size_) {
                waiting_ = 0;
                ++round_;
                all_here_.notify_all();
                return;
            }
            all_here_.wait(lock, [&] { return round_ != round; });
        }

      private:
        int size_, waiting_ = 0;
        std::mutex mutex_;
        std::condition_variable all_here_;
        std::int64_t round_ = 0;
    };

    struct Meeting {
        Meeting(int threads, std::size_t bytes)
            : size(threads), arena(std::make_unique<unsigned char[]>(bytes + 1)), all(threads) {
            std::memset(arena.get(), 0xA5, bytes);
            for (int first = 0; first < threads; first += kWarp)
                warps.emplace_back(threads - first < kWarp ? threads - first : kWarp);
        }
        int size;
        std::unique_ptr<unsigned char[]> arena;
        Barrier all;
        std::deque<Barrier> warps;
    };

    SpmdTeam(Meeting& meeting, int thread) : meeting_(meeting), thread_(thread) {}

    Meeting& meeting_;
    int thread_;
    SharedBytes used_;
};

}  // namespace comix::cuda
