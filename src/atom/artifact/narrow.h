// The smallest type that holds a matrix exactly. Checkpoints in F32 are often bf16 widened, as are
// GGUF files' F32 tables; an artifact keeps those in half the bytes, with the same values.
#pragma once

#include "atom/core/buffer.h"
#include "atom/core/tensor_view.h"

namespace atom::artifact {

/// BF16 or F16 where an F32 tensor's every value is one of its numbers, to the bit; else the
/// tensor's own type.
DType NarrowestExact(const TensorView& tensor);

/// An F32 tensor's values as BF16 or F16. REQUIRES: `dtype` is NarrowestExact.
Buffer Narrow(const TensorView& tensor, DType dtype);

}  // namespace atom::artifact
