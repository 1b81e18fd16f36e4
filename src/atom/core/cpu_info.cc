#include "atom/core/cpu_info.h"

#include <array>
#include <cstdlib>
#include <fstream>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace atom {
namespace {

struct Row {
  CpuIsa isa;
  std::string_view name;
};
constexpr std::array kTable = {Row{CpuIsa::kScalar, "scalar"}, Row{CpuIsa::kAvx2, "avx2"},
                               Row{CpuIsa::kAvx512, "avx512"}};

#if defined(__x86_64__)
// clang 14's __builtin_cpu_supports does not know "f16c".
bool SupportsF16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

}  // namespace

std::string_view CpuIsaName(CpuIsa isa) { return kTable.at(static_cast<size_t>(isa)).name; }

CpuIsa DetectCpuIsa() {
#if defined(__x86_64__)
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && SupportsF16c();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
  if (avx2 && avx512) return CpuIsa::kAvx512;
  if (avx2) return CpuIsa::kAvx2;
#endif
  return CpuIsa::kScalar;
}

Result<CpuIsa> ChooseCpuIsa() {
  const CpuIsa best = DetectCpuIsa();
  const char* pinned = std::getenv("ATOM_CPU_ISA");
  if (pinned == nullptr || *pinned == '\0') return best;
  for (const Row& row : kTable) {
    if (row.name != pinned) continue;
    if (row.isa > best) {
      return MakeError("ATOM_CPU_ISA={} is more than this processor supports ({})", pinned,
                       CpuIsaName(best));
    }
    return row.isa;
  }
  return MakeError("ATOM_CPU_ISA={}: expected scalar, avx2 or avx512", pinned);
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
