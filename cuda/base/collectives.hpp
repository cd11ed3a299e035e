// Operations of a whole team, written with phases. `partial` is shared memory of the team.
#pragma once

#include "cuda/base/team.hpp"

namespace comix::cuda {

// combine(value(0), value(1), ...) for all threads; the order depends on the team's size only.
// partial [size()].
template <class T, class Team, class Value, class Combine>
COMIX_HD T reduce(Team& team, T* partial, const Value& value, const Combine& combine) {
    team.phase([&](int thread) { partial[thread] = value(thread); });
    for (int width = team.size(); width > 1;) {
        const int half = (width + 1) / 2;
        team.phase([&](int thread) {
            if (thread + half < width)
                partial[thread] = combine(partial[thread], partial[thread + half]);
        });
        width = half;
    }
    return team.uniform(partial[0]);
}

template <class T, class Team, class Value>
COMIX_HD T reduce_sum(Team& team, T* partial, const Value& value) {
    return reduce(team, partial, value, [](const T& a, const T& b) { return a + b; });
}

template <class T, class Team, class Value>
COMIX_HD T reduce_max(Team& team, T* partial, const Value& value) {
    return reduce(team, partial, value, [](const T& a, const T& b) { return a < b ? b : a; });
}

// Whether test(thread) holds for some thread. partial [size()].
template <class Team, class Test>
COMIX_HD bool any(Team& team, int* partial, const Test& test) {
    return reduce_max(team, partial, [&](int thread) { return test(thread) ? 1 : 0; }) != 0;
}

// A value and where it was found; of equal values the first place counts.
template <class T>
struct Located {
    T value;
    long long place;
};

// The smallest located value; `value(thread)` gives each thread's best. partial [size()].
template <class T, class Team, class Value>
COMIX_HD Located<T> reduce_first_min(Team& team, Located<T>* partial, const Value& value) {
    return reduce(team, partial, value, [](const Located<T>& a, const Located<T>& b) {
        return b.value < a.value || (b.value == a.value && b.place < a.place) ? b : a;
    });
}

template <class T, class Team, class Value>
COMIX_HD Located<T> reduce_first_max(Team& team, Located<T>* partial, const Value& value) {
    return reduce(team, partial, value, [](const Located<T>& a, const Located<T>& b) {
        return a.value < b.value || (b.value == a.value && b.place < a.place) ? b : a;
    });
}

// values[i] becomes the sum of values[0..i-1]; returns the sum of all. values [count] in memory
// that all threads see, partial [2 * size()].
template <class T, class Team>
COMIX_HD T exclusive_scan(Team& team, T* values, int count, T* partial) {
    const int size = team.size(), share = (count + size - 1) / size;  // of neighbours per thread
    const auto first = [&](int thread) {
        const long long begin = static_cast<long long>(thread) * share;
        return begin < count ? static_cast<int>(begin) : count;
    };
    T *sums = partial, *next = partial + size;
    team.phase([&](int thread) {
        T sum = 0;
        for (int i = first(thread); i < first(thread + 1); ++i) sum += values[i];
        sums[thread] = sum;
    });
    for (int reach = 1; reach < size; reach *= 2) {
        team.phase([&](int thread) {
            next[thread] = thread < reach ? sums[thread] : sums[thread - reach] + sums[thread];
        });
        T* const swapped = sums;
        sums = next;
        next = swapped;
    }
    team.phase([&](int thread) {
        T sum = thread > 0 ? sums[thread - 1] : T(0);
        for (int i = first(thread); i < first(thread + 1); ++i) {
            const T value = values[i];
            values[i] = sum;
            sum += value;
        }
    });
    return team.uniform(sums[size - 1]);
}

}  // namespace comix::cuda
