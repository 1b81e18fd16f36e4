// AVX2 and FMA, compiled with the flags that src/atom/CMakeLists.txt gives this file.
#include "atom/bench/kernels/ceiling_loops.h"

namespace atom::bench {
namespace {

#if defined(__x86_64__)

// vpmaddubsw, vpmaddwd, vpaddd: without VNNI, four products of bytes into an int32 take three
// instructions. 8 sums and 4 temporaries; 32 multiplications and as many additions a step.
void Integer(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,4\n"
      "vpmaddubsw %%ymm14, %%ymm15, %%ymm8\n"
      "vpmaddubsw %%ymm14, %%ymm15, %%ymm9\n"
      "vpmaddubsw %%ymm14, %%ymm15, %%ymm10\n"
      "vpmaddubsw %%ymm14, %%ymm15, %%ymm11\n"
      "vpmaddwd %%ymm13, %%ymm8, %%ymm8\n"
      "vpmaddwd %%ymm13, %%ymm9, %%ymm9\n"
      "vpmaddwd %%ymm13, %%ymm10, %%ymm10\n"
      "vpmaddwd %%ymm13, %%ymm11, %%ymm11\n"
      ".if \\r == 0\n"
      "vpaddd %%ymm8, %%ymm0, %%ymm0\n"
      "vpaddd %%ymm9, %%ymm1, %%ymm1\n"
      "vpaddd %%ymm10, %%ymm2, %%ymm2\n"
      "vpaddd %%ymm11, %%ymm3, %%ymm3\n"
      ".else\n"
      "vpaddd %%ymm8, %%ymm4, %%ymm4\n"
      "vpaddd %%ymm9, %%ymm5, %%ymm5\n"
      "vpaddd %%ymm10, %%ymm6, %%ymm6\n"
      "vpaddd %%ymm11, %%ymm7, %%ymm7\n"
      ".endif\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

// 12 sums: more than latency times throughput of any AVX2 machine.
void Fma(int64_t iterations) {
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n"
      ".endr\n"
      "1:\n"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm\\r\n"
      ".endr\n"
      "dec %0\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(iterations)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
}

void Read(const void* from, int64_t bytes) {
  asm volatile(
      "1:\n"
      ".irp at,0,32,64,96,128,160,192,224\n"
      "vmovdqa \\at(%0), %%ymm0\n"
      ".endr\n"
      "add $256, %0\n"
      "sub $256, %1\n"
      "jnz 1b\n"
      "vzeroupper\n"
      : "+r"(from), "+r"(bytes)
      :
      : "xmm0", "cc", "memory");
}

#endif

}  // namespace

const CeilingLoops& Avx2Loops() {
#if defined(__x86_64__)
  static constexpr CeilingLoops kLoops = {
      {"vpmaddubsw", Integer, 8 * 64}, {"fma", Fma, 12 * 16}, {nullptr, nullptr, 0}, Read};
#else
  static constexpr CeilingLoops kLoops = {};
#endif
  return kLoops;
}

}  // namespace atom::bench
