#include "cuda/puzzlemix/puzzlemix.hpp"

#include "base/errors.hpp"
#include "cuda/base/launch.cuh"
#include "cuda/puzzlemix/energy.hpp"
#include "cuda/puzzlemix/pool.hpp"

namespace comix::cuda::puzzlemix {

namespace {

constexpr int kThreads = 128;
// Pixels of a map that a team adds up by itself; more are shared out among all teams.
constexpr std::int64_t kSmallMap = 32 * kThreads;

template <class T>
__global__ void __launch_bounds__(kThreads)
    column_kernel(const Pool pool, const T* saliency, std::int64_t items) {
    for (std::int64_t item = first_item(); item < items; item += item_step())
        sum_column(pool, saliency, item);
}

__global__ void __launch_bounds__(kThreads)
    scale_kernel(const Pool pool, const double* saliency, std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    for_each_problem<Team>(pool.batch, bytes, [&](Team& team, std::int64_t b) {
        find_scale(team, pool, saliency, b);
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

// All steps in one, for small maps: a team has few pixels to add up.
template <class T, class Out>
__global__ void __launch_bounds__(kThreads)
    small_pool_kernel(const Pool pool, const T* saliency, Out* pooled, std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    for_each_problem<Team>(pool.batch, bytes, [&](Team& team, std::int64_t b) {
        pool_image(team, pool, saliency, b, pooled + b * pool.blocks());
    });
}

template <class T, class Out>
void pool_typed(const Stream& stream, const Pool& pool, const void* saliency, void* pooled) {
    const auto* maps = static_cast<const T*>(saliency);
    const std::size_t bytes = team_bytes(pool_shared(kThreads));
    if (pool.pixels() <= kSmallMap)
        return launch(stream, "pool_saliency", small_pool_kernel<T, Out>, blocks_for(pool.batch, 1),
                      kThreads, bytes, pool, maps, static_cast<Out*>(pooled), bytes);
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

using EnergyTeam = BlockTeam<256>;

__global__ void __launch_bounds__(EnergyTeam::size()) energy_kernel(const Energy energy) {
    for_each_problem<EnergyTeam>(energy.terms.batch, 0, [&](EnergyTeam& team, std::int64_t b) {
        write_energy(team, energy, b);
    });
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
            void* scratch, const Result& result) {
    const Energy energy(terms, scratch, result);
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
    launch(stream, "puzzlemix_energy", energy_kernel, blocks_for(terms.batch, 1),
           EnergyTeam::size(), 0, energy);
}

std::int64_t energy_scratch_bytes(const Terms& terms) {
    return Energy(terms, nullptr, Result()).scratch_bytes();
}

}  // namespace comix::cuda::puzzlemix
