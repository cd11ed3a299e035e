// The shared pieces: threads, 16-bit floats, block boundaries, views.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/blocks.hpp"
#include "base/errors.hpp"
#include "base/half.hpp"
#include "base/threads.hpp"
#include "base/values.hpp"
#include "base/view.hpp"
#include "doctest.h"

// The thread sanitizer does not follow a fork.
#if (defined(__unix__) || defined(__APPLE__)) && !defined(__SANITIZE_THREAD__)
#include <sys/wait.h>
#include <unistd.h>
#define COMIX_TEST_FORK
#endif

using namespace comix;

namespace {

// Counts the workers alive, to see that all of them are gone when parallel_for returns.
class Census {
  public:
    explicit Census(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }
    Census(const Census& other) : alive_(other.alive_) { ++*alive_; }
    Census& operator=(const Census&) = delete;
    ~Census() { --*alive_; }

  private:
    std::atomic<int>* alive_;
};

struct Visits {
    explicit Visits(std::int64_t count)
        : of(static_cast<std::size_t>(std::max<std::int64_t>(count, 0))) {}
    void operator()(std::int64_t i) { ++of.at(static_cast<std::size_t>(i)); }
    bool all(int expected) const {
        return std::all_of(of.begin(), of.end(), [&](const auto& n) { return n == expected; });
    }
    bool none_twice() const {
        return std::all_of(of.begin(), of.end(), [](const auto& n) { return n <= 1; });
    }
    std::vector<std::atomic<int>> of;
};

struct Thrown {
    std::int64_t index;
};

}  // namespace

TEST_CASE("parallel_for: every index exactly once") {
    for (const std::int64_t count : {-5, 0, 1, 2, 3, 7, 8, 64, 1000}) {
        for (const int threads : {-1, 0, 1, 2, 3, 8, 33}) {
            for (const std::int64_t chunk : {-3, 0, 1, 2, 7, 999, 1000, 1001}) {
                CAPTURE(count);
                CAPTURE(threads);
                CAPTURE(chunk);
                Visits visits(count);
                std::atomic<int> alive{0}, made{0};
                parallel_for(
                    count, threads,
                    [&] {
                        ++made;
                        return [&, census = Census(alive)](std::int64_t i) { visits(i); };
                    },
                    chunk);
                CHECK(visits.all(1));
                CHECK(alive == 0);
                // One worker per thread, and never more threads than chunks of work.
                const std::int64_t size = std::max<std::int64_t>(chunk, 1);
                const std::int64_t chunks = (count + size - 1) / size;
                const auto most = std::min<std::int64_t>(std::max(threads, 1), chunks);
                CHECK(made <= std::max<std::int64_t>(most, 0));
                CHECK((made > 0) == (count > 0));
            }
        }
    }
}

TEST_CASE("parallel_for: a chunk as large as its type is one chunk") {
    const std::int64_t most = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t count : {1, 2, 5}) {
        for (const int threads : {1, 4}) {
            CAPTURE(count);
            CAPTURE(threads);
            Visits visits(count);
            CHECK_NOTHROW(parallel_for(
                count, threads, [&] { return [&](std::int64_t i) { visits(i); }; }, most));
            CHECK(visits.all(1));
        }
    }
}

TEST_CASE("parallel_for: scratch memory belongs to one thread") {
    // Each worker sums in memory of its own; a shared worker would lose or double some.
    for (int threads = 1; threads <= 8; ++threads) {
        std::atomic<std::int64_t> total{0};
        struct Sum {
            std::atomic<std::int64_t>* total;
            std::int64_t sum = 0;
            ~Sum() { *total += sum; }
            void operator()(std::int64_t i) { sum += i; }
        };
        parallel_for(5000, threads, [&] { return Sum{&total}; });
        CHECK(total == 5000LL * 4999 / 2);
    }
}

