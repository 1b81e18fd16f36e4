# The CUDA backend: finds nvcc and the toolkit, and teaches CMake what a CUDA source needs.
#   atom_cuda_sources(TARGET)     adds kernels/cuda/**.cu to the module
#   atom_cuda_programs(FOLDER)    cuda_tests of every *_test.{cc,cu} of tests/FOLDER, and one program
#                                 cuda_NAME_bench of every NAME_bench.cc; the other sources of the
#                                 folder belong to all of them
#   atom_cuda_model_tests(SOURCE)   cuda_model_tests: whole models
#   atom_cuda_engine_tests(FOLDER)  cuda_engine_tests: the engine's tests, on the GPU
# Included only with ATOM_CUDA.

set(ATOM_CUDA_ARCHITECTURES "90a-real" CACHE STRING
    "architectures that CUDA sources are compiled for, as CMAKE_CUDA_ARCHITECTURES")
set(ATOM_CUDA_DEBUG OFF CACHE BOOL "keep source lines in device code, for profilers and sanitizers")

# nvcc is often installed but not in the PATH.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(ATOM_NVCC nvcc HINTS ${CUDAToolkit_ROOT}/bin /usr/local/cuda/bin REQUIRED)
  set(CMAKE_CUDA_COMPILER ${ATOM_NVCC})
endif()
set(CMAKE_CUDA_ARCHITECTURES ${ATOM_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
  message(FATAL_ERROR "ATOM_CUDA needs nvcc 12.8 or newer; ${CMAKE_CUDA_COMPILER} is "
                      "${CMAKE_CUDA_COMPILER_VERSION}.")
endif()
# CMake 3.25 does not know that nvcc 13 has C++20 and would drop the standard without a word.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
find_package(CUDAToolkit 12.8 REQUIRED)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

# Options of .cu files only; atom_flags carries those of C++ sources. Without GNU unique symbols, two
# modules of the same templates in one process do not share their function-local statics.
add_library(atom_cuda_flags INTERFACE)
target_link_libraries(atom_cuda_flags INTERFACE CUDA::cudart_static)
# nvcc cannot compile fmt's checks of format strings, so .cu files return cudaError_t, and .cc files
# make sentences of them.
set(cuda_options --expt-relaxed-constexpr -Werror=all-warnings
    -Xcompiler=-Wall,-Wextra,-Werror,-fno-gnu-unique)
if(ATOM_CUDA_DEBUG)
  list(APPEND cuda_options -lineinfo)
endif()
target_compile_options(atom_cuda_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_options}>")

# The s4 tile is compiled for the cards that have 4-bit tensor cores, too.
set(ATOM_CUDA_S4_ARCHITECTURES "80-real;86-real;89-real" CACHE STRING
    "architectures besides that the s4 GEMM is compiled for")

function(atom_cuda_sources target)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda/*.cu)
  set(s4_sources ${sources})
  list(FILTER s4_sources INCLUDE REGEX "/gemm/s4/")
  list(REMOVE_ITEM sources ${s4_sources})
  add_library(atom_s4 OBJECT ${s4_sources})
  target_link_libraries(atom_s4 PRIVATE atom_flags atom_cuda_flags)
  set_target_properties(atom_s4 PROPERTIES CUDA_ARCHITECTURES
                        "${ATOM_CUDA_S4_ARCHITECTURES};${ATOM_CUDA_ARCHITECTURES}")
  target_sources(${target} PRIVATE ${sources} $<TARGET_OBJECTS:atom_s4>)
  target_link_libraries(${target} PUBLIC atom_cuda_flags)
endfunction()

function(atom_cuda_programs folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cc
       ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cu)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$|_test\\.cu$")
  set(benches ${sources})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(REMOVE_ITEM sources ${tests} ${benches})
  set(shared)
  if(sources)
    add_library(atom_cuda_inputs STATIC ${sources})
    target_link_libraries(atom_cuda_inputs PUBLIC atom_kernels GTest::gtest)
    target_include_directories(atom_cuda_inputs PUBLIC ${PROJECT_SOURCE_DIR})
    set(shared atom_cuda_inputs)
  endif()
  add_executable(cuda_tests ${tests})
  target_link_libraries(cuda_tests PRIVATE GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME cuda COMMAND cuda_tests)
  set(programs cuda_tests)
  foreach(source ${benches})
    get_filename_component(name ${source} NAME_WE)
    add_executable(cuda_${name} ${source})
    list(APPEND programs cuda_${name})
  endforeach()
  foreach(program ${programs})
    target_link_libraries(${program} PRIVATE ${shared} atom_kernels)
    atom_cuda_program(${program})
  endforeach()
  add_custom_target(cuda_programs DEPENDS ${programs})
endfunction()

function(atom_cuda_program program)
  target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR})
  # What a program does not use need not be there where it runs.
  target_link_options(${program} PRIVATE -Wl,--as-needed)
  # Copied to a machine with a GPU, it finds what is copied beside it (scripts/gpu-check --install).
  set_target_properties(${program} PROPERTIES BUILD_RPATH "$ORIGIN"
                        INSTALL_RPATH "$ORIGIN;$ORIGIN/../lib")
endfunction()

function(atom_cuda_model_tests source)
  add_executable(cuda_model_tests ${source})
  target_link_libraries(cuda_model_tests PRIVATE atom_model GTest::gtest GTest::gtest_main)
  target_compile_definitions(cuda_model_tests PRIVATE ATOM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  atom_cuda_program(cuda_model_tests)
  add_test(NAME cuda_model COMMAND cuda_model_tests)
  add_dependencies(cuda_programs cuda_model_tests)
endfunction()

function(atom_cuda_engine_tests folder)
  set(sources ${folder}/engine_core_test.cc ${folder}/engine_test.cc ${folder}/request_life_test.cc
              ${folder}/sampler_test.cc ${folder}/text_generator_test.cc)
  add_executable(cuda_engine_tests ${sources} ${folder}/gpu_environment.cc)
  target_link_libraries(cuda_engine_tests PRIVATE atom::engine atom::pipeline GTest::gtest
                                                  GTest::gmock GTest::gtest_main)
  target_compile_definitions(
    cuda_engine_tests PRIVATE ATOM_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ATOM_TESTED_BACKEND="cuda")
  atom_cuda_program(cuda_engine_tests)
  add_test(NAME cuda_engine COMMAND cuda_engine_tests)
  add_dependencies(cuda_programs cuda_engine_tests)
endfunction()
