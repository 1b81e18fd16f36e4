#include "atom/core/cpu_info.h"

#include <array>
#include <cstdlib>
#include <fstream>
#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace atom {
namespace {

struct Row {
  CpuIsa isa;
  std::string_view name;
};
constexpr std::array kTable = {Row{CpuIsa::kScalar, "scalar"}, Row{CpuIsa::kAvx2, "avx2"},
                               Row{CpuIsa::kAvxVnni, "avx-vnni"}, Row{CpuIsa::kAvx512, "avx512"},
                               Row{CpuIsa::kAmx, "amx"}};
constexpr std::array kIsas = {CpuIsa::kScalar, CpuIsa::kAvx2, CpuIsa::kAvxVnni, CpuIsa::kAvx512,
                              CpuIsa::kAmx};

#if defined(__x86_64__)
struct Registers {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};
Registers CpuId(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

/// May this process use tiles? The operating system must save them (XCR0) and, on Linux, be asked.
bool AskForTiles() {
  constexpr uint32_t kTileState = 3u << 17;  // XTILECFG and XTILEDATA
  if ((CpuId(1, 0).ecx & bit_OSXSAVE) == 0) return false;
  uint32_t low = 0;
  uint32_t high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & kTileState) != kTileState) return false;
#if defined(__linux__)
  constexpr int64_t kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int64_t kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return true;
#endif
}
#endif

}  // namespace

std::span<const CpuIsa> AllCpuIsas() { return kIsas; }
std::string_view CpuIsaName(CpuIsa isa) { return kTable.at(static_cast<size_t>(isa)).name; }

// __builtin_cpu_supports asks the operating system, too, whether it saves the wide registers. What
// clang 14's does not know is asked of the processor; registers of AVX2 are all that it needs.
CpuFeatures DetectCpuFeatures() {
  CpuFeatures features;
#if defined(__x86_64__)
  constexpr unsigned kAvxVnniBit = 1u << 4;   // leaf 7, subleaf 1, eax
  constexpr unsigned kAmxTileBit = 1u << 24;  // leaf 7, edx
  constexpr unsigned kAmxInt8Bit = 1u << 25;
  features.avx2 = __builtin_cpu_supports("avx2") != 0;
  features.fma = __builtin_cpu_supports("fma") != 0;
  features.f16c = (CpuId(1, 0).ecx & bit_F16C) != 0;
  features.avx_vnni = CpuId(7, 0).eax >= 1 && (CpuId(7, 1).eax & kAvxVnniBit) != 0;
  features.avx512f = __builtin_cpu_supports("avx512f") != 0;
  features.avx512bw = __builtin_cpu_supports("avx512bw") != 0;
  features.avx512dq = __builtin_cpu_supports("avx512dq") != 0;
  features.avx512vl = __builtin_cpu_supports("avx512vl") != 0;
  features.avx512_vnni = __builtin_cpu_supports("avx512vnni") != 0;
  features.avx512_bf16 = __builtin_cpu_supports("avx512bf16") != 0;
  features.amx_int8 = (CpuId(7, 0).edx & kAmxInt8Bit) != 0;
  if ((CpuId(7, 0).edx & kAmxTileBit) != 0) {
    static const bool kPermitted = AskForTiles();
    features.amx_tile = kPermitted;
  }
#endif
  return features;
}

bool Supports(const CpuFeatures& f, CpuIsa isa) {
  const bool avx2 = f.avx2 && f.fma && f.f16c;
  const bool avx512 = avx2 && f.avx512f && f.avx512bw && f.avx512dq && f.avx512vl && f.avx512_vnni;
  switch (isa) {
    case CpuIsa::kAmx:
      return avx512 && f.amx_tile && f.amx_int8;
    case CpuIsa::kAvx512:
      return avx512;
    case CpuIsa::kAvxVnni:
      return avx2 && f.avx_vnni;
    case CpuIsa::kAvx2:
      return avx2;
    case CpuIsa::kScalar:
      break;
  }
  return true;
}

CpuIsa StrongestIsa(const CpuFeatures& features) {
  CpuIsa strongest = CpuIsa::kScalar;
  for (const CpuIsa isa : kIsas) {
    if (Supports(features, isa)) strongest = isa;
  }
  return strongest;
}

Result<CpuIsa> ChooseCpuIsa(const CpuFeatures& features, std::string_view pinned) {
  if (pinned.empty()) return StrongestIsa(features);
  std::string known;
  for (const Row& row : kTable) {
    if (row.name == pinned) {
      if (Supports(features, row.isa)) return row.isa;
      return MakeError("ATOM_CPU_ISA={} is more than this processor supports ({})", pinned,
                       CpuIsaName(StrongestIsa(features)));
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  return MakeError("ATOM_CPU_ISA={}: expected one of {}", pinned, known);
}

bool Supports(CpuIsa isa) { return Supports(DetectCpuFeatures(), isa); }
CpuIsa DetectCpuIsa() { return StrongestIsa(DetectCpuFeatures()); }

Result<CpuIsa> ChooseCpuIsa() {
  const char* pinned = std::getenv("ATOM_CPU_ISA");
  return ChooseCpuIsa(DetectCpuFeatures(), pinned == nullptr ? "" : pinned);
}

std::string CpuModelName() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace atom
