// Finds NaN and infinity in tensors as they lie in a file. A broken weight gives nonsense many
// layers later; here it gives one sentence. Runs over every unquantized weight, gigabytes of them,
// at the speed of memory.
#pragma once

#include <cstdint>
#include <string>

#include "atom/core/result.h"
#include "atom/core/tensor_view.h"

namespace atom::artifact {

/// The flat index of the first NaN or infinity of an F32, F16 or BF16 tensor, or -1.
int64_t FirstNonFinite(const TensorView& tensor);

/// The flat index of the first F16 that is not a scale (finite and above zero), or -1.
int64_t FirstBadScale(const TensorView& scales);

/// An Error that names file, tensor and element of the first NaN or infinity.
Status CheckFinite(const TensorView& tensor, const std::string& name, const std::string& file);

/// The position of a flat index: "[3, 17]".
std::string PositionString(const Shape& shape, int64_t flat);

}  // namespace atom::artifact
