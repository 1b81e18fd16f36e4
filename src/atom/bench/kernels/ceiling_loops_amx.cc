// AMX-INT8, compiled with the flags that src/atom/CMakeLists.txt gives this file.
// Six sums in tmm0 to tmm5, operands in tmm6 and tmm7.
#include "atom/bench/kernels/ceiling_loops.h"

namespace atom::bench {
namespace {

#if defined(__x86_64__)

// 16 × 16 × 64 multiplications and as many additions each.
void Integer(int64_t iterations) {
  struct Config {
    uint8_t palette = 1;
    uint8_t rest[15] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  alignas(64) const Config config;
  asm volatile(
      "ldtilecfg %1\n"  // and zeros in all tiles
      "1:\n"
      ".irp r,0,1,2,3,4,5\n"
      "tdpbsud %%tmm7, %%tmm6, %%tmm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "tilerelease\n"
      : "+r"(iterations)
      : "m"(config)
      : "cc");
}

#endif

}  // namespace

const CeilingLoops& AmxLoops() {
#if defined(__x86_64__)
  static const CeilingLoops kLoops = {{"amx-int8", Integer, 6 * 2 * 16 * 16 * 64},
                                      Avx512Loops().fma,
                                      Avx512Loops().bf16,
                                      Avx512Loops().read};
#else
  static constexpr CeilingLoops kLoops = {};
#endif
  return kLoops;
}

}  // namespace atom::bench
