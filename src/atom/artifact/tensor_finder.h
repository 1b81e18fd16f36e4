// Looks tensors up in a TensorSource and refuses what is not as expected, in one sentence that
// names file, tensor, expected and found. What the layer reader stands on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/tensor_view.h"
#include "atom/io/tensor_source.h"
#include "atom/quant/code_matrix.h"

namespace atom::artifact {

using io::FoundTensor;

class TensorFinder {
 public:
  /// The source must outlive this.
  explicit TensorFinder(const io::TensorSource& source) : source_(source) {}

  const std::string& source() const { return source_.name(); }

  /// Exactly this dtype and shape.
  Result<FoundTensor> Require(const std::string& name, DType dtype, const Shape& shape) const;
  /// F32, F16 or BF16, every element finite.
  Result<FoundTensor> RequireWeight(const std::string& name, const Shape& shape) const;
  /// A weight that is stored as codes, of this shape and with finite values alone. nullopt: it is
  /// none, or RequireWeight has something to say.
  std::optional<quant::CodeMatrix> FindCodes(const std::string& name, int64_t n, int64_t k) const;
  /// F16, every element finite and above zero.
  Result<FoundTensor> RequireScales(const std::string& name, const Shape& shape) const;
  /// F32 [n], each a row scale of two levels (quant/two_level.h).
  Result<FoundTensor> RequireRowScales(const std::string& name, int64_t n) const;
  /// U8 [groups, (n + 1) / 2]: nibbles of 1 to 15, n of them a row, the last high one of an odd n
  /// 0.
  Result<FoundTensor> RequireMultipliers(const std::string& name, int64_t groups, int64_t n) const;
  /// A weight with one axis, widened.
  Result<std::vector<float>> RequireFloats(const std::string& name, int64_t size) const;
  /// An Error if the tensor is there; `why` completes the sentence.
  Status Refuse(const std::string& name, const std::string& why) const;
  /// Likewise, but a weight of zeros is as good as none.
  Status RefuseUnlessZero(const std::string& name, const std::string& why) const;

 private:
  Result<FoundTensor> RequireOneOf(const std::string& name, std::span<const DType> dtypes,
                                   const Shape& shape) const;

  const io::TensorSource& source_;
};

}  // namespace atom::artifact