TEST_CASE("parallel_for: calls inside a call, and calls of several threads at once") {
    for (const int threads : {1, 2, 5}) {
        Visits visits(30 * 40);
        parallel_for(30, threads, [&] {
            return [&](std::int64_t i) {
                parallel_for(40, threads,
                             [&] { return [&, i](std::int64_t j) { visits(40 * i + j); }; });
            };
        });
        CHECK(visits.all(1));
        // Nothing of one call shows up in another, failures included.
        std::atomic<int> wrong{0};
        std::vector<std::thread> callers;
        for (std::int64_t caller = 0; caller < 4; ++caller) {
            callers.emplace_back([&, caller] {
                for (int round = 0; round < 50; ++round) {
                    Visits own(100 + round);
                    std::int64_t caught = -1;
                    try {
                        parallel_for(100 + round, threads, [&] {
                            return [&](std::int64_t i) {
                                own(i);
                                if (round % 5 == caller && i == 9) throw Thrown{caller};
                            };
                        });
                    } catch (const Thrown& thrown) {
                        caught = thrown.index;
                    }
                    const bool fails = round % 5 == caller;
                    wrong +=
                        fails ? caught != caller || !own.none_twice() : caught != -1 || !own.all(1);
                }
            });
        }
        for (auto& caller : callers) caller.join();
        CHECK(wrong == 0);
    }
}

#if defined(COMIX_TEST_FORK)
TEST_CASE("parallel_for: a child after fork works, and so does its parent") {
    const auto works = [] {
        Visits visits(200);
        parallel_for(200, 4, [&] { return [&](std::int64_t i) { visits(i); }; });
        return visits.all(1);
    };
    REQUIRE(works());  // threads have been started
    for (int round = 0; round < 3; ++round) {
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            alarm(30);  // a child that hangs is a failure too
            _exit(works() && works() ? 0 : 1);
        }
        CHECK(works());
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
}
#endif

TEST_CASE("parallel_for: the first exception arrives after all workers are gone") {
    for (int threads = 1; threads <= 8; ++threads) {
        for (const std::int64_t bad : {0, 1, 37, 99}) {
            for (const std::int64_t chunk : {1, 10}) {
                CAPTURE(threads);
                CAPTURE(bad);
                Visits visits(100);
                std::atomic<int> alive{0};
                std::int64_t caught = -1;
                try {
                    parallel_for(
                        100, threads,
                        [&] {
                            return [&, census = Census(alive)](std::int64_t i) {
                                visits(i);
                                if (i == bad) throw Thrown{i};
                            };
                        },
                        chunk);
                } catch (const Thrown& thrown) {
                    caught = thrown.index;
                    CHECK(alive == 0);
                }
                CHECK(caught == bad);
                CHECK(visits.none_twice());
                if (threads > 1) continue;
                for (std::int64_t i = 0; i < 100; ++i)
                    CHECK(visits.of[static_cast<std::size_t>(i)] == (i <= bad ? 1 : 0));
            }
        }
    }
}

TEST_CASE("parallel_for: of two exceptions the earlier one arrives") {
    using namespace std::chrono_literals;
    for (const std::int64_t earlier : {0, 1}) {
        std::atomic<int> alive{0}, started{0};
        std::int64_t caught = -1;
        try {
            parallel_for(2, 2, [&] {
                return [&, census = Census(alive)](std::int64_t i) {
                    ++started;
                    for (int k = 0; started < 2; ++k) {
                        if (k > 20000) throw Thrown{-2};  // no second thread to be had
                        std::this_thread::sleep_for(1ms);
                    }
                    // The later one waits until the other's worker has gone, and a little more.
                    while (i != earlier && alive > 1) std::this_thread::sleep_for(1ms);
                    if (i != earlier) std::this_thread::sleep_for(20ms);
                    throw Thrown{i};
                };
            });
        } catch (const Thrown& thrown) {
            caught = thrown.index;
        }
        CHECK(caught == earlier);
    }
}

TEST_CASE("parallel_for: each thread ends with its first exception") {
    for (int threads = 1; threads <= 8; ++threads) {
        std::atomic<int> started{0};
        const auto always = [&] {
            return [&](std::int64_t i) {
                ++started;
                throw std::runtime_error("index " + std::to_string(i));
            };
        };
        CHECK_THROWS_WITH_AS(parallel_for(50, threads, always), doctest::Contains("index "),
                             std::runtime_error);
        CHECK((started >= 1 && started <= threads));
    }
}

TEST_CASE("parallel_for: exceptions of make_worker") {
    for (int threads = 1; threads <= 8; ++threads) {
        CAPTURE(threads);
        const auto refuse = [&]() -> void (*)(std::int64_t) { throw InvalidArgument("no worker"); };
        CHECK_THROWS_WITH_AS(parallel_for(40, threads, refuse), "no worker", InvalidArgument);
        for (int round = 0; round < 10; ++round) {
            Visits visits(400);
            std::atomic<int> made{0}, alive{0};
            const auto refuse_one = [&] {
                if (made++ == round % threads) throw Thrown{-1};
                return [&, census = Census(alive)](std::int64_t i) { visits(i); };
            };
            bool failed = false;
            try {
                parallel_for(400, threads, refuse_one);
            } catch (const Thrown&) {
                failed = true;
            }
            CHECK(alive == 0);
            CHECK(failed == (made > round % threads));
            CHECK(visits.none_twice());
            if (!failed) CHECK(visits.all(1));
        }
    }
}

