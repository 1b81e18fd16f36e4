// Looks tensors up in the files of a model and refuses what is not as expected, in one sentence
// that names file, tensor, expected and found. What the layer reader stands on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/tensor_view.h"
#include "atom/io/safetensors.h"

namespace atom::artifact {

/// A tensor and the file that it is in.
struct FoundTensor {
  TensorView view;
  const std::string* file = nullptr;  ///< lives as long as the SafetensorsFile
};

class TensorFinder {
 public:
  /// `source` names the files together, for tensors that are in none. Both must outlive this.
  TensorFinder(std::span<const io::SafetensorsFile> shards, const std::string& source)
      : shards_(shards), source_(source) {}

  const std::string& source() const { return source_; }
  std::optional<FoundTensor> Find(const std::string& name) const;

  /// Exactly this dtype and shape.
  Result<FoundTensor> Require(const std::string& name, DType dtype, const Shape& shape) const;
  /// F32, F16 or BF16, every element finite.
  Result<FoundTensor> RequireWeight(const std::string& name, const Shape& shape) const;
  /// F16, every element finite and above zero.
  Result<FoundTensor> RequireScales(const std::string& name, const Shape& shape) const;
  /// A weight with one axis, widened.
  Result<std::vector<float>> RequireFloats(const std::string& name, int64_t size) const;
  /// An Error if the tensor is there; `why` completes the sentence.
  Status Refuse(const std::string& name, const std::string& why) const;

 private:
  Result<FoundTensor> RequireOneOf(const std::string& name, std::span<const DType> dtypes,
                                   const Shape& shape) const;

  std::span<const io::SafetensorsFile> shards_;
  const std::string& source_;
};

}  // namespace atom::artifact
