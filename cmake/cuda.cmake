# comix._cuda: optional. COMIX_CUDA=AUTO builds it where nvcc works and never stops the build, ON
# insists, OFF does not look.
if(NOT COMIX_CUDA)
  return()
endif()
if(NOT COMIX_CUDA MATCHES "^(AUTO|ON|TRUE|YES|1)$")
  message(FATAL_ERROR "COMIX_CUDA: expected AUTO, ON or OFF, got '${COMIX_CUDA}'")
endif()

# Says why there will be no module: an error under ON, a line under AUTO.
macro(comix_without_cuda reason)
  if(COMIX_CUDA STREQUAL "AUTO")
    message(STATUS "comix: CPU only (${reason})")
    return()
  endif()
  message(FATAL_ERROR "COMIX_CUDA=${COMIX_CUDA}, but ${reason}")
endmacro()

# A wheel runs on Turing to Hopper without compiling anything, and on what comes later from the PTX
# of the newest. CMAKE_CUDA_ARCHITECTURES (or the environment's CUDAARCHS) wins.
set(COMIX_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90 CACHE STRING
  "Devices to build for where CMAKE_CUDA_ARCHITECTURES does not say")
# enable_language leaves nvcc's default in the cache, where a second run must not take it for a wish.
if(DEFINED ENV{CUDAARCHS} OR (DEFINED CMAKE_CUDA_ARCHITECTURES AND
   NOT CMAKE_CUDA_ARCHITECTURES STREQUAL COMIX_CUDA_NVCC_DEFAULT))
  set(comix_architectures_given TRUE)
endif()

include(CheckLanguage)
check_language(CUDA)  # compiles and links, in a project of its own
if(NOT CMAKE_CUDA_COMPILER)
  comix_without_cuda("no working nvcc was found")
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 11.8)
  comix_without_cuda("nvcc is ${CMAKE_CUDA_COMPILER_VERSION}, 11.8 is needed")
endif()
if(NOT comix_architectures_given)
  set(COMIX_CUDA_NVCC_DEFAULT "${CMAKE_CUDA_ARCHITECTURES}" CACHE INTERNAL "")
  set(CMAKE_CUDA_ARCHITECTURES ${COMIX_CUDA_ARCHITECTURES})
endif()
# What is missing here would otherwise stop the build later: an architecture that this nvcc does
# not know, C++17, the static runtime.
include(CheckSourceCompiles)
string(MAKE_C_IDENTIFIER "COMIX_CUDA_WORKS_${CMAKE_CUDA_ARCHITECTURES}" comix_cuda_works)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
check_source_compiles(CUDA "
  #include <cuda_runtime.h>
  template <int N> __global__ void kernel(int* out) { if constexpr (N > 0) *out = N; }
  int main() { kernel<1><<<1, 1>>>(nullptr); return cudaGetLastError() != cudaSuccess; }
" ${comix_cuda_works})
if(NOT ${comix_cuda_works})
  comix_without_cuda(
    "nvcc ${CMAKE_CUDA_COMPILER_VERSION} cannot build for ${CMAKE_CUDA_ARCHITECTURES}")
endif()

add_library(comix_kernels STATIC
  cuda/gridcut/energy.cu
  cuda/gridcut/cutter.cu
  cuda/puzzlemix/puzzlemix.cu
  cuda/comixup/objective.cu
  cuda/comixup/spot.cu
  cuda/transport/plan.cu
  cuda/transport/cost.cu
  cuda/comixup/labeller.cu
  cuda/comixup/improve.cu
  cuda/comixup/method_labeller.cu
  cuda/mixing/mixing.cu
)
target_include_directories(comix_kernels PUBLIC ${PROJECT_SOURCE_DIR} csrc)
target_compile_features(comix_kernels PUBLIC cxx_std_17)
# No fused multiply-add: the same results as the CPU. Host and device share constexpr functions.
target_compile_options(comix_kernels PRIVATE --fmad=false --expt-relaxed-constexpr)
if(COMIX_WERROR)
  target_compile_options(comix_kernels PRIVATE --Werror all-warnings)
endif()
set_target_properties(comix_kernels PROPERTIES
  CUDA_STANDARD_REQUIRED ON
  POSITION_INDEPENDENT_CODE ON CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

pybind11_add_module(_cuda
  cuda/bindings/module.cpp
  cuda/bindings/register_gridcut.cpp
  cuda/bindings/register_puzzlemix.cpp
  cuda/bindings/register_comixup.cpp
  cuda/bindings/register_transport.cpp
  cuda/bindings/register_mixing.cpp
)
target_link_libraries(_cuda PRIVATE comix_kernels)
list(JOIN CMAKE_CUDA_ARCHITECTURES " " comix_architectures)
target_compile_definitions(_cuda PRIVATE
  COMIX_CUDA_VERSION="${CMAKE_CUDA_COMPILER_VERSION}"
  COMIX_CUDA_ARCHITECTURES="${comix_architectures}")
install(TARGETS _cuda DESTINATION comix)
message(STATUS "comix: CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${comix_architectures}")
