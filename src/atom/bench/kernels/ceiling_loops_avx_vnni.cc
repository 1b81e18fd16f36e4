// AVX-VNNI, compiled with the flags that src/atom/CMakeLists.txt gives this file: the products of
// integers are its own, the other loops those of AVX2.
#include "atom/bench/kernels/ceiling_loops.h"

namespace atom::bench {
namespace {

#if defined(__x86_64__)

// 12 sums; 32 multiplications and as many additions each.
void Integer(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n"
      "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

#endif

}  // namespace

const CeilingLoops& AvxVnniLoops() {
#if defined(__x86_64__)
  static const CeilingLoops kLoops = {
      {"avx-vnni", Integer, 12 * 64}, Avx2Loops().fma, {nullptr, nullptr, 0}, Avx2Loops().read};
#else
  static constexpr CeilingLoops kLoops = {};
#endif
  return kLoops;
}

}  // namespace atom::bench
