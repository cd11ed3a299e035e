#include <limits>

#include "base/values.hpp"
#include "bindings/arrays.hpp"
#include "bindings/register.hpp"

namespace comix::bindings {

namespace {

// The GIL stays: these passes take microseconds.

template <class T>
bool finite(const Array<T>& values) {
    return all_finite(values.data(), values.size());
}

bool several_finite(const Array<double>& first, const Array<double>& second, const py::args& more) {
    bool good = finite(first) && finite(second);
    for (const auto& item : more) {
        if (!py::isinstance<Array<double>>(item))
            throw py::type_error("all_finite: expected contiguous float64 arrays");
        good = good && finite(py::reinterpret_borrow<Array<double>>(item));
    }
    return good;
}

template <class T>
bool within(const Array<T>& values, double low, double high) {
    if constexpr (std::is_same_v<T, float>) {
        // The bounds are compared as they are: false where rounding them would move them.
        const auto first = static_cast<float>(low), last = static_cast<float>(high);
        if (static_cast<double>(first) != low || static_cast<double>(last) != high) return false;
        return all_within(values.data(), values.size(), first, last);
    } else {
        return all_within(values.data(), values.size(), low, high);
    }
}

bool indices_within(const Array<std::int64_t>& values, std::int64_t low, std::int64_t high) {
    require(low <= high && (low >= 0 || high <= std::numeric_limits<std::int64_t>::max() + low),
            "low, high: expected low <= high, less than 2^63 apart");
    return all_within(values.data(), values.size(), low, high);
}

}  // namespace

void register_values(py::module_& module) {
    using py::arg;
    module.def("all_finite", &finite<double>, arg("values").noconvert());
    module.def("all_finite", &finite<float>, arg("values").noconvert());
    module.def("all_finite", &several_finite, arg("first").noconvert(), arg("second").noconvert());
    module.def("all_within", &within<float>, arg("values").noconvert(), arg("low"), arg("high"));
    module.def("all_within", &within<double>, arg("values").noconvert(), arg("low"), arg("high"));
    module.def("all_within", &indices_within, arg("values").noconvert(), arg("low"), arg("high"));
}

}  // namespace comix::bindings
