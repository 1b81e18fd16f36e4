// Where tensors come from, by name: the files of a checkpoint, an artifact, later GGUF. What reads
// a model asks a TensorSource and knows no file format; what a format spells otherwise (names,
// fused tensors, transposed ones, rows in another order, its own quantization) is undone here.
//
//   names of the model ─ TensorPlace: which tensor, which rows, … ─ Find in the files ─ Take
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/buffer.h"
#include "atom/core/tensor_view.h"
#include "atom/io/safetensors.h"

namespace atom::io {

struct FoundTensor {
  TensorView view;                    ///< of a mapped file, or of `owned`
  Buffer owned;                       ///< what had to be rearranged or dequantized; empty otherwise
  const std::string* file = nullptr;  ///< for sentences; lives as long as the source
  /// The type that a model which runs keeps the values in, if not their own: blocks of GGUF take
  /// at most eight bits each, and fp32 would take 32.
  std::optional<DType> runs_as = std::nullopt;
};

struct StoredCodes;

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Names the whole, for tensors that are in none of its files.
  virtual const std::string& name() const = 0;
  virtual std::optional<FoundTensor> Find(std::string_view tensor) const = 0;
  /// A weight that is stored as codes (stored_codes.h), as them; nullopt: it is found as a tensor
  /// alone.
  virtual std::optional<StoredCodes> FindCodes(std::string_view tensor) const;
};

/// Safetensors files, their names as they are. Files and name must outlive it.
class SafetensorsSource final : public TensorSource {
 public:
  SafetensorsSource(std::span<const SafetensorsFile> files, const std::string& name)
      : files_(files), name_(name) {}
  const std::string& name() const override { return name_; }
  std::optional<FoundTensor> Find(std::string_view tensor) const override;

 private:
  std::span<const SafetensorsFile> files_;
  const std::string& name_;
};

/// Where a tensor lies in a file, and what has to be done to it, in this order.
struct TensorPlace {
  std::string name;
  bool transposed = false;  ///< the file has [K][N]
  // Rows of the first axis: one part of a fused tensor.
  int64_t first_row = 0;
  int64_t rows = 0;  ///< 0: all
  /// Row i of the result is row row_order[i]; empty: they are in order. (GGUF interleaves q and k.)
  std::vector<int32_t> row_order = {};
  /// Added to every value, which makes it fp32. (GGUF has 1 + w of norms that others store as w.)
  float offset = 0.0f;

  bool as_it_is() const { return rows == 0 && row_order.empty() && !transposed && offset == 0.0f; }
};

/// The part of `tensor` that the place describes. nullopt: it does not have it (too few rows or
/// axes). Row ranges are views; the rest is copied.
std::optional<FoundTensor> Take(FoundTensor tensor, const TensorPlace& place);

}  // namespace atom::io
