// Many partitions at once, each from one or several starts: threads over all of them.
#pragma once

#include <cstdint>
#include <vector>

#include "comixup/comixup.hpp"

namespace comix::comixup {

struct Task {
    Partition partition;
    const std::int64_t* init = nullptr;  // [starts, m, gh, gw]
    std::int64_t* labels = nullptr;      // [m, gh, gw, 2], the result
};

// Every start of every task is a problem of its own: sweeps, then with Select::best descent from
// the best sweep's labels and from the second sweep's. Of a task's results the one with the lowest
// objective stays, the first of equals.
void solve_batch(const std::vector<Task>& tasks, std::int64_t starts, const Settings& settings,
                 int threads);

}  // namespace comix::comixup
