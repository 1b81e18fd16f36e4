// Loops that do one kind of instruction as fast as the processor can: what the products of the
// kernels are held against. One table an instruction set. As with the kernels
// (kernels/cpu/README.md, "One binary for all machines"), the files behind it are compiled with the
// flags of their set, so they hold nothing but functions in anonymous namespaces and use no header
// but this one.
#pragma once

#include <cstdint>

namespace atom::bench {

/// Registers only, operands zero: no memory, no denormals, no carried dependency but the sums'.
struct CeilingLoop {
  const char* name;  ///< of the instruction; null: the set has none
  void (*run)(int64_t iterations);
  int64_t work;  ///< multiplications and additions of one iteration
};

struct CeilingLoops {
  CeilingLoop integer;  ///< int8 × int8 into int32
  CeilingLoop fma;      ///< fp32
  CeilingLoop bf16;     ///< bf16 × bf16 into fp32
  /// Reads `bytes` bytes, a multiple of 1024, from an address that is a multiple of 64.
  void (*read)(const void* from, int64_t bytes);
};

const CeilingLoops& ScalarLoops();
const CeilingLoops& Avx2Loops();
const CeilingLoops& AvxVnniLoops();
const CeilingLoops& Avx512Loops();  ///< bf16 needs AVX512_BF16 besides
const CeilingLoops& AmxLoops();     ///< those of AVX-512 but for products of integers

}  // namespace atom::bench
