// Paley's Hadamard matrices of order 12 and 20 (docs/numerics.md, "Rotated heads"), as the signs of
// their rows.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::append {

/// Bit r is set if r is no square modulo `prime`.
constexpr uint32_t NonResidues(int prime) {
  uint32_t squares = 1;
  for (int i = 1; i < prime; ++i) squares |= 1u << (i * i % prime);
  return ((1u << prime) - 1) & ~squares;
}

/// Bit c is set where row `row` of the matrix of order `kOrder` has −1 in column c: nowhere in row
/// 0; in the others in column 0, and in column c by the character of c − row modulo kOrder − 1.
template <int kOrder>
__host__ __device__ constexpr uint32_t PaleyNegatives(int row) {
  constexpr int kPrime = kOrder - 1;
  constexpr uint32_t kMask = (1u << kPrime) - 1, kNonResidues = NonResidues(kPrime);
  if (row == 0) return 0;
  const uint32_t turned = kNonResidues << (row - 1) | kNonResidues >> (kPrime - (row - 1));
  return (turned & kMask) << 1 | 1u;
}
static_assert(PaleyNegatives<12>(1) == 0b101110001001u);  // -++-+++---+-

}  // namespace atom::kernels::cuda::append
