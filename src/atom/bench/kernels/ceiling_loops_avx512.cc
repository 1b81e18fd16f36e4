// AVX-512 with VNNI and BF16, compiled with the flags that src/atom/CMakeLists.txt gives this file.
// 16 sums in zmm0 to zmm15, operands in zmm16 and zmm17.
#include "atom/bench/kernels/ceiling_loops.h"

namespace atom::bench {
namespace {

#if defined(__x86_64__)

// 64 multiplications and as many additions each.
void Integer(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n"
      "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "vpdpbusd %%zmm16, %%zmm17, %%zmm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "cc");
}

// 16 lanes each.
void Fma(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n"
      "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "vfmadd231ps %%zmm16, %%zmm17, %%zmm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "cc");
}

// 32 multiplications and as many additions each.
void Bf16(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n"
      "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "vdpbf16ps %%zmm16, %%zmm17, %%zmm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "cc");
}

void Read(const void* from, int64_t bytes) {
  asm volatile(
      "1:\n"
      ".irp at,0,64,128,192,256,320,384,448\n"
      "vmovdqa64 \\at(%0), %%zmm0\n"
      ".endr\n"
      "add $512, %0\n"
      "sub $512, %1\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(from), "+r"(bytes)
      :
      : "xmm0", "cc", "memory");
}

#endif

}  // namespace

const CeilingLoops& Avx512Loops() {
#if defined(__x86_64__)
  static constexpr CeilingLoops kLoops = {
      {"vnni", Integer, 16 * 128}, {"fma", Fma, 16 * 32}, {"bf16", Bf16, 16 * 64}, Read};
#else
  static constexpr CeilingLoops kLoops = {};
#endif
  return kLoops;
}

}  // namespace atom::bench
