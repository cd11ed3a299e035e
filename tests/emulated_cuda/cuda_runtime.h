// Stands in for the header of the CUDA toolkit, so that a host compiler takes the kernels of cuda/
// and what launches them as they are. Written from the CUDA C++ Programming Guide and the Runtime
// API reference; only what comix uses is there. runtime.cpp says what such a device can show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <type_traits>

// --- the language -------------------------------------------------------------------------------

#define __host__
#define __device__
#define __global__
#define __shared__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

namespace comix_emulated {

struct Index {
    unsigned x;  // the one dimension that kernels use
};

}  // namespace comix_emulated

extern comix_emulated::Index threadIdx, blockIdx, blockDim, gridDim;

// Barriers are known by where they are called: all threads have to be at the same one.
void __syncthreads(int line = __builtin_LINE());
void __syncwarp(int line = __builtin_LINE());

inline int __popc(unsigned word) {
    return __builtin_popcount(word);
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}

// Fibers switch at barriers only, so nothing comes between reading and writing. Who watches
// is told, where somebody does (watch.hpp).
#if defined(__SANITIZE_THREAD__)
#define COMIX_EMULATED_UPDATE __attribute__((noinline, no_sanitize("thread")))
#define COMIX_EMULATED_ATOMIC inline __attribute__((always_inline))
#else
#define COMIX_EMULATED_UPDATE
#define COMIX_EMULATED_ATOMIC inline
#endif

namespace comix_emulated {

void watch_update(const void* target, std::size_t bytes, const void* caller);

template <class T, class Update>
COMIX_EMULATED_UPDATE T update(T* target, const Update& updated) {
#if defined(__SANITIZE_THREAD__)
    watch_update(target, sizeof(T), __builtin_return_address(0));
#endif
    const T before = *target;
    *target = updated(before);
    return before;
}

}  // namespace comix_emulated

template <class T>
COMIX_EMULATED_ATOMIC T atomicAdd(T* target, T value) {
    return comix_emulated::update(target, [=](T now) { return static_cast<T>(now + value); });
}
template <class T>
COMIX_EMULATED_ATOMIC T atomicMin(T* target, T value) {
    return comix_emulated::update(target, [=](T now) { return value < now ? value : now; });
}
template <class T>
COMIX_EMULATED_ATOMIC T atomicMax(T* target, T value) {
    return comix_emulated::update(target, [=](T now) { return now < value ? value : now; });
}
template <class T>
COMIX_EMULATED_ATOMIC T atomicOr(T* target, T value) {
    return comix_emulated::update(target, [=](T now) { return now | value; });
}
template <class T>
COMIX_EMULATED_ATOMIC T atomicCAS(T* target, T expected, T value) {
    return comix_emulated::update(target, [=](T now) { return now == expected ? value : now; });
}

// --- the runtime --------------------------------------------------------------------------------

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevice = 101,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorLaunchFailure = 719,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

// A stream of device d has the handle (d + 1) << 12.
using cudaStream_t = struct CUstream_st*;

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t status);
const char* cudaGetErrorName(cudaError_t status);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);

namespace comix_emulated {

using Kernel = void (*)();  // a name for any kernel: never called as such

cudaError_t allow_shared(Kernel kernel, int bytes);
void run(Kernel kernel, unsigned blocks, unsigned threads, std::size_t shared, cudaStream_t stream,
         const std::function<void()>& thread);

// kernel<<<blocks, threads, shared, stream>>>(arguments...), which is no C++: CMakeLists.txt writes
// this call in its place.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, std::size_t shared,
            cudaStream_t stream, const Arguments&... arguments) {
    const std::tuple<Parameters...> values(arguments...);
    run(reinterpret_cast<Kernel>(kernel), blocks, threads, shared, stream,
        [&] { std::apply(kernel, values); });
}

}  // namespace comix_emulated

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int value) {
    return comix_emulated::allow_shared(reinterpret_cast<comix_emulated::Kernel>(kernel), value);
}
