// Plain x86-64 has SSE2: pmaddwd on values widened to int16, and a multiplication and an addition.
// A product destroys one of its operands there, so each step starts with a copy.
#include "atom/bench/kernels/ceiling_loops.h"

namespace atom::bench {
namespace {

#if defined(__x86_64__)

// 6 products into 6 sums; 8 multiplications and as many additions each.
void Integer(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "pxor %%xmm\\r, %%xmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5\n"
      "movdqa %%xmm15, %%xmm14\n"
      "pmaddwd %%xmm13, %%xmm14\n"
      "paddd %%xmm14, %%xmm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

// 12 products into 12 sums, 4 lanes each.
void MultiplyAdd(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "pxor %%xmm\\r, %%xmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n"
      "movaps %%xmm15, %%xmm14\n"
      "mulps %%xmm13, %%xmm14\n"
      "addps %%xmm14, %%xmm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

void Read(const void* from, int64_t bytes) {
  asm volatile(
      "1:\n"
      ".irp at,0,16,32,48,64,80,96,112\n"
      "movdqa \\at(%0), %%xmm0\n"
      ".endr\n"
      "add $128, %0\n"
      "sub $128, %1\n"
      "jnz 1b\n"
      : "+r"(from), "+r"(bytes)
      :
      : "xmm0", "cc", "memory");
}

#endif

}  // namespace

const CeilingLoops& ScalarLoops() {
#if defined(__x86_64__)
  static constexpr CeilingLoops kLoops = {{"pmaddwd", Integer, 6 * 16},
                                          {"mulps+addps", MultiplyAdd, 12 * 8},
                                          {nullptr, nullptr, 0},
                                          Read};
#else
  static constexpr CeilingLoops kLoops = {};  // nothing to compare with
#endif
  return kLoops;
}

}  // namespace atom::bench
