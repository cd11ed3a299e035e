#include "augment/comixup_plan.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/index.hpp"
#include "base/threads.hpp"
#include "base/values.hpp"
#include "comixup/batch.hpp"
#include "comixup/spot.hpp"
#include "puzzlemix/pool.hpp"

namespace comix::augment {

template <class S>
std::int64_t comixup_plan(const CoMixupBatch<S>& batch, const mixing::PlanOutput& plan,
                          int threads) {
    const std::int64_t blocks = batch.blocks(), pixels = batch.height * batch.width;
    std::vector<double> cost(at(batch.batch * blocks));
    std::vector<std::int64_t> spots(at(batch.batch * 2));
    std::atomic<bool> usable{true};
    const auto look = [&] {
        return [&,
                pooler = puzzlemix::Pooler<S>(batch.height, batch.width, batch.grid_height,
                                              batch.grid_width),
                finder = comixup::SpotFinder<S>(),
                pooled = std::vector<S>(at(blocks))](std::int64_t i) mutable {
            const S* map = batch.saliency + i * pixels;
            if (!pooler.pool(map, pooled.data())) usable.store(false, std::memory_order_relaxed);
            std::transform(pooled.begin(), pooled.end(), cost.begin() + i * blocks,
                           [&](S block) { return batch.prior[i] - static_cast<double>(block); });
            const comixup::Spot spot = finder.find(map, batch.height, batch.width,
                                                   batch.window_height, batch.window_width);
            spots[at(2 * i)] = spot.row;
            spots[at(2 * i + 1)] = spot.column;
        };
    };
    parallel_for_small(batch.batch, threads, look, comixup::spots_per_chunk(pixels));
    if (!usable || !all_finite(cost.data(), batch.batch * blocks)) return -1;

    std::vector<comixup::Task> tasks;
    std::vector<double> matrices(at(batch.batch * std::min(batch.partition, batch.batch)));
    for (std::int64_t begin = 0; begin < batch.batch; begin += batch.partition) {
        const std::int64_t n = std::min(batch.partition, batch.batch - begin);
        double* matrix = matrices.data() + begin * batch.partition;
        comixup::compatibility(spots.data() + begin * 2, n, batch.omega, matrix);
        comixup::Task task;
        task.partition.inputs = task.partition.outputs = static_cast<int>(n);
        task.partition.height = static_cast<int>(batch.grid_height);
        task.partition.width = static_cast<int>(batch.grid_width);
        task.partition.cost = cost.data() + begin * blocks;
        task.partition.compatibility = matrix;
        task.init = batch.init + begin * batch.starts * blocks;
        task.labels = plan.source + begin * blocks * 2;
        tasks.push_back(task);
    }
    comixup::solve_batch(tasks, batch.starts, batch.settings, threads);

    std::int64_t largest = 0;
    for (std::int64_t o = 0; o < batch.batch; ++o) {
        const std::int64_t first = o / batch.partition * batch.partition;
        const std::int64_t* labels = plan.source + o * blocks * 2;
        largest = std::max(largest, mixing::label_entries(o, labels, first, blocks, plan));
    }
    return largest;
}

template std::int64_t comixup_plan(const CoMixupBatch<float>&, const mixing::PlanOutput&, int);
template std::int64_t comixup_plan(const CoMixupBatch<double>&, const mixing::PlanOutput&, int);

}  // namespace comix::augment
