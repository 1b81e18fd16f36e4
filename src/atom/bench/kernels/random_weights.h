// Random weights, quickly: benchmarks pack gigabytes of them, and their values do not matter as
// long as no sum overflows or becomes denormal.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/core/rng.h"
#include "atom/quant/formats.h"
#include "atom/quant/permutation.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::bench {

/// Uniform in [-1, 1).
std::vector<float> RandomFloats(Rng& rng, int64_t count);
/// Codes are uniform; scales make an output about as large as an input.
/// `scales`: of low-bit groups.
quant::QuantizedMatrix RandomMatrix(Rng& rng, const quant::WeightFormat& format, int64_t n,
                                    int64_t k,
                                    quant::ScaleFormat scales = quant::ScaleFormat::kFp16);
/// F32, F16 or BF16; a block of values repeats.
artifact::DenseMatrix RandomDense(Rng& rng, DType dtype, int64_t n, int64_t k);

quant::Permutation RandomPermutation(Rng& rng, int64_t size);

/// Codes and scales, as they are stored.
int64_t WeightBytes(const quant::QuantizedMatrix& matrix);
int64_t WeightBytes(const artifact::HostLinear& linear);

}  // namespace atom::bench
