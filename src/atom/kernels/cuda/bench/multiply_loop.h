// Loops that do nothing but multiply on the tensor cores: the ceiling of kernels that multiply.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

enum class MultiplyTypes { kInt8, kBFloat16 };

/// What one launch of MultiplyLoop multiplies and adds.
int64_t MultiplyLoopOperations(MultiplyTypes types, int multiprocessors);

/// Every multiprocessor multiplies random operands, the weights' in registers, for about 0.3 ms.
/// sink: 4 bytes, written if all sums together are one number, so that ptxas removes no product.
cudaError_t MultiplyLoop(MultiplyTypes types, int multiprocessors, uint32_t* sink,
                         cudaStream_t stream);

}  // namespace atom::kernels::cuda
