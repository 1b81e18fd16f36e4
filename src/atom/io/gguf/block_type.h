// The tensor types of GGUF, in one table: what they are called, how many elements a block has, how
// many bytes, and what Atom makes of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/dtype.h"

namespace atom::io {

/// Writes the elements of one block. `block` has the type's block_bytes, `out` its block_elements.
using DequantizeBlock = void (*)(const std::byte* block, float* out);

struct BlockType {
  uint32_t id;            ///< in the file
  std::string_view name;  ///< "Q4_K"
  int64_t block_elements;
  int64_t block_bytes;
  std::optional<DType> dtype;  ///< of a plain type that weights may have as it is
  DequantizeBlock dequantize;  ///< of a quantized type; null where it is not known

  bool readable() const { return dtype.has_value() || dequantize != nullptr; }
  /// Elements are dequantized to fp32; plain types stay what they are.
  DType read_dtype() const { return dtype.value_or(DType::kF32); }
};

/// nullptr: no such type. Pointers into the table.
const BlockType* FindBlockType(uint32_t id);
const BlockType* FindBlockType(std::string_view name);

/// Names of what can be read, comma-separated.
std::string ReadableBlockTypes();

/// `blocks` holds whole blocks, `out` has their elements. REQUIRES: type.dequantize.
void Dequantize(const BlockType& type, std::span<const std::byte> blocks, std::span<float> out);

}  // namespace atom::io
