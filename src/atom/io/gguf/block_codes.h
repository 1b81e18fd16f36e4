// The blocks of GGUF that run packed, as codes: Q4_0, Q4_1, Q8_0, groups of 32.
#pragma once

#include <optional>

#include "atom/io/gguf/gguf_file.h"
#include "atom/io/stored_codes.h"

namespace atom::io {

/// Whether tensors of the type can be taken as codes.
bool HasCodes(const BlockType& type);
/// FoundTensor's: bf16 for types that are dequantized whoever runs them, nothing for those that can
/// run packed and for plain ones.
std::optional<DType> RunsAs(const BlockType& type);
/// REQUIRES: HasCodes, and two axes.
StoredCodes CodesOf(const GgufTensor& tensor);
CodeSizes CodeSizesOf(const GgufTensor& tensor);

}  // namespace atom::io
