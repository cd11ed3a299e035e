// comix._cuda: one register_* per domain. Needs no driver to be imported.
#include <pybind11/pybind11.h>

#include "cuda/bindings/register.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_cuda, module, py::mod_gil_not_used()) {
    module.doc() = "CUDA kernels of comix. Private: use the functions of the comix package.";
    comix::cuda::bindings::register_gridcut(module);
    comix::cuda::bindings::register_puzzlemix(module);
    comix::cuda::bindings::register_comixup(module);
    comix::cuda::bindings::register_transport(module);
    comix::cuda::bindings::register_mixing(module);
    module.def("build_info", [] {
        py::dict info;
        info["cuda"] = COMIX_CUDA_VERSION;
        info["architectures"] = COMIX_CUDA_ARCHITECTURES;
        return info;
    });
}
