# A room is a folder of src/atom: one static library whose name, folder, namespace and layer agree.
#   atom_room(NAME DEPS rooms-or-libraries...)    every *.cc of the folder (and below) is compiled
#   atom_room_tests(NAME [DEPS ...])              every *_test.cc of tests/NAME becomes one program
# What a room links is what it may include: headers of other rooms are found by all, but
# scripts/check-layers fails on an #include that this graph does not allow.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(atom_flags INTERFACE)
target_include_directories(atom_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# -ffp-contract=off: an fma appears only where the numerical contract says fma.
target_compile_options(atom_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow
                       -Wnon-virtual-dtor -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns wrongly about "literal" + std::string (GCC bug 105651).
  target_compile_options(atom_flags INTERFACE -Wno-restrict)
endif()
if(ATOM_SANITIZE)
  target_compile_options(atom_flags INTERFACE -fsanitize=${ATOM_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(atom_flags INTERFACE -fsanitize=${ATOM_SANITIZE})
endif()
if(ATOM_FUZZ)
  target_compile_options(atom_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(atom_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$|/cpu/isa_[a-z0-9]+\\.cc$")
  add_library(atom_${name} STATIC ${sources})
  add_library(atom::${name} ALIAS atom_${name})
  target_link_libraries(atom_${name} PUBLIC atom_flags ${ROOM_DEPS})
endfunction()

function(atom_room_tests name)
  cmake_parse_arguments(ROOM "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_tests ${sources})
  target_link_libraries(${name}_tests PRIVATE atom_${name} ${ROOM_DEPS} GTest::gtest GTest::gmock
                        GTest::gtest_main)
  target_include_directories(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name}_tests PRIVATE ATOM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name}_tests)
endfunction()
