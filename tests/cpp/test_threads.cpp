// Threads over small problems: the same visits, alone or not. parallel_for is in test_base.cpp.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/errors.hpp"
#include "base/threads.hpp"
#include "doctest.h"

using namespace comix;

TEST_CASE("parallel_for_small: every index exactly once, whenever others join") {
    for (const std::int64_t count : {-5, 0, 1, 2, 7, 64, 300}) {
        for (const int threads : {-1, 1, 2, 5}) {
            for (const std::int64_t chunk : {0, 1, 2, 7, 299, 301}) {
                for (const int pause : {0, 10}) {  // microseconds per problem
                    CAPTURE(count);
                    CAPTURE(threads);
                    CAPTURE(chunk);
                    std::vector<std::atomic<int>> visits(count > 0 ? std::size_t(count) : 0);
                    std::atomic<int> alive{0};
                    struct Worker {
                        explicit Worker(std::atomic<int>& n) : alive(&n) { ++n; }
                        Worker(const Worker& other) : alive(other.alive) { ++*alive; }
                        Worker& operator=(const Worker&) = delete;
                        ~Worker() { --*alive; }
                        std::atomic<int>* alive;
                    };
                    parallel_for_small(
                        count, threads,
                        [&] {
                            return [&, worker = Worker(alive)](std::int64_t i) {
                                ++visits.at(static_cast<std::size_t>(i));
                                const auto end = std::chrono::steady_clock::now() +
                                                 std::chrono::microseconds(pause);
                                while (std::chrono::steady_clock::now() < end) {
                                }
                            };
                        },
                        chunk);
                    CHECK(alive == 0);
                    for (const auto& n : visits) CHECK(n == 1);
                }
            }
        }
    }
}

TEST_CASE("parallel_for_small: work that is over at once stays on the calling thread") {
    const auto caller = std::this_thread::get_id();
    bool alone = false;
    for (int attempt = 0; attempt < 50 && !alone;
         ++attempt) {  // on a busy machine anything is long
        std::atomic<int> elsewhere{0};
        parallel_for_small(
            100, 8,
            [&] {
                return [&](std::int64_t) {
                    elsewhere += std::this_thread::get_id() != caller ? 1 : 0;
                };
            },
            5);
        alone = elsewhere == 0;
    }
    CHECK(alone);
}

TEST_CASE("parallel_for_small: long work is shared") {
    std::atomic<int> made{0};
    parallel_for_small(
        40, 4,
        [&] {
            ++made;
            return [](std::int64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
        },
        2);
    CHECK(made >= 3);  // the calling thread, alone and then with others
}

TEST_CASE("parallel_for_small: who has just left a job joins the next one, however short") {
    const auto caller = std::this_thread::get_id();
    const auto pause = [](int microseconds) {
        std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    };
    bool joined = false;
    for (int attempt = 0; attempt < 300 && !joined; ++attempt) {
        parallel_for(2, 2, [&] { return [&](std::int64_t) { pause(500); }; });
        std::atomic<int> elsewhere{0};
        parallel_for_small(
            3, 2,
            [&] {
                return [&](std::int64_t) {
                    elsewhere += std::this_thread::get_id() != caller ? 1 : 0;
                    pause(10);  // the whole is far from worth waking anybody
                };
            },
            2);
        joined = elsewhere > 0;
    }
    CHECK(joined);
}

TEST_CASE("parallel_for_small: exceptions arrive, early and late") {
    for (const std::int64_t bad : {0, 3, 250}) {
        CHECK_THROWS_WITH_AS(parallel_for_small(
                                 300, 4,
                                 [&] {
                                     return [&](std::int64_t i) {
                                         std::this_thread::sleep_for(std::chrono::microseconds(20));
                                         if (i == bad) throw InvalidArgument("this one");
                                     };
                                 },
                                 2),
                             "this one", InvalidArgument);
    }
}
