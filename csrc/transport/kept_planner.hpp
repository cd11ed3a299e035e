// A planner for one thread's share of a batch.
//
// A grid's tables cost as much as several plans, so a thread keeps its planner between calls; only
// planners of large grids, which hold megabytes, go with the call.
#pragma once

#include <memory>

#include "transport/transport.hpp"

namespace comix::transport {

class KeptPlanner {
  public:
    // To be used on the thread that makes it.
    explicit KeptPlanner(std::int64_t blocks)
        : own_(blocks > kKeptBlocks ? std::make_unique<Planner>() : nullptr),
          planner_(own_ ? own_.get() : &of_this_thread()) {}
    Planner* operator->() const { return planner_; }

  private:
    static constexpr std::int64_t kKeptBlocks = 1024;
    static Planner& of_this_thread() {
        thread_local Planner planner;
        return planner;
    }

    std::unique_ptr<Planner> own_;
    Planner* planner_;
};

}  // namespace comix::transport
