// NVIDIA's own GEMMs as a baseline: cuBLASLt, opened when a bench runs. Programs do not link it,
// and where it is not installed they say so.
#pragma once

#include <array>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <memory>
#include <string_view>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

enum class CublasType { kHalf, kInt8, kE4M3 };
inline constexpr std::array kCublasTypes = {CublasType::kHalf, CublasType::kInt8,
                                            CublasType::kE4M3};
std::string_view Name(CublasType type);  ///< "cublas_fp16", "cublas_int8", "cublas_fp8"
constexpr int64_t Bytes(CublasType type) { return type == CublasType::kHalf ? 2 : 1; }

class CublasLt {
 public:
  /// Fails where there is no libcublasLt.so.
  static Result<CublasLt> Open();

  struct Library;
  const Library& library() const { return *library_; }

 private:
  struct Close {
    void operator()(Library* library) const;
  };
  explicit CublasLt(std::unique_ptr<Library, Close> library) : library_(std::move(library)) {}

  std::unique_ptr<Library, Close> library_;
};

/// Y[M][N] = X[M][K] · W[N][K]ᵀ; y is fp16, or int32 of int8 operands.
class CublasProduct {
 public:
  static Result<CublasProduct> Create(const CublasLt& lt, CublasType type, int64_t m, int64_t n,
                                      int64_t k);

  /// What the library's heuristic proposes, best guess first.
  int algorithms() const;
  void Choose(int algorithm) { chosen_ = algorithm; }
  int chosen() const { return chosen_; }

  Status Enqueue(const void* x, const void* w, void* y, cudaStream_t stream) const;

 private:
  struct State;
  struct Destroy {
    void operator()(State* state) const;
  };
  explicit CublasProduct(std::unique_ptr<State, Destroy> state) : state_(std::move(state)) {}

  std::unique_ptr<State, Destroy> state_;
  int chosen_ = 0;
};

}  // namespace atom::kernels::cuda
