// The teams of the CUDA kernels and what is written with them, on the host.
#include <algorithm>
#include <climits>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/base/atomics.hpp"
#include "cuda/base/bits.hpp"
#include "cuda/base/collectives.hpp"
#include "cuda/base/divisor.hpp"
#include "cuda/base/launch.hpp"
#include "doctest.h"
#include "host_teams.hpp"

using namespace comix::cuda;

namespace {

template <class Team>
std::int64_t sum_of_squares(Team& team, std::int64_t count) {
    auto* partial = team.template shared<std::int64_t>(static_cast<std::size_t>(team.size()));
    return reduce_sum(team, partial, [&](int thread) {
        std::int64_t sum = 0;
        for (std::int64_t i = thread; i < count; i += team.size()) sum += i * i;
        return sum;
    });
}

}  // namespace

TEST_CASE("reductions") {
    with_host_teams([](HostTeam& team) {
        for (const std::int64_t count : {0, 1, 31, 1000})
            CHECK(sum_of_squares(team, count) == (count - 1) * count * (2 * count - 1) / 6);
        const auto size = static_cast<std::size_t>(team.size());
        auto* partial = team.shared<int>(size);
        const auto value = [&](int thread) { return (thread * 37) % 101 - 50; };
        std::vector<int> values;
        for (int t = 0; t < team.size(); ++t) values.push_back(value(t));
        CHECK(reduce_max(team, partial, value) == *std::max_element(values.begin(), values.end()));
        CHECK(any(team, partial, [&](int thread) { return thread == team.size() - 1; }));
        CHECK_FALSE(any(team, partial, [](int) { return false; }));
    });
}

TEST_CASE("of equal values the first place counts") {
    with_host_teams([](HostTeam& team) {
        auto* partial = team.shared<Located<double>>(static_cast<std::size_t>(team.size()));
        const auto value = [&](int thread) {
            return Located<double>{static_cast<double>(thread % 3), 1000 - thread};
        };
        const auto least = reduce_first_min(team, partial, value);
        CHECK(least.value == 0.0);
        CHECK(least.place == 1000 - (team.size() - 1) / 3 * 3);
        const auto most = reduce_first_max(team, partial, value);
        const int top = std::min(team.size() - 1, 2);
        CHECK(most.value == static_cast<double>(top));
        CHECK(most.place == 1000 - ((team.size() - 1 - top) / 3 * 3 + top));
    });
}

TEST_CASE("exclusive scan") {
    std::mt19937 random(61);
    with_host_teams([&](HostTeam& team) {
        for (const int count : {0, 1, 5, 64, 333}) {
            const auto size = static_cast<std::size_t>(count);
            std::vector<std::int64_t> expected(size), given(size);
            for (auto& v : given) v = static_cast<std::int64_t>(random() % 100);
            std::exclusive_scan(given.begin(), given.end(), expected.begin(), std::int64_t{0});
            auto* values = team.shared<std::int64_t>(size);
            std::copy(given.begin(), given.end(), values);
            auto* partial = team.shared<std::int64_t>(2 * static_cast<std::size_t>(team.size()));
            const auto total = exclusive_scan(team, values, count, partial);
            CHECK(total == std::accumulate(given.begin(), given.end(), std::int64_t{0}));
            CHECK(std::equal(expected.begin(), expected.end(), values));
        }
    });
}

TEST_CASE("atomics") {
    with_host_teams([](HostTeam& team) {
        auto* sum = team.shared<std::int64_t>(1);
        auto* low = team.shared<std::int32_t>(1);
        auto* high = team.shared<std::int64_t>(1);
        auto* mask = team.shared<std::int32_t>(1);
        team.phase([&](int thread) {
            if (thread > 0) return;
            *sum = 0;
            *low = INT_MAX;
            *high = -5;
            *mask = 0;
        });
        team.phase([&](int thread) {
            atomic_add(sum, thread);
            atomic_min(low, 100 - thread);
            atomic_max(high, thread - 5);
            atomic_or(mask, 1 << thread % 30);
        });
        const std::int64_t last = team.size() - 1;
        CHECK(team.uniform(*sum) == last * (last + 1) / 2);
        CHECK(team.uniform(*low) == 100 - last);
        CHECK(team.uniform(*high) == last - 5);
        CHECK(team.uniform(*mask) == (1 << std::min<int>(team.size(), 30)) - 1);
        std::int32_t value = 3;
        CHECK(atomic_exchange_if(&value, 4, 9) == 3);
        CHECK(atomic_exchange_if(&value, 3, 9) == 3);
        CHECK(value == 9);
    });
}

TEST_CASE("a team of real threads gives the same answers") {
    for (const int size : {1, 2, 5}) {
        const std::size_t bytes =
            SharedBytes().add<std::int64_t>(static_cast<std::size_t>(size)).add<int>(1).total();
        std::vector<std::int64_t> sums(static_cast<std::size_t>(size));
        int count = 0;
        SpmdTeam::run(size, bytes, [&](SpmdTeam& team) {
            const std::int64_t sum = sum_of_squares(team, 1000);
            int* seen = team.shared<int>(1);
            team.phase([&](int thread) {
                if (thread == 0) *seen = 0;
            });
            for (int round = 0; round < 10; ++round) {  // uniform() protects the next write
                CHECK(team.uniform(*seen) == round * size);
                team.phase([&](int) { atomic_add(seen, 1); });
            }
            const int total = team.uniform(*seen);
            team.phase([&](int thread) {
                sums[static_cast<std::size_t>(thread)] = sum;
                if (thread == 0) count = total;
            });
        });
        CHECK(sums == std::vector<std::int64_t>(static_cast<std::size_t>(size), 332833500));
        CHECK(count == 10 * size);
    }
}

