#include "atom/io/gguf/block_codes.h"

#include <array>

#include "atom/core/check.h"
#include "atom/io/gguf/block_bytes.h"

namespace atom::io {
namespace {

constexpr int64_t kBlock = 32;
constexpr int kHalf = 16;

/// d fp16 | m fp16, perhaps | codes: nibbles, the first half of them low, or signed bytes
struct CodeBlock {
  std::string_view type;
  int bits;
  bool offset;
};
constexpr std::array kBlocks = {CodeBlock{"Q4_0", 4, false}, CodeBlock{"Q4_1", 4, true},
                                CodeBlock{"Q8_0", 8, false}};

const CodeBlock* FindBlock(const BlockType& type) {
  for (const CodeBlock& block : kBlocks) {
    if (block.type == type.name) return &block;
  }
  return nullptr;
}

}  // namespace

bool HasCodes(const BlockType& type) { return FindBlock(type) != nullptr; }

std::optional<DType> RunsAs(const BlockType& type) {
  if (type.dtype || HasCodes(type)) return std::nullopt;
  return DType::kBF16;
}

CodeSizes CodeSizesOf(const GgufTensor& tensor) {
  const CodeBlock* block = FindBlock(*tensor.type);
  ATOM_CHECK(block != nullptr && tensor.shape.size() == 2, "codes of {}", tensor.name);
  return {.n = tensor.shape[0],
          .k = tensor.shape[1],
          .groups = tensor.shape[1] / kBlock,
          .bits = block->bits,
          .parameter_bytes = block->offset ? 4 : 2};
}

StoredCodes CodesOf(const GgufTensor& tensor) {
  const CodeSizes sizes = CodeSizesOf(tensor);
  const CodeBlock& block = *FindBlock(*tensor.type);
  StoredCodes codes{.n = sizes.n, .k = sizes.k, .bits = block.bits, .group = kBlock};
  codes.codes.resize(static_cast<size_t>(sizes.n * sizes.k));
  const auto count = static_cast<size_t>(sizes.n * sizes.groups);
  codes.scales.resize(count);
  if (block.offset) codes.offsets.resize(count);
  const auto block_bytes = static_cast<size_t>(tensor.type->block_bytes);
  uint8_t* out = codes.codes.data();
  for (size_t i = 0; i < count; ++i) {
    const std::byte* bytes = tensor.data.data() + i * block_bytes;
    codes.scales[i] = HalfAt(bytes);
    if (block.offset) codes.offsets[i] = HalfAt(bytes + 2);
    bytes += block.offset ? 4 : 2;
    for (int j = 0; j < kBlock; ++j) {
      *out++ = static_cast<uint8_t>(block.bits == 8 ? SignedByteAt(bytes, j) + 128
                                                    : SplitNibble(bytes, j, kHalf));
    }
  }
  return codes;
}

}  // namespace atom::io
