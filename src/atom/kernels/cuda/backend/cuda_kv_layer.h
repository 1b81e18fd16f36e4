// One layer's KV pages on the device (attention/kv_fragments.h draws one).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "atom/core/thread_pool.h"
#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/device_memory.h"
#include "atom/kernels/kv_layer.h"

namespace atom::kernels::cuda {

/// Empty, or a sentence that says why no kernel reads such a cache.
std::string WhyNotCached(const KvShape& shape);

struct CudaKvLayer final : KvLayer {
  CudaKvLayer(const KvShape& kv_shape, int64_t page_count) : KvLayer(kv_shape, page_count) {}
  /// REQUIRES: made by the CUDA backend.
  static const CudaKvLayer& Of(const KvLayer& layer);
  static CudaKvLayer& Of(KvLayer& layer);

  KvPages kernel_pages() const;

  DeviceBuffer data;
  DeviceBuffer clip;          ///< [2][kv_heads] fp32; empty: 1
  DeviceBuffer key_mean;      ///< [kv_heads][head_dim] fp32; empty: none
  DeviceBuffer rotated_mean;  ///< the same as keys are kept: attention with a softcap reads it
};

/// Ratios of K's heads, then of V's.
std::vector<float> ClipsOf(const KvShape& shape);

/// The means of keys, rotated as keys are; or empty.
std::vector<float> RotatedMeanOf(const KvShape& shape);

/// Floats of any width are kept as fp16.
KvPages PagesOf(const KvShape& shape, std::byte* data);

/// One page's stored values, widened: [kv_heads][positions][head_dim] each.
UnpackedKvPage UnpackPage(const KvShape& shape, std::span<const std::byte> page, ThreadPool& pool);

}  // namespace atom::kernels::cuda
