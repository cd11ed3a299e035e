#include "cuda/comixup/spot.hpp"

#include <string>

#include "base/errors.hpp"
#include "cuda/base/launch.cuh"
#include "cuda/comixup/comixup.hpp"

namespace comix::cuda::comixup {

namespace {

constexpr int kThreads = 128;
constexpr int kMostColumns = 4096;  // in the 48 KiB of shared memory that every device has

template <class T>
__global__ void __launch_bounds__(kThreads) row_kernel(const SpotMap<T> map, std::int64_t rows,
                                                       int columns, Spot* best, std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    for_each_problem<Team>(rows, bytes, [&](Team& team, std::int64_t i) {
        const std::int64_t image = i / map.rows();
        SpotMap<T> own = map;
        own.values += image * map.height * map.width;
        best_in_row(team, own, static_cast<int>(i - image * map.rows()), columns, best + i);
    });
}

__global__ void __launch_bounds__(kThreads)
    spot_kernel(const Spot* best, std::int64_t count, int rows, int width, std::int64_t* spots,
                std::size_t bytes) {
    using Team = BlockTeam<kThreads>;
    for_each_problem<Team>(count, bytes, [&](Team& team, std::int64_t i) {
        best_row(team, best + i * rows, rows, width, spots + 2 * i);
    });
}

}  // namespace

template <class T>
void salient_spots(const Stream& stream, const T* maps, std::int64_t count, std::int64_t height,
                   std::int64_t width, std::int64_t window_height, std::int64_t window_width,
                   void* scratch, std::int64_t* spots) {
    require(window_height >= 1 && window_height <= height && window_width >= 1 &&
                window_width <= width && height * width < std::int64_t{1} << 31,
            "window: expected one that fits the map, and maps of fewer than 2^31 pixels");
    require(2 * window_width <= kMostColumns,
            "window: expected at most " + std::to_string(kMostColumns / 2) +
                " columns on CUDA, got " + std::to_string(window_width));
    const SpotMap<T> map{maps, static_cast<int>(height), static_cast<int>(width),
                         static_cast<int>(window_height), static_cast<int>(window_width)};
    const int columns = spot_columns(map.window_width);
    auto* best = static_cast<Spot*>(scratch);
    const std::size_t bytes = team_bytes(spot_row_shared(kThreads, columns));
    launch(stream, "salient_spots (rows)", row_kernel<T>, blocks_for(count * map.rows(), 1),
           kThreads, bytes, map, count * map.rows(), columns, best, bytes);
    const std::size_t row_bytes = team_bytes(spot_shared(kThreads));
    launch(stream, "salient_spots", spot_kernel, blocks_for(count, 1), kThreads, row_bytes, best,
           count, map.rows(), map.width, spots, row_bytes);
}

template void salient_spots(const Stream&, const float*, std::int64_t, std::int64_t, std::int64_t,
                            std::int64_t, std::int64_t, void*, std::int64_t*);
template void salient_spots(const Stream&, const double*, std::int64_t, std::int64_t, std::int64_t,
                            std::int64_t, std::int64_t, void*, std::int64_t*);

std::int64_t spot_scratch_bytes(std::int64_t count, std::int64_t height,
                                std::int64_t window_height) {
    return count * (height - window_height + 1) * static_cast<std::int64_t>(sizeof(Spot));
}

}  // namespace comix::cuda::comixup
