// Runs the logic of a kernel on all kinds of host teams.
#pragma once

#include <cstdint>
#include <random>

#include "cuda/base/host_team.hpp"
#include "doctest.h"

// check(team) for teams of several sizes, whose threads take turns in three orders.
template <class Check>
void with_host_teams(const Check& check) {
    using comix::cuda::HostTeam;
    using comix::cuda::Order;
    unsigned seed = 1;
    for (const int size : {1, 2, 7, 32, 100, 128}) {
        for (const Order order : {Order::forward, Order::reversed, Order::shuffled}) {
            CAPTURE(size);
            CAPTURE(static_cast<int>(order));
            HostTeam team(size, order, seed++);
            check(team);
        }
    }
}

// A team drawn at random, for tests with many problems.
inline comix::cuda::HostTeam any_team(std::mt19937& random) {
    using comix::cuda::Order;
    const int sizes[] = {1, 7, 32, 128};
    const Order orders[] = {Order::forward, Order::reversed, Order::shuffled};
    const int size = sizes[random() % 4];
    return comix::cuda::HostTeam(size, orders[random() % 3], static_cast<unsigned>(random()));
}

// All items of a kernel without phases, shared out among the threads as the grid does it.
template <class Work>
void for_each_item(comix::cuda::HostTeam&& team, std::int64_t items, const Work& work) {
    team.phase([&](int thread) {
        for (std::int64_t item = thread; item < items; item += team.size()) work(item);
    });
}
