// Device memory at the boundary: addresses as integers (tensor.data_ptr()), checked for what can be
// known without the device. Python checks shapes, dtypes, contiguity and devices; these checks
// guard the memory against wrong sizes.
#pragma once

#include <cstdint>
#include <string>

#include "base/dtype.hpp"
#include "base/errors.hpp"
#include "cuda/base/launch.hpp"

namespace comix::cuda::bindings {

using Address = std::uintptr_t;

// Memory of T at `address`; 0 is fine for nothing at all.
template <class T>
T* device_memory(Address address, std::int64_t count, const char* name) {
    require(address != 0 || count == 0, std::string(name) + ": expected device memory, got null");
    require(address % alignof(T) == 0, std::string(name) + ": expected aligned device memory");
    return reinterpret_cast<T*>(address);
}

// Memory of `bytes`-byte elements whose type the caller finds out.
inline void* device_memory(Address address, std::int64_t count, std::int64_t bytes,
                           const char* name) {
    require(address != 0 || count == 0, std::string(name) + ": expected device memory, got null");
    require(address % static_cast<Address>(bytes) == 0,
            std::string(name) + ": expected aligned device memory");
    return reinterpret_cast<void*>(address);
}

// A number type and the size of its numbers.
struct Type {
    Dtype dtype;
    std::int64_t bytes;
};

inline Type type_of(const std::string& name) {
    if (name == "float32") return {Dtype::float32, 4};
    if (name == "float64") return {Dtype::float64, 8};
    if (name == "float16") return {Dtype::float16, 2};
    if (name == "bfloat16") return {Dtype::bfloat16, 2};
    if (name == "uint8") return {Dtype::uint8, 1};
    throw InvalidArgument("dtype: expected a float or uint8 type, got '" + name + "'");
}

// A size that kernels keep in an int.
inline int small(std::int64_t size, const char* name) {
    require(size >= 1 && size < std::int64_t{1} << 31,
            std::string(name) + ": expected 1..2^31-1, got " + std::to_string(size));
    return static_cast<int>(size);
}

inline void require_sizes(bool fit, const char* what) {
    require(fit, std::string("sizes: expected ") + what);
}

inline Stream stream_of(int device, Address handle) {
    require(device >= 0, "device: expected an ordinal");
    return {device, reinterpret_cast<void*>(handle)};
}

}  // namespace comix::cuda::bindings