namespace {

// A 16-bit format by its definition: sign, exponent, mantissa, gradual underflow.
struct Format {
    int mantissa_bits, bias;

    int infinity() const { return 0x7fff & ~((1 << mantissa_bits) - 1); }
    double magnitude(int bits) const {
        const int exponent = bits >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
        const int implicit = exponent > 0 ? 1 << mantissa_bits : 0;
        return std::ldexp(implicit + mantissa, std::max(exponent, 1) - bias - mantissa_bits);
    }
};

constexpr Format kBinary16{10, 15}, kBfloat16{7, 127};

template <class Half>
void check_to_float(const Format& format) {
    for (int bits = 0; bits < 65536; ++bits) {
        const float value = Half{static_cast<std::uint16_t>(bits)};
        const int magnitude = bits & 0x7fff;
        bool right = std::signbit(value) == (bits >= 0x8000);
        if (magnitude > format.infinity()) {
            right = right && std::isnan(value);
        } else if (magnitude == format.infinity()) {
            right = right && std::isinf(value);
        } else {
            right = right && std::abs(static_cast<double>(value)) == format.magnitude(magnitude);
        }
        // And back to where it came from; a NaN may become another NaN.
        const int back = Half::from(value).bits;
        right = right && (magnitude > format.infinity()
                              ? (back & 0x7fff) > format.infinity() && (back ^ bits) < 0x8000
                              : back == bits);
        if (!right) FAIL_CHECK("bits " << bits << " became " << value << ", back " << back);
    }
}

// Nearest by comparing distances to both neighbours; the value after the largest counts as
// infinity.
int nearest(const std::vector<double>& values, double x) {
    const auto above = std::lower_bound(values.begin(), values.end(), x);
    if (above == values.end()) return static_cast<int>(values.size()) - 1;
    const auto high = static_cast<int>(above - values.begin());
    if (*above == x) return high;
    const double up = *above - x, down = x - *(above - 1);
    if (up == down) return high % 2 == 0 ? high : high - 1;
    return up < down ? high : high - 1;
}

template <class Half>
void check_from_float(const Format& format) {
    std::vector<double> values;
    for (int bits = 0; bits <= format.infinity(); ++bits) values.push_back(format.magnitude(bits));
    const auto check = [&](float x) {
        const int sign = std::signbit(x) ? 0x8000 : 0;
        const int expected = sign | nearest(values, std::abs(static_cast<double>(x)));
        const int got = Half::from(x).bits;
        if (got != expected)
            FAIL_CHECK("float bits " << detail::bits_of(x) << ": " << got << " != " << expected);
    };
    for (std::size_t k = 0; k + 1 < values.size(); ++k) {
        const auto halfway = static_cast<float>((values[k] + values[k + 1]) / 2);
        REQUIRE(static_cast<double>(halfway) == (values[k] + values[k + 1]) / 2);
        for (const float x : {static_cast<float>(values[k]), halfway, std::nextafter(halfway, 0.0F),
                              std::nextafter(halfway, std::numeric_limits<float>::max())}) {
            check(x);
            check(-x);
        }
    }
    std::mt19937 random(3);
    for (int k = 0; k < 300000; ++k) {
        const float x = detail::float_from_bits(static_cast<std::uint32_t>(random()));
        if (std::isfinite(x)) check(x);
    }
    for (const std::uint32_t bits : {0U, 1U, 0x7f7fffffU}) check(detail::float_from_bits(bits));
    CHECK(Half::from(std::numeric_limits<float>::infinity()).bits == format.infinity());
    CHECK(Half::from(-std::numeric_limits<float>::infinity()).bits == (format.infinity() | 0x8000));
    for (const std::uint32_t nan :
         {0x7fc00000U, 0x7f800001U, 0x7fffffffU, 0xffc00000U, 0xff800001U}) {
        const int got = Half::from(detail::float_from_bits(nan)).bits;
        CHECK((got & 0x7fff) > format.infinity());
        CHECK((got >= 0x8000) == (nan >= 0x80000000U));
    }
}

}  // namespace

