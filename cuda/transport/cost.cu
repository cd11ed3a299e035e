#include "cuda/transport/cost.hpp"

#include "cuda/base/launch.cuh"
#include "cuda/transport/layout.hpp"
#include "cuda/transport/transport.hpp"

namespace comix::cuda::transport {

namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void __launch_bounds__(kThreads)
    cost_kernel(const Grid grid, const T* saliency, const T* mask, const std::int64_t* plan,
                std::int64_t count, double* cost, std::size_t bytes) {
    for_each_problem<WarpTeam>(count, bytes, [&](WarpTeam& team, std::int64_t i) {
        const std::int64_t first = i * grid.blocks();
        plan_cost(team, grid, Maps<T>{saliency + first, mask + first}, plan + first, cost + i);
    });
}

}  // namespace

template <class T>
void transport_cost(const Stream& stream, const Batch<T>& batch, const std::int64_t* plan,
                    double* cost) {
    const Grid grid = checked_grid(batch.height, batch.width, batch.eps);
    constexpr int teams = kThreads / WarpTeam::size();
    const std::size_t bytes = team_bytes(cost_shared(WarpTeam::size()));
    launch(stream, "transport_cost", cost_kernel<T>, blocks_for(batch.count, teams), kThreads,
           teams * bytes, grid, batch.saliency, batch.mask, plan, batch.count, cost, bytes);
}

template void transport_cost(const Stream&, const Batch<float>&, const std::int64_t*, double*);
template void transport_cost(const Stream&, const Batch<double>&, const std::int64_t*, double*);

}  // namespace comix::cuda::transport
