#include "cuda/base/launch.cuh"
#include "cuda/transport/layout.hpp"
#include "cuda/transport/transport.hpp"

namespace comix::cuda::transport {

namespace {

// One problem of a batch.
template <class T>
struct Problems {
    const T* saliency;
    const T* mask;
    std::int64_t* plan;

    __device__ Maps<T> maps(std::int64_t first) const { return {saliency + first, mask + first}; }
};

// One team per block of the launch, so the block's number is that of its slot.
struct Slots {
    unsigned char* begin;
    std::int64_t bytes;

    __device__ GlobalMemory own() const { return GlobalMemory(begin + blockIdx.x * bytes); }
};

template <class Team, class T>
__global__ void __launch_bounds__(Team::size())
    exact_kernel(const Grid grid, const Problems<T> problems, std::int64_t count,
                 std::size_t bytes) {
    for_each_problem<Team>(count, bytes, [&](Team& team, std::int64_t i) {
        const std::int64_t first = i * grid.blocks();
        Exact<Team, SharedMemory<Team>> exact(team, SharedMemory<Team>(team), grid);
        exact.solve(problems.maps(first), problems.plan + first);
    });
}

template <class Team, class T>
__global__ void __launch_bounds__(Team::size())
    large_exact_kernel(const Grid grid, const Problems<T> problems, std::int64_t count,
                       std::size_t bytes, const Slots slots) {
    for_each_problem<Team>(count, bytes, [&](Team& team, std::int64_t i) {
        const std::int64_t first = i * grid.blocks();
        Exact<Team, GlobalMemory> exact(team, slots.own(), grid);
        exact.solve(problems.maps(first), problems.plan + first);
    });
}

enum class Where { shared, penalties_global, global };

template <Where where, class Team, class T>
__global__ void __launch_bounds__(Team::size())
    greedy_kernel(const Grid grid, const Problems<T> problems, std::int64_t count,
                  std::size_t bytes, const Slots slots) {
    for_each_problem<Team>(count, bytes, [&](Team& team, std::int64_t i) {
        const std::int64_t first = i * grid.blocks();
        const auto solve = [&](auto greedy) {
            greedy.solve(problems.maps(first), problems.plan + first);
        };
        using Shared = SharedMemory<Team>;
        if constexpr (where == Where::shared) {
            Shared memory(team);
            solve(Greedy<Team, Shared&, Shared&>(team, memory, memory, grid));
        } else if constexpr (where == Where::penalties_global) {
            Shared memory(team);
            GlobalMemory penalties = slots.own();
            solve(Greedy<Team, Shared&, GlobalMemory&>(team, memory, penalties, grid));
        } else {
            GlobalMemory memory = slots.own();
            solve(Greedy<Team, GlobalMemory&, GlobalMemory&>(team, memory, memory, grid));
        }
    });
}

template <class T>
void launch_exact(const Stream& stream, const Grid& grid, const Problems<T>& problems,
                  std::int64_t count, void* scratch) {
    const Layout layout = exact_layout(grid.blocks());
    const unsigned blocks = blocks_for(layout.slots(count), 1);
    const auto run = [&](auto kernel, const auto&... more) {
        launch(stream, "transport_plan (exact)", kernel, blocks, layout.threads, layout.shared,
               grid, problems, count, layout.shared, more...);
    };
    if (!layout.arrays_shared)
        run(large_exact_kernel<BlockTeam<kLargeThreads>, T>,
            Slots{static_cast<unsigned char*>(scratch), layout.global});
    else if (layout.threads == WarpTeam::size())
        run(exact_kernel<WarpTeam, T>);
    else
        run(exact_kernel<BlockTeam<kExactThreads>, T>);
}

template <class T>
void launch_greedy(const Stream& stream, const Grid& grid, const Problems<T>& problems,
                   std::int64_t count, void* scratch) {
    using Team = BlockTeam<kGreedyThreads>;
    const Layout layout = greedy_layout(grid.blocks(), grid.side());
    const Slots slots{static_cast<unsigned char*>(scratch), layout.global};
    const auto run = [&](auto kernel) {
        launch(stream, "transport_plan (greedy)", kernel, blocks_for(layout.slots(count), 1),
               layout.threads, layout.shared, grid, problems, count, layout.shared, slots);
    };
    if (!layout.arrays_shared)
        run(greedy_kernel<Where::global, BlockTeam<kLargeThreads>, T>);
    else if (layout.global > 0)
        run(greedy_kernel<Where::penalties_global, Team, T>);
    else
        run(greedy_kernel<Where::shared, Team, T>);
}

}  // namespace

template <class T>
void transport_plan(const Stream& stream, const Batch<T>& batch, Method method, void* scratch,
                    std::int64_t* plan) {
    const Grid grid = checked_grid(batch.height, batch.width, batch.eps);
    const Problems<T> problems{batch.saliency, batch.mask, plan};
    method == Method::exact ? launch_exact(stream, grid, problems, batch.count, scratch)
                            : launch_greedy(stream, grid, problems, batch.count, scratch);
}

template void transport_plan(const Stream&, const Batch<float>&, Method, void*, std::int64_t*);
template void transport_plan(const Stream&, const Batch<double>&, Method, void*, std::int64_t*);

std::int64_t plan_scratch_bytes(std::int64_t count, std::int64_t height, std::int64_t width,
                                Method method) {
    const Grid grid = checked_grid(height, width, 0.0);
    const Layout layout = method == Method::exact ? exact_layout(grid.blocks())
                                                  : greedy_layout(grid.blocks(), grid.side());
    return layout.slots(count) * layout.global;
}

}  // namespace comix::cuda::transport
