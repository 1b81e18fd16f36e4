// What the processor can do, asked once, and which instruction set the CPU kernels use.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom {

/// The instruction sets that the CPU kernels are compiled for, weakest first. A processor may have
/// one without having all before it: AVX-VNNI came after AVX-512 VNNI.
enum class CpuIsa {
  kScalar,   ///< plain x86-64
  kAvx2,     ///< AVX2, FMA, F16C
  kAvxVnni,  ///< these and AVX-VNNI: vpdpbusd on 256 bits
  kAvx512,   ///< these (not AVX-VNNI) and AVX-512 F/BW/DQ/VL and VNNI
  kAmx,      ///< these and AMX-INT8, tiles of bytes
};
/// All, weakest first.
std::span<const CpuIsa> AllCpuIsas();
std::string_view CpuIsaName(CpuIsa isa);  ///< "scalar", "avx2", "avx-vnni", "avx512", "amx"

/// What kernels and benchmarks ask of a processor and its operating system.
struct CpuFeatures {
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool avx_vnni = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool avx512_vnni = false;
  bool avx512_bf16 = false;  ///< no kernel needs it; a ceiling of `atom bench` does
  bool amx_tile = false;     ///< and this process may use them
  bool amx_int8 = false;
};
/// Asks the operating system for the tiles of AMX, the first time: Linux lends them to a process,
/// all of its threads, those that run already too, that asked for them.
CpuFeatures DetectCpuFeatures();

bool Supports(const CpuFeatures& features, CpuIsa isa);
/// The strongest that such a processor supports.
CpuIsa StrongestIsa(const CpuFeatures& features);
/// The strongest of these, or what `pinned` names unless it is empty: an Error if that is unknown
/// or not supported.
Result<CpuIsa> ChooseCpuIsa(const CpuFeatures& features, std::string_view pinned);

// Of this processor:
bool Supports(CpuIsa isa);
CpuIsa DetectCpuIsa();
/// DetectCpuIsa, or what ATOM_CPU_ISA pins.
Result<CpuIsa> ChooseCpuIsa();
/// The processor's name for humans, e.g. from /proc/cpuinfo.
std::string CpuModelName();

}  // namespace atom
