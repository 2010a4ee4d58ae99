# How code is compiled: choices first, then the flags that follow from them.

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
option(LV_WERROR   "Warnings are errors"                              ON)
option(LV_LTO      "Optimise programs across files when linking"      OFF)
option(LV_COVERAGE "Count executed lines for gcovr"                   OFF)
option(LV_FUZZ     "Build fuzz targets with libFuzzer (needs clang)"  OFF)
option(LV_COMPAT_NAMES "Install rabbitmqctl, rabbitmqadmin and so on as links to leveret" OFF)
set(LV_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=: address,undefined or thread")
set(LV_MARCH    "" CACHE STRING "Processor to compile for, as for -march=; empty: the compiler's baseline")
set(LV_ALLOCATOR glibc CACHE STRING "Heap allocator of the programs")
set_property(CACHE LV_ALLOCATOR PROPERTY STRINGS glibc mimalloc jemalloc)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG   "-Og -g3")

# Empty, as a plain `#define _GNU_SOURCE` in a source file would leave it.
add_compile_definitions(_GNU_SOURCE= LV_VERSION="${PROJECT_VERSION}")
include_directories(${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)

add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla)
if(LV_WERROR)
    add_compile_options(-Werror)
endif()

# These follow values through the program; without the optimiser, or with a sanitizer's code in between, they guess.
if(CMAKE_C_COMPILER_ID STREQUAL GNU AND (LV_SANITIZE OR NOT CMAKE_BUILD_TYPE STREQUAL Release))
    add_compile_options(-Wno-maybe-uninitialized -Wno-format-truncation -Wno-stringop-overflow)
endif()

# Frame pointers stay, so that perf shows whole call chains of a running broker.
add_compile_options(-fno-omit-frame-pointer -fno-plt)
if(LV_MARCH)
    add_compile_options(-march=${LV_MARCH})
endif()

# Hardening that costs the message path nothing measurable. Sanitizers bring their own checks instead.
if(CMAKE_BUILD_TYPE STREQUAL Release AND NOT LV_SANITIZE)
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
add_compile_options(-fPIE)
add_link_options(-pie -Wl,-z,relro,-z,now -Wl,--as-needed)

if(LV_SANITIZE)
    add_compile_options(-fsanitize=${LV_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${LV_SANITIZE})
endif()
if(LV_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(LV_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()

# Objects carry both forms: programs are linked whole-program, the many test executables (test/CMakeLists.txt) quickly.
set(LV_LTO_LINK "")
if(LV_LTO)
    if(CMAKE_C_COMPILER_ID STREQUAL GNU)
        add_compile_options(-flto=auto -ffat-lto-objects)
        set(LV_LTO_LINK -flto=auto)
    else()
        message(STATUS "LV_LTO: only done with gcc; ignored")
    endif()
    set(CMAKE_AR     ${CMAKE_C_COMPILER_AR})
    set(CMAKE_RANLIB ${CMAKE_C_COMPILER_RANLIB})
endif()
