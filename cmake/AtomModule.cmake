# A module is a folder of src/atom: one static library whose name, folder, namespace and layer agree.
#   atom_module(NAME DEPS modules-or-libraries...)    every *.cc of the folder (and below) is compiled
#   atom_module_tests(NAME [DEPS ...])              every *_test.cc of tests/NAME becomes one program
# What a module links is what it may include: headers of other modules are found by all, but
# scripts/check-layers fails on an #include that this graph does not allow.

find_program(CCACHE ccache)
if(CCACHE)
  # Its documentation asks for these where headers are precompiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

add_library(atom_flags INTERFACE)
target_include_directories(atom_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# -ffp-contract=off: an fma appears only where the numerical contract says fma.
set(cxx_options -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns wrongly about "literal" + std::string (GCC bug 105651), in two ways.
  list(APPEND cxx_options -Wno-restrict -Wno-stringop-overflow)
endif()
# CUDA sources have options of their own (AtomCuda.cmake).
target_compile_options(atom_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_options}>")
if(ATOM_SANITIZE)
  # Of debug information a report needs only the lines; all of it takes a third of the build.
  target_compile_options(atom_flags INTERFACE -fsanitize=${ATOM_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all
                         "$<$<CXX_COMPILER_ID:Clang>:-gline-tables-only>")
  target_link_options(atom_flags INTERFACE -fsanitize=${ATOM_SANITIZE})
endif()
# A fuzzer follows the branches of what reads files and requests; loops of arithmetic, where there is
# nothing to find that way, are spared the counting.
set(unfuzzed_modules quant kernels engine pipeline eval cli)
set(fuzzed_options -fsanitize-coverage=inline-8bit-counters,indirect-calls,trace-cmp,pc-table)

# Most of the time of a build goes into reading the same large headers, so they are read once for all
# modules (atom_headers) and once for all tests (atom_test_headers). A file includes what it uses all
# the same: -DATOM_PRECOMPILED_HEADERS=OFF builds without.
set(standard_headers <algorithm> <array> <bit> <cmath> <cstdint> <cstring> <filesystem> <functional>
    <limits> <map> <memory> <optional> <span> <string> <string_view> <thread> <unordered_map>
    <utility> <vector> <fmt/core.h> <fmt/format.h> <nlohmann/json.hpp>)

# atom_precompiled(TARGET headers... LINK libraries...)  an empty library whose headers others reuse
function(atom_precompiled target)
  cmake_parse_arguments(PRE "" "" "LINK" ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${target}.cc CONTENT "// Empty: it carries headers.\n")
  add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/${target}.cc)
  target_link_libraries(${target} PUBLIC atom_flags ${PRE_LINK})
  target_precompile_headers(${target} PRIVATE ${PRE_UNPARSED_ARGUMENTS})
endfunction()

# Where nothing is computed, optimizing costs more than it gives: half of a build's time.
add_library(atom_little_optimized INTERFACE)
target_compile_options(atom_little_optimized INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)

function(atom_reuse_headers target source)
  if(ATOM_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${source})
  endif()
endfunction()

function(atom_module name)
  cmake_parse_arguments(MODULE "" "HEADERS" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$|/cpu/isa_[a-z0-9]+\\.cc$")
  # One of two folders defines the CUDA backend.
  if(ATOM_CUDA)
    list(FILTER sources EXCLUDE REGEX "/kernels/nocuda/")
  else()
    list(FILTER sources EXCLUDE REGEX "/kernels/cuda/")
  endif()
  add_library(atom_${name} STATIC ${sources})
  add_library(atom::${name} ALIAS atom_${name})
  target_link_libraries(atom_${name} PUBLIC atom_flags ${MODULE_DEPS})
  # Narrowing says so with a cast. Signs are left out: sizes of the standard library are unsigned.
  target_compile_options(atom_${name} PRIVATE
      "$<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wconversion;-Wno-sign-conversion>")
  if(ATOM_FUZZ AND NOT name IN_LIST unfuzzed_modules)
    target_compile_options(atom_${name} PRIVATE ${fuzzed_options})
  endif()
  if(NOT MODULE_HEADERS)
    set(MODULE_HEADERS atom_headers)
  endif()
  atom_reuse_headers(atom_${name} ${MODULE_HEADERS})
endfunction()

function(atom_module_tests name)
  cmake_parse_arguments(MODULE "" "" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cc)
  list(FILTER sources EXCLUDE REGEX "/kernels/cuda/")
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_tests ${sources})
  target_link_libraries(${name}_tests PRIVATE atom_${name} ${MODULE_DEPS} GTest::gtest GTest::gmock
                        GTest::gtest_main atom_little_optimized)
  target_include_directories(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name}_tests PRIVATE ATOM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  atom_reuse_headers(${name}_tests atom_test_headers)
  add_test(NAME ${name} COMMAND ${name}_tests)
endfunction()
