// COMIX_HD marks what runs on the CPU and inside CUDA kernels. Without nvcc it is nothing.
#pragma once

#if defined(__CUDACC__)
#define COMIX_HD __host__ __device__
#else
#define COMIX_HD
#endif
