// Where a kernel runs, and what goes wrong there. For host code: no CUDA header needed.
#pragma once

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

}  // namespace comix::cuda
