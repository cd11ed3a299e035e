#include "cuda/puzzlemix/puzzlemix.hpp"

#include "base/errors.hpp"
#include "cuda/base/launch.cuh"
#include "cuda/puzzlemix/energy.hpp"
#include "cuda/puzzlemix/pool.hpp"

namespace comix::cuda::puzzlemix {

namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void __launch_bounds__(kThreads)
    column_kernel(const Pool pool, const T* saliency, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        sum_column(pool, saliency, item);
}

__global__ void __launch_bounds__(kThreads)
    scale_kernel(const Pool pool, const double* saliency, std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    const std::int64_t pixels = std::int64_t{pool.height} * pool.width;
    for_each_problem<Team>(pool.batch, bytes, [&](Team& team, std::int64_t b) {
        find_scale(team, saliency + b * pixels, pixels, pool.scale + b);
    });
}

template <class Out>
__global__ void __launch_bounds__(kThreads)
    normalise_kernel(const Pool pool, Out* pooled, std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    for_each_problem<Team>(pool.batch, bytes, [&](Team& team, std::int64_t b) {
        normalise(team, pool, b, pooled + b * pool.blocks());
    });
}

template <class T, class Out>
void pool_typed(const Stream& stream, const Pool& pool, const void* saliency, void* pooled) {
    const auto* maps = static_cast<const T*>(saliency);
    const std::size_t bytes = team_bytes(pool_shared(kThreads));
    if constexpr (std::is_same_v<T, double>)
        launch(stream, "pool_saliency (scale)", scale_kernel, blocks_for(pool.batch, 1), kThreads,
               bytes, pool, maps, bytes);
    const std::int64_t items = pool.column_items();
    launch(stream, "pool_saliency (columns)", column_kernel<T>, blocks_for(items, kThreads),
           kThreads, 0, pool, maps, items);
    launch(stream, "pool_saliency", normalise_kernel<Out>, blocks_for(pool.batch, 1), kThreads,
           bytes, pool, static_cast<Out*>(pooled), bytes);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    cell_kernel(const Energy energy, const T* images, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        measure_cell(energy, images, item);
}

__global__ void __launch_bounds__(kThreads) edge_kernel(const Energy energy, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        weigh_edge(energy, item);
}

__global__ void __launch_bounds__(kThreads) unary_kernel(const Energy energy, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        add_unary(energy, item);
}

template <class T>
void measure(const Stream& stream, const Energy& energy, const void* images) {
    const std::int64_t items = energy.cell_items();
    launch(stream, "puzzlemix_energy (cells)", cell_kernel<T>, blocks_for(items, kThreads),
           kThreads, 0, energy, static_cast<const T*>(images), items);
}

}  // namespace

void pool_saliency(const Stream& stream, Dtype dtype, const void* saliency, std::int64_t batch,
                   std::int64_t height, std::int64_t width, std::int64_t grid_height,
                   std::int64_t grid_width, void* scratch, void* pooled) {
    const Pool pool(batch, height, width, grid_height, grid_width, dtype == Dtype::float64,
                    scratch);
    switch (dtype) {
        case Dtype::float32:
            return pool_typed<float, float>(stream, pool, saliency, pooled);
        case Dtype::float64:
            return pool_typed<double, double>(stream, pool, saliency, pooled);
        case Dtype::float16:
            return pool_typed<Float16, float>(stream, pool, saliency, pooled);
        case Dtype::bfloat16:
            return pool_typed<BFloat16, float>(stream, pool, saliency, pooled);
        case Dtype::uint8:
            throw InvalidArgument("saliency: expected a floating type");
    }
}

std::int64_t pool_scratch_bytes(std::int64_t batch, std::int64_t width, std::int64_t grid_height,
                                std::int64_t grid_width) {
    return Pool::bytes(batch, width, grid_height, grid_width);
}

void energy(const Stream& stream, const Terms& terms, Dtype dtype, const void* images,
            void* scratch, double* unary, double* weight_v, double* weight_h) {
    const Energy energy(terms, scratch, unary, weight_v, weight_h);
    switch (dtype) {
        case Dtype::float32:
            measure<float>(stream, energy, images);
            break;
        case Dtype::float64:
            measure<double>(stream, energy, images);
            break;
        case Dtype::float16:
            measure<Float16>(stream, energy, images);
            break;
        case Dtype::bfloat16:
            measure<BFloat16>(stream, energy, images);
            break;
        case Dtype::uint8:
            measure<std::uint8_t>(stream, energy, images);
            break;
    }
    launch(stream, "puzzlemix_energy (edges)", edge_kernel,
           blocks_for(energy.edge_items(), kThreads), kThreads, 0, energy, energy.edge_items());
    launch(stream, "puzzlemix_energy", unary_kernel, blocks_for(energy.block_items(), kThreads),
           kThreads, 0, energy, energy.block_items());
}

std::int64_t energy_scratch_bytes(const Terms& terms) {
    return Energy(terms, nullptr, nullptr, nullptr, nullptr).scratch_bytes();
}

}  // namespace comix::cuda::puzzlemix
