# comix._cuda: optional. COMIX_CUDA=AUTO builds it where nvcc works and never stops the build, ON
# insists, OFF does not look. CMAKE_CUDA_ARCHITECTURES chooses the devices.
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
# of the newest. enable_language would set its own default.
set(comix_architectures 75-real 80-real 86-real 89-real 90)
if(DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(comix_architectures ${CMAKE_CUDA_ARCHITECTURES})
elseif(DEFINED ENV{CUDAARCHS})
  set(comix_architectures $ENV{CUDAARCHS})
endif()

include(CheckLanguage)
check_language(CUDA)  # compiles and links, in a project of its own
if(NOT CMAKE_CUDA_COMPILER)
  comix_without_cuda("no working nvcc was found")
endif()
set(CMAKE_CUDA_ARCHITECTURES ${comix_architectures})
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 11.8)
  comix_without_cuda("nvcc is ${CMAKE_CUDA_COMPILER_VERSION}, 11.8 is needed")
endif()

add_library(comix_kernels STATIC
  cuda/gridcut/energy.cu
  cuda/puzzlemix/puzzlemix.cu
  cuda/comixup/objective.cu
  cuda/comixup/spot.cu
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
  CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static
  POSITION_INDEPENDENT_CODE ON CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

pybind11_add_module(_cuda
  cuda/bindings/module.cpp
  cuda/bindings/register_gridcut.cpp
  cuda/bindings/register_puzzlemix.cpp
  cuda/bindings/register_comixup.cpp
  cuda/bindings/register_mixing.cpp
)
target_link_libraries(_cuda PRIVATE comix_kernels)
set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
list(JOIN CMAKE_CUDA_ARCHITECTURES " " comix_architectures)
target_compile_definitions(_cuda PRIVATE
  COMIX_CUDA_VERSION="${CMAKE_CUDA_COMPILER_VERSION}"
  COMIX_CUDA_ARCHITECTURES="${comix_architectures}")
install(TARGETS _cuda DESTINATION comix)
message(STATUS "comix: CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${comix_architectures}")
