// What the processor can do, asked once, and which instruction set the CPU kernels use.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom {

/// The instruction sets that the CPU kernels are compiled for, weakest first.
enum class CpuIsa {
  kScalar,  ///< plain x86-64
  kAvx2,    ///< AVX2, FMA, F16C
  kAvx512,  ///< AVX-512 F/BW/DQ/VL, VNNI and BF16
};

std::string_view CpuIsaName(CpuIsa isa);
/// The strongest that this processor (and its operating system) supports.
CpuIsa DetectCpuIsa();
/// DetectCpuIsa, or what ATOM_CPU_ISA=scalar|avx2|avx512 pins; an Error if that is not supported.
Result<CpuIsa> ChooseCpuIsa();
/// The processor's name for humans, e.g. from /proc/cpuinfo.
std::string CpuModelName();

}  // namespace atom
