// Where a kernel runs, and what goes wrong there. For host code: no CUDA header needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace comix::cuda {

// A device by its ordinal, and a stream of it (a cudaStream_t; nullptr: the default stream).
struct Stream {
    int device = 0;
    void* handle = nullptr;
};

// A call of the CUDA runtime failed: no driver, no such device, a broken launch.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Shared memory of a block: what every kernel may have, and what it may have when it asks.
// (Turing's 64 KiB are the least of all.)
constexpr std::size_t kPlainShared = 48 * 1024, kAskedShared = 64 * 1024;

// Kernels walk over their items in steps of the grid's size, so that any number of items works.
// Only the first dimension of grids is used, which ends at 2^31 - 1 blocks (the others at 65535).
inline unsigned blocks_for(std::int64_t items, int per_block) {
    constexpr std::int64_t kMost = std::int64_t{1} << 30;
    const std::int64_t blocks = items / per_block + (items % per_block != 0);
    return static_cast<unsigned>(blocks < kMost ? blocks : kMost);
}

}  // namespace comix::cuda
