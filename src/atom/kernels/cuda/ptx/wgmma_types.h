// The types and operand places of wgmma; wgmma.h is the header to include.
#pragma once

namespace atom::kernels::cuda::ptx {

/// Types of A and B; integers accumulate in int32, the others in fp32.
enum class MmaTypes { kS8S8, kU8S8, kE4M3E4M3, kF16F16, kBF16BF16 };

/// Where A comes from.
enum class OperandA { kRegisters, kShared };

/// Wgmma<types, a, N>::Issue(d, a, b, accumulate): d = a · b (+ d), one instruction.
template <MmaTypes kTypes, OperandA kA, int kN>
struct Wgmma;

}  // namespace atom::kernels::cuda::ptx
