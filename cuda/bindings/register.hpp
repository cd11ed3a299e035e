#pragma once

#include <pybind11/pybind11.h>

namespace comix::cuda::bindings {

void register_mixing(pybind11::module_& module);

}  // namespace comix::cuda::bindings
