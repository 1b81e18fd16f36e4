// The two FP8 casts of the published program, for outlier columns kept without a scale. Both start
// from fp16 bits, so a float is first rounded to fp16.
#pragma once

#include "atom/core/half.h"

namespace atom::quant {

/// E5M2: fp16 with the top 2 of its 10 mantissa bits, half-way away from zero; above the largest
/// value (57344 and half a step) infinity. Infinity and NaN stay.
Half RoundToE5M2(Half x);

/// E4M3 with all 256 codes finite: clamped to ±480 (infinity too), 3 mantissa bits, half-way away
/// from zero; below 2^-6 a multiple of 2^-9, half-way to even. NaN stays.
Half RoundToE4M3(Half x);

}  // namespace atom::quant
