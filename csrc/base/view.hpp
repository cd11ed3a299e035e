// Views of memory that somebody else owns: a pointer and a row-major shape, no ownership, no copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace comix {

// A contiguous row-major array of `Rank` dimensions. `view[i]` is the sub-view at index i of the
// first axis (a reference to the element when Rank is 1). Indices are not checked.
template <class T, int Rank>
struct View {
    T* data = nullptr;
    std::array<std::int64_t, Rank> shape{};

    std::int64_t size() const {
        std::int64_t n = 1;
        for (const auto extent : shape) n *= extent;
        return n;
    }

    decltype(auto) operator[](std::int64_t i) const {
        if constexpr (Rank == 1) {
            return static_cast<T&>(data[i]);
        } else {
            View<T, Rank - 1> sub;
            std::int64_t stride = 1;
            for (int axis = 1; axis < Rank; ++axis) {
                sub.shape[axis - 1] = shape[axis];
                stride *= shape[axis];
            }
            sub.data = data + i * stride;
            return sub;
        }
    }
};

}  // namespace comix