TEST_CASE("16-bit floats: every bit pattern to float and back") {
    check_to_float<Float16>(kBinary16);
    check_to_float<BFloat16>(kBfloat16);
}

TEST_CASE("16-bit floats: rounding to nearest even") {
    check_from_float<Float16>(kBinary16);
    check_from_float<BFloat16>(kBfloat16);
    CHECK(Float16::from(65519.0F).bits == 0x7bff);  // the largest
    CHECK(Float16::from(65520.0F).bits == 0x7c00);  // halfway beyond it
}

TEST_CASE("block_start: each pixel in exactly one block, sizes within one") {
    std::vector<std::int64_t> sizes;
    for (std::int64_t pixels = 1; pixels <= 80; ++pixels) sizes.push_back(pixels);
    sizes.insert(sizes.end(), {224, 255, 1000});
    for (const auto pixels : sizes) {
        for (std::int64_t blocks = 1; blocks <= pixels; ++blocks) {
            CAPTURE(pixels);
            CAPTURE(blocks);
            bool right = block_start(0, pixels, blocks) == 0 &&
                         block_start(blocks, pixels, blocks) == pixels;
            for (std::int64_t i = 0; i < blocks; ++i) {
                const std::int64_t begin = block_start(i, pixels, blocks);
                const std::int64_t end = block_start(i + 1, pixels, blocks);
                right = right && (end - begin == pixels / blocks ||
                                  (end - begin == pixels / blocks + 1 && pixels % blocks != 0));
                // Nearest-neighbour upsampling: pixel y shows block floor(y * blocks / pixels).
                for (std::int64_t y = begin; y < end; ++y)
                    right = right && y * blocks / pixels == i;
            }
            CHECK(right);
        }
    }
    const std::int64_t huge = std::int64_t{1} << 31;
    CHECK(block_start(huge / 2, huge, huge) == huge / 2);
}

TEST_CASE("View: row-major, sub-views share the memory") {
    std::vector<int> memory(2 * 3 * 4 * 5);
    for (std::size_t k = 0; k < memory.size(); ++k) memory[k] = static_cast<int>(k);
    const View<int, 4> view{memory.data(), {2, 3, 4, 5}};
    CHECK(view.size() == 120);
    int expected = 0;
    for (int a = 0; a < 2; ++a)
        for (int b = 0; b < 3; ++b)
            for (int c = 0; c < 4; ++c)
                for (int d = 0; d < 5; ++d) CHECK(view[a][b][c][d] == expected++);
    CHECK(view[1][2].shape == std::array<std::int64_t, 2>{4, 5});
    view[1][2][3][4] = -7;
    CHECK(memory.back() == -7);
    static_assert(std::is_same_v<decltype(View<const int, 1>{}[0]), const int&>);
    CHECK((View<int, 3>{}.size()) == 0);
}

TEST_CASE_TEMPLATE("verdicts on values see each of them, and both ends count", T, float, double) {
    using Limits = std::numeric_limits<T>;
    for (std::size_t count = 0; count <= 20; ++count) {
        std::vector<T> values(count);
        for (std::size_t k = 0; k < count; ++k) values[k] = k % 2 ? T{1} : T{-2};
        const auto size = static_cast<std::int64_t>(count);
        const auto within = [&] { return all_within(values.data(), size, T{-2}, T{1}); };
        CHECK(all_finite(values.data(), size));
        CHECK(within());
        for (T& value : values) {
            const T good = value;
            for (const T bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
                value = bad;
                CHECK(!all_finite(values.data(), size));
                CHECK(!within());
            }
            for (const T far : {Limits::max(), Limits::lowest(), T(-2.0001), T(1.0001)}) {
                value = far;
                CHECK(all_finite(values.data(), size));
                CHECK(!within());
            }
            value = good;
        }
    }
}

TEST_CASE("indices in a range: both ends count, and the ends of int64 are outside") {
    std::vector<std::int64_t> values{0, 5, 3, 0, 5};
    const auto within = [&] { return all_within(values.data(), 5, 0, 5); };
    CHECK(within());
    for (auto& value : values) {
        const std::int64_t good = value;
        for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{6}, INT64_MIN, INT64_MAX}) {
            value = bad;
            CHECK(!within());
        }
        value = good;
    }
    CHECK(within());
}
