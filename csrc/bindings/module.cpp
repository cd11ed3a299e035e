// comix._core: one register_* per domain.
#include <pybind11/pybind11.h>

#include "bindings/register.hpp"

namespace py = pybind11;

#if defined(__clang__)
#define COMIX_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMIX_COMPILER "gcc " __VERSION__
#elif defined(_MSC_VER)
#define COMIX_COMPILER "msvc"
#else
#define COMIX_COMPILER "unknown"
#endif

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
#if defined(__SSE4_2__) && defined(__GNUC__)
    // Better an error on import than an illegal instruction in the middle of training.
    if (!__builtin_cpu_supports("sse4.2"))
        throw py::import_error("comix was built for " COMIX_SIMD
                               ", which this processor is not: build it from source here");
#endif
    module.doc() = "Compiled solvers of comix. Private: use the functions of the comix package.";
    comix::bindings::register_gridcut(module);
    comix::bindings::register_graph(module);
    comix::bindings::register_puzzlemix(module);
    comix::bindings::register_comixup(module);
    comix::bindings::register_transport(module);
    comix::bindings::register_mixing(module);
    comix::bindings::register_plans(module);
    comix::bindings::register_augment(module);
    comix::bindings::register_values(module);
    module.def("build_info", [] {
        py::dict info;
        info["version"] = COMIX_VERSION;
        info["compiler"] = COMIX_COMPILER;
        info["build_type"] = COMIX_BUILD_TYPE;
        info["simd"] = COMIX_SIMD;
        return info;
    });
}
