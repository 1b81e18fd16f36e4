// What config.json says of weights that another program quantized: which format, in which of its
// spellings. One table; what is not in it is refused by name, with the list of what is.
//
//   quantization_config ─ quant_method ─ ReadForeignFormat ─ ForeignFormat ─ ForeignWeights
//
// docs/formats/ has a page for each: gptq.md, awq.md, compressed_tensors.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"

namespace atom::io {

enum class ForeignMethod { kGptq, kAwq, kCompressedTensors };
std::string_view Name(ForeignMethod method);  ///< quant_method: "gptq", "awq", …
std::optional<ForeignMethod> ForeignMethodFromName(std::string_view name);
/// Those that are read, comma-separated.
std::string ForeignMethodNames();

/// How the modules of one config group are quantized.
struct ForeignScheme {
  int bits = 4;            ///< 4 or 8
  int64_t group = 0;       ///< inputs that share a scale; 0: all of a row
  bool symmetric = false;  ///< there are no zero points: code 2^(bits − 1) is zero
};

struct ForeignFormat {
  ForeignMethod method = ForeignMethod::kGptq;
  std::vector<ForeignScheme> schemes;  ///< one, but for compressed-tensors
  bool zeros_minus_one = false;        ///< GPTQ's first version stores zero points minus one
};

/// nullopt: config.json has no quantization_config, or that of a method which is not in the table
/// (Atom's own is one). `source` starts the sentences.
Result<std::optional<ForeignFormat>> ReadForeignFormat(const Json& config,
                                                       const std::string& source);

}  // namespace atom::io
