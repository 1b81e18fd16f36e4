// The tensors of a GGUF file by their names there: plain ones as views, quantized ones dequantized
// to fp32 when they are asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "atom/io/gguf/gguf_file.h"
#include "atom/io/tensor_source.h"

namespace atom::io {

class GgufSource final : public TensorSource {
 public:
  /// The file must outlive it, and all its tensors be readable (CheckGgufTensors).
  explicit GgufSource(const GgufFile& file) : file_(file) {}

  const std::string& name() const override { return file_.source(); }
  std::optional<FoundTensor> Find(std::string_view tensor) const override;
  std::optional<StoredCodes> FindCodes(std::string_view tensor) const override;

 private:
  const GgufFile& file_;
};

}  // namespace atom::io
