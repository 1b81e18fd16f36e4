// Reciprocals and quotients of fp32, rounded to nearest, of numbers that are known to be normal and
// whose result is: without the branches for all others.
#pragma once

namespace atom::kernels::cuda {

/// 1 / x: an estimate and one correction.
__device__ __forceinline__ float ReciprocalOfNormal(float x) {
  float estimate;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(estimate) : "f"(x));
  return __fmaf_rn(estimate, __fmaf_rn(-x, estimate, 1.0f), estimate);
}

/// a / b, `reciprocal` that of b, rounded: a quotient and one correction by its remainder.
__device__ __forceinline__ float Divide(float a, float b, float reciprocal) {
  const float quotient = __fmul_rn(a, reciprocal);
  return __fmaf_rn(__fmaf_rn(-quotient, b, a), reciprocal, quotient);
}

}  // namespace atom::kernels::cuda
