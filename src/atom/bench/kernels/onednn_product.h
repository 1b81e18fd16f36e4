// oneDNN's matrix product, the baseline: weights packed in advance into the layout that it prefers,
// activations ready in its own type, as many threads as the backend has. Its weights rotate too.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "atom/core/cpu_info.h"

namespace atom::bench {

enum class OneDnnType {
  kF32,
  kBf16,  ///< bf16 × bf16, sums and output fp32
  kInt8,  ///< u8 × s8, output int32: no scales, no quantization
};
inline constexpr std::array kOneDnnTypes = {OneDnnType::kF32, OneDnnType::kBf16, OneDnnType::kInt8};
std::string_view Name(OneDnnType type);  ///< "onednn_f32", …

/// Holds oneDNN to the instruction set that the kernels use, where that is a weaker one than
/// AVX-512 (with AVX-512 it may use all that it knows, AMX too); before its first product.
void LimitOneDnn(CpuIsa isa);

class OneDnnProduct {
 public:
  OneDnnProduct(OneDnnType type, int64_t n, int64_t k, int threads, int64_t rotate_bytes);
  ~OneDnnProduct();

  /// For M rows. False: oneDNN has only its reference implementation here, which is no baseline.
  bool Prepare(int64_t m);
  /// One product with the next copy of the weights. REQUIRES: Prepare.
  void Run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace atom::bench