TEST_CASE("shared memory is counted as the teams hand it out") {
    HostTeam team(4);
    team.shared<char>(3);
    team.shared<double>(2);
    team.shared<int>(1);
    CHECK(team.shared_bytes() == 8 + 16 + 4);
    CHECK(team.shared_bytes() == SharedBytes().add<char>(3).add<double>(2).add<int>(1).total());
}

TEST_CASE("divisors divide") {
    std::mt19937_64 random(62);
    const std::int64_t limit = (std::int64_t{1} << 31) - 1;
    std::vector<std::int64_t> by{1, 2, 3, 5, 7, 10, 16, 224, 641, 65535, 65536, limit - 1, limit};
    for (int k = 0; k < 200; ++k)
        by.push_back(1 + static_cast<std::int64_t>(random() >> (33 + k % 31)));
    bool narrow = true, wide = true;
    for (const std::int64_t d : by) {
        const Divisor divisor(d);
        for (int k = 0; k < 500; ++k) {
            const auto n = static_cast<std::int64_t>(random() >> (33 + k % 31));
            const std::int64_t multiple = n / d * d;
            for (const std::int64_t m : {n, multiple, std::max<std::int64_t>(multiple - 1, 0)})
                narrow &= divisor.quotient(static_cast<int>(m)) == m / d;
        }
        narrow &= divisor.quotient(static_cast<int>(limit)) == limit / d;
    }
    for (int k = 0; k < 120; ++k)
        by.push_back(1 + static_cast<std::int64_t>(random() >> (2 + k % 62)));
    for (const std::int64_t d : by) {
        const WideDivisor divisor(d);
        for (int k = 0; k < 500; ++k) {
            const auto n = static_cast<std::int64_t>(random() >> (1 + k % 63));
            const std::int64_t multiple = n / d * d;
            for (const std::int64_t m : {n, multiple, std::max<std::int64_t>(multiple - 1, 0)})
                wide &= divisor.quotient(m) == m / d;
        }
        wide &= divisor.quotient(INT64_MAX) == INT64_MAX / d;
    }
    CHECK(narrow);
    CHECK(wide);
    CHECK(Divisor().quotient(17) == 17);
    CHECK(WideDivisor().quotient(17) == 17);
    CHECK_THROWS_AS(Divisor(0), comix::InvalidArgument);
    CHECK_THROWS_AS(Divisor(limit + 1), comix::InvalidArgument);
}

TEST_CASE("sets of bits: members, those below, and the one of a rank") {
    namespace cuda = comix::cuda;
    std::mt19937 random(91);
    for (int trial = 0; trial < 200; ++trial) {
        const int numbers = 1 + static_cast<int>(random() % 130);
        const int words = cuda::word_count(numbers);
        CHECK((words - 1) * 32 < numbers);
        CHECK(numbers <= words * 32);
        std::vector<std::int32_t> set(static_cast<std::size_t>(words), 0);
        std::vector<int> members;
        for (int i = 0; i < numbers; ++i) {
            const bool in = trial == 0 || random() % 4 == 0;
            if (in) members.push_back(i);
            if (in) cuda::add_to_set(set.data(), i);
        }
        std::vector<int> found;
        for (int i = 0; i < numbers; ++i) {
            CHECK(cuda::members_below(set.data(), i) == static_cast<int>(found.size()));
            if (cuda::is_in_set(set.data(), i)) found.push_back(i);
        }
        CHECK(found == members);
        CHECK(cuda::members_below(set.data(), numbers) == static_cast<int>(members.size()));
        const int count = static_cast<int>(members.size());
        for (int rank = 0; rank < count; ++rank)
            CHECK(cuda::member(set.data(), words, rank) == members[static_cast<std::size_t>(rank)]);
        CHECK(cuda::member(set.data(), words, count) == -1);
    }
}

TEST_CASE("blocks_for: enough blocks, and never more than a grid may have") {
    CHECK(blocks_for(0, 256) == 0);
    for (const std::int64_t items : {std::int64_t{1}, std::int64_t{256}, std::int64_t{257},
                                     std::int64_t{65536}, std::int64_t{1} << 31}) {
        for (const int each : {1, 4, 256})
            CHECK(std::int64_t{blocks_for(items, each)} * each >=
                  std::min(items, std::int64_t{each} << 30));
    }
    CHECK(blocks_for(257, 256) == 2);
    CHECK(blocks_for(70000, 1) == 70000);
    for (const std::int64_t items : {(std::int64_t{1} << 31) + 5, std::int64_t{1} << 45, INT64_MAX})
        CHECK(std::int64_t{blocks_for(items, 1)} < std::int64_t{1} << 31);
}
