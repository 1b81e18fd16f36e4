// The weights of a folder that another program quantized, by the names that they would have in an
// unquantized one: "model.layers.0.mlp.up_proj.weight" where the files have up_proj.qweight and its
// companions. Dequantized when they are asked for; everything above reads a checkpoint.
//
//   q_proj.qweight, .qzeros, .scales, .g_idx ─ Open: checked ─ ForeignMatrix ─ Find: q_proj.weight
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/foreign/foreign_format.h"
#include "atom/io/foreign/foreign_matrix.h"
#include "atom/io/stored_codes.h"
#include "atom/io/tensor_source.h"

namespace atom::io {

class ForeignWeights {
 public:
  /// A tensor of the files. Views must outlive what is made of them.
  using FindStored = std::function<std::optional<FoundTensor>(std::string_view)>;

  /// Checks types and shapes of all modules, and that each input's group exists: afterwards nothing
  /// can go wrong. Reads headers, and the group of each input where the files say it.
  static Result<ForeignWeights> Open(ForeignFormat format, std::span<const std::string> names,
                                     const FindStored& find);

  const ForeignFormat& format() const { return format_; }
  const std::map<std::string, ForeignMatrix, std::less<>>& matrices() const { return matrices_; }
  /// Whether the tensor of that name is a part of one of them.
  bool IsPart(std::string_view name) const { return parts_.contains(name); }
  /// `name` as an unquantized checkpoint has it; nullopt: none of these weights.
  std::optional<FoundTensor> Find(std::string_view name) const;
  std::optional<StoredCodes> FindCodes(std::string_view name) const;

 private:
  explicit ForeignWeights(ForeignFormat format) : format_(std::move(format)) {}
  Status Add(const std::string& module, const FindStored& find);

  ForeignFormat format_;
  std::map<std::string, ForeignMatrix, std::less<>> matrices_;  // by "MODULE.weight"
  std::set<std::string, std::less<>> parts_;
};

}  // namespace atom::io
