// Included before every kernel: from here on the host compiler counts as nvcc in its pass over the
// device's side, so that kernels, their teams and their barriers are compiled.
#pragma once

#include "cuda_runtime.h"

#define __CUDACC__ 1

// Before the next line: on a device this header uses PTX instructions. What the host computes
// instead gives the same bits, as its tests say.
#include "base/half.hpp"

#define __CUDA_ARCH__ 900
