// The architectures whose GGUF files are read, and how their tensors are called there. One table
// row an architecture; the rest of the reader asks it and never the name.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/gguf/gguf_file.h"
#include "atom/io/json.h"

namespace atom::io {

/// A module by its name in a Hugging Face checkpoint and in GGUF: a fused one is fused in both. In
/// names of modules that each expert has, "*" stands for the expert's number.
struct GgufModule {
  std::string_view name;
  std::string_view gguf_name;
  float offset = 0.0f;  ///< what is added to GGUF's values: it has 1 + w of some norms
};

/// A key behind "ARCHITECTURE." and the field of config.json that says the same.
struct GgufField {
  enum class Kind { kInt, kNumber };
  std::string_view key;
  std::string_view field;
  Kind kind = Kind::kInt;
  bool required = true;
};

struct GgufArchitecture {
  std::string_view name;         ///< general.architecture, and the prefix of its keys
  std::string_view config_name;  ///< config.json's architectures
  std::string_view model_type;   ///< config.json's model_type
  /// Rows of q and k are stored so that the two channels of a RoPE pair are neighbours: row 2 i + j
  /// of a head is row j · head_dim / 2 + i of the checkpoint.
  bool interleaved_rope;
  /// It may rotate a part of each head, have a window, and two tables of LongRoPE's factors.
  bool phi3;
  bool mixture = false;  ///< of experts: the row of files whose expert_count is not 0
  std::span<const GgufModule> layer_modules;  ///< behind "blk.I."
  std::span<const GgufModule> outer_modules;
  std::span<const GgufField> fields = {};  ///< beside those of all architectures
  /// Writes what no key says and config.json must; null: that the activation is SiLU.
  void (*complete)(Json& config) = nullptr;
};

inline constexpr std::string_view kGgufLayerPrefix = "blk.";
/// RoPE frequency divisors, one a pair of channels.
inline constexpr std::string_view kGgufRopeFactors = "rope_freqs.weight";
inline constexpr std::string_view kGgufLongFactors = "rope_factors_long.weight";
inline constexpr std::string_view kGgufShortFactors = "rope_factors_short.weight";

/// The module's name where a row has "*": of that expert.
std::string GgufNameOfExpert(std::string_view pattern, int64_t expert);

/// That of general.architecture, with experts if the file has any; an Error that lists the known
/// ones for another.
Result<const GgufArchitecture*> FindGgufArchitecture(const GgufFile& file);

/// An Error names a tensor that is none of the architecture's, or of a type that cannot be read.
Status CheckGgufTensors(const GgufFile& file, const GgufArchitecture& architecture);

}  // namespace atom::io
