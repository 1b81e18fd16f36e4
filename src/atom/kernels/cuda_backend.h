// The CUDA backend's one entry point. A program is built with exactly one of two folders that
// define it: cuda/, or nocuda/, whose backend is always absent. No other module needs an #ifdef.
#pragma once

#include <memory>

#include "atom/core/result.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/registry.h"
#include "atom/quant/dense_algebra.h"

namespace atom::kernels {

Result<std::unique_ptr<Backend>> MakeCudaBackend(const BackendOptions& options);

/// The dense algebra of quantization with sums of products on the GPU.
Result<std::unique_ptr<quant::DenseAlgebra>> MakeCudaAlgebra();

}  // namespace atom::kernels
