// A product of calibration in fp32; plain data, for host and device code.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// c[k][k] += alpha · aᵀ·b.
struct AddProductCall {
  const float* a = nullptr;  ///< [rows][k]
  const float* b = nullptr;  ///< [rows][k]
  int64_t rows = 0;
  int64_t k = 0;
  float alpha = 1.0f;
  float* c = nullptr;
  bool upper = false;  ///< tiles below the diagonal are left out
};

cudaError_t EnqueueAddProduct(const AddProductCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
