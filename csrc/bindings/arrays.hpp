// NumPy arrays at the boundary: checked for dtype, layout and shape, then seen as plain views.
//
// Arrays are never converted or copied here: an argument of another dtype is a TypeError. Python
// explains errors in the user's terms before it comes to this; these checks guard the memory.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "base/errors.hpp"
#include "base/view.hpp"

namespace comix::bindings {

namespace py = pybind11;

// A C-contiguous array of exactly this dtype; bind with py::arg(...).noconvert().
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T, int Rank>
View<const T, Rank> view(const Array<T>& array, const char* name) {
    require(array.ndim() == Rank, std::string(name) + ": expected " + std::to_string(Rank) +
                                      " dimensions, got " + std::to_string(array.ndim()));
    View<const T, Rank> result;
    result.data = array.data();
    for (int axis = 0; axis < Rank; ++axis)
        result.shape[static_cast<std::size_t>(axis)] = array.shape(axis);
    return result;
}

// An output that Python allocated.
template <class T, int Rank>
View<T, Rank> output(Array<T>& array, const char* name) {
    const auto input = view<T, Rank>(array, name);
    View<T, Rank> result;
    result.data = array.mutable_data();  // throws when the array is read-only
    result.shape = input.shape;
    return result;
}

template <int Rank>
void require_shape(const std::array<std::int64_t, Rank>& shape,
                   const std::array<std::int64_t, Rank>& expected, const char* name) {
    if (shape == expected) return;
    const auto text = [](const std::array<std::int64_t, Rank>& extents) {
        std::string out = "[";
        for (const auto extent : extents)
            out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
        return out + "]";
    };
    throw InvalidArgument(std::string(name) + ": expected shape " + text(expected) + ", got " +
                          text(shape));
}

}  // namespace comix::bindings
