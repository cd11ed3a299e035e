// Atomic operations on memory that the threads of one phase share, relaxed. On integers the final
// value does not depend on the order of the threads; the returned previous value does.
#pragma once

#include <cstdint>

#include "base/host_device.hpp"

namespace comix::cuda {

#if defined(__CUDA_ARCH__)

namespace detail {

__device__ inline unsigned long long* bits(std::int64_t* target) {
    return reinterpret_cast<unsigned long long*>(target);
}

}  // namespace detail

__device__ inline std::int32_t atomic_add(std::int32_t* target, std::int32_t value) {
    return atomicAdd(target, value);
}
__device__ inline std::int64_t atomic_add(std::int64_t* target, std::int64_t value) {
    return static_cast<std::int64_t>(
        atomicAdd(detail::bits(target), static_cast<unsigned long long>(value)));
}
__device__ inline std::int32_t atomic_min(std::int32_t* target, std::int32_t value) {
    return atomicMin(target, value);
}
__device__ inline std::int64_t atomic_min(std::int64_t* target, std::int64_t value) {
    return atomicMin(reinterpret_cast<long long*>(target), static_cast<long long>(value));
}
__device__ inline std::int32_t atomic_max(std::int32_t* target, std::int32_t value) {
    return atomicMax(target, value);
}
__device__ inline std::int64_t atomic_max(std::int64_t* target, std::int64_t value) {
    return atomicMax(reinterpret_cast<long long*>(target), static_cast<long long>(value));
}
__device__ inline std::int32_t atomic_or(std::int32_t* target, std::int32_t value) {
    return atomicOr(target, value);
}
// What other threads may be writing.
__device__ inline std::int32_t atomic_read(const std::int32_t* target) {
    return *const_cast<const volatile std::int32_t*>(target);
}
// Stores `value` if the target holds `expected`; returns what it held.
__device__ inline std::int32_t atomic_exchange_if(std::int32_t* target, std::int32_t expected,
                                                  std::int32_t value) {
    return atomicCAS(target, expected, value);
}
__device__ inline std::int64_t atomic_exchange_if(std::int64_t* target, std::int64_t expected,
                                                  std::int64_t value) {
    return static_cast<std::int64_t>(atomicCAS(detail::bits(target),
                                               static_cast<unsigned long long>(expected),
                                               static_cast<unsigned long long>(value)));
}

#else

// The host's, for tests (and for nvcc's pass over the host side, which never calls them). MSVC has
// no such builtins for plain memory; there the tests run one thread after the other.
namespace detail {

template <class T>
struct Same {
    using type = T;
};
template <class T>
using Value = typename Same<T>::type;  // the pointer alone decides the type

}  // namespace detail

template <class T>
COMIX_HD T atomic_read(const T* target) {
#if defined(_MSC_VER)
    return *target;
#else
    return __atomic_load_n(target, __ATOMIC_RELAXED);
#endif
}

template <class T>
COMIX_HD T atomic_exchange_if(T* target, detail::Value<T> expected, detail::Value<T> value) {
#if defined(_MSC_VER)
    const T before = *target;
    if (before == expected) *target = value;
    return before;
#else
    __atomic_compare_exchange_n(target, &expected, value, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    return expected;
#endif
}

namespace detail {

template <class T, class Update>
COMIX_HD T atomic_update(T* target, const Update& update) {
#if defined(_MSC_VER)
    T before = *target;
#else
    T before = __atomic_load_n(target, __ATOMIC_RELAXED);
#endif
    for (;;) {
        const T seen = atomic_exchange_if(target, before, update(before));
        if (seen == before) return before;
        before = seen;
    }
}

}  // namespace detail

template <class T>
COMIX_HD T atomic_add(T* target, detail::Value<T> value) {
    return detail::atomic_update(target, [=](T before) { return before + value; });
}
template <class T>
COMIX_HD T atomic_min(T* target, detail::Value<T> value) {
    return detail::atomic_update(target, [=](T before) { return value < before ? value : before; });
}
template <class T>
COMIX_HD T atomic_max(T* target, detail::Value<T> value) {
    return detail::atomic_update(target, [=](T before) { return before < value ? value : before; });
}
template <class T>
COMIX_HD T atomic_or(T* target, detail::Value<T> value) {
    return detail::atomic_update(target, [=](T before) { return before | value; });
}

#endif

}  // namespace comix::cuda
