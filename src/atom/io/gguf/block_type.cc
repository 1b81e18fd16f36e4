#include "atom/io/gguf/block_type.h"

#include <array>

#include "atom/core/check.h"
#include "atom/io/gguf/dequantize.h"

namespace atom::io {
namespace {

constexpr BlockType Plain(uint32_t id, std::string_view name, DType dtype, int64_t bytes) {
  return {id, name, 1, bytes, dtype, nullptr};
}
constexpr BlockType Quantized(uint32_t id, std::string_view name, int64_t elements, int64_t bytes,
                              DequantizeBlock dequantize) {
  return {id, name, elements, bytes, std::nullopt, dequantize};
}
// Known by name and size, refused where its elements are wanted.
constexpr BlockType Opaque(uint32_t id, std::string_view name, int64_t elements, int64_t bytes) {
  return {id, name, elements, bytes, std::nullopt, nullptr};
}

constexpr std::array kTypes = {
    Plain(0, "F32", DType::kF32, 4),
    Plain(1, "F16", DType::kF16, 2),
    Plain(30, "BF16", DType::kBF16, 2),
    Quantized(2, "Q4_0", 32, 18, DequantizeQ4_0),
    Quantized(3, "Q4_1", 32, 20, DequantizeQ4_1),
    Quantized(6, "Q5_0", 32, 22, DequantizeQ5_0),
    Quantized(7, "Q5_1", 32, 24, DequantizeQ5_1),
    Quantized(8, "Q8_0", 32, 34, DequantizeQ8_0),
    Quantized(10, "Q2_K", 256, 84, DequantizeQ2_K),
    Quantized(11, "Q3_K", 256, 110, DequantizeQ3_K),
    Quantized(12, "Q4_K", 256, 144, DequantizeQ4_K),
    Quantized(13, "Q5_K", 256, 176, DequantizeQ5_K),
    Quantized(14, "Q6_K", 256, 210, DequantizeQ6_K),
    Quantized(20, "IQ4_NL", 32, 18, DequantizeIQ4_NL),
    Quantized(23, "IQ4_XS", 256, 136, DequantizeIQ4_XS),
    Quantized(34, "TQ1_0", 256, 54, DequantizeTQ1_0),
    Quantized(35, "TQ2_0", 256, 66, DequantizeTQ2_0),
    Opaque(9, "Q8_1", 32, 36),  // of activations, in no file
    Opaque(15, "Q8_K", 256, 292),
    Opaque(16, "IQ2_XXS", 256, 66),
    Opaque(17, "IQ2_XS", 256, 74),
    Opaque(18, "IQ3_XXS", 256, 98),
    Opaque(19, "IQ1_S", 256, 50),
    Opaque(21, "IQ3_S", 256, 110),
    Opaque(22, "IQ2_S", 256, 82),
    Opaque(29, "IQ1_M", 256, 56),
    Opaque(39, "MXFP4", 32, 17),
    Opaque(24, "I8", 1, 1),
    Opaque(25, "I16", 1, 2),
    Opaque(26, "I32", 1, 4),
    Opaque(27, "I64", 1, 8),
    Opaque(28, "F64", 1, 8),
};

}  // namespace

const BlockType* FindBlockType(uint32_t id) {
  for (const BlockType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

const BlockType* FindBlockType(std::string_view name) {
  for (const BlockType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::string ReadableBlockTypes() {
  std::string names;
  for (const BlockType& type : kTypes) {
    if (!type.readable()) continue;
    if (!names.empty()) names += ", ";
    names += type.name;
  }
  return names;
}

void Dequantize(const BlockType& type, std::span<const std::byte> blocks, std::span<float> out) {
  const auto bytes = static_cast<size_t>(type.block_bytes);
  const auto elements = static_cast<size_t>(type.block_elements);
  const size_t count = blocks.size() / bytes;
  ATOM_CHECK(
      type.dequantize != nullptr && blocks.size() % bytes == 0 && out.size() == count * elements,
      "{} bytes of {} give {} elements", blocks.size(), type.name, out.size());
  for (size_t i = 0; i < count; ++i) {
    type.dequantize(blocks.data() + i * bytes, out.data() + i * elements);
  }
}

}  // namespace atom::io
