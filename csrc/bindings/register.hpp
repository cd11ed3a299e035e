#pragma once

#include <pybind11/pybind11.h>

namespace comix::bindings {

void register_gridcut(pybind11::module_& module);
void register_graph(pybind11::module_& module);
void register_puzzlemix(pybind11::module_& module);
void register_comixup(pybind11::module_& module);
void register_transport(pybind11::module_& module);
void register_mixing(pybind11::module_& module);
void register_plans(pybind11::module_& module);
void register_augment(pybind11::module_& module);
void register_values(pybind11::module_& module);

}  // namespace comix::bindings
