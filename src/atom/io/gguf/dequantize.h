// One block of each quantized tensor type of GGUF to fp32, bit for bit what the `gguf` package of
// Python gives: the same products and sums, in the same order, each rounded to fp32.
//
// d and m are fp16 scale and offset, s a small integer scale, q a code:
//   Q4_0 Q5_0 Q8_0   d · q            (q signed)        blocks of 32
//   Q4_1 Q5_1        d · q + m
//   Q2_K Q4_K Q5_K   (d · s) · q − (dmin · m)            256, scales for each 16 or 32
//   Q3_K Q6_K        (d · s) · q       (q signed)
//   IQ4_NL, IQ4_XS   d · v[q], (d · s) · v[q]            v: a table of 16 values
//   TQ1_0 TQ2_0      d · q             (q in −1, 0, 1)
// Layouts are drawn at each function.
#pragma once

#include <cstddef>

namespace atom::io {

void DequantizeQ4_0(const std::byte* block, float* out);
void DequantizeQ4_1(const std::byte* block, float* out);
void DequantizeQ5_0(const std::byte* block, float* out);
void DequantizeQ5_1(const std::byte* block, float* out);
void DequantizeQ8_0(const std::byte* block, float* out);
void DequantizeIQ4_NL(const std::byte* block, float* out);

void DequantizeQ2_K(const std::byte* block, float* out);
void DequantizeQ3_K(const std::byte* block, float* out);
void DequantizeQ4_K(const std::byte* block, float* out);
void DequantizeQ5_K(const std::byte* block, float* out);
void DequantizeQ6_K(const std::byte* block, float* out);
void DequantizeIQ4_XS(const std::byte* block, float* out);
void DequantizeTQ1_0(const std::byte* block, float* out);
void DequantizeTQ2_0(const std::byte* block, float* out);

}  // namespace atom::io
