// Every quantized type against vectors that the `gguf` package of Python made, bit for bit:
// tools/make_gguf_golden.py. ATOM_GGUF_BLOCKS names other vectors, such as fresh ones.
#include "atom/io/gguf/block_type.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>

#include "atom/io/json.h"

namespace atom::io {
namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

TEST(BlockType, DequantizesAsTheGgufPackageDoes) {
  const char* other = std::getenv("ATOM_GGUF_BLOCKS");
  const Result<Json> golden =
      ReadJsonFile(other != nullptr ? other : ATOM_SOURCE_DIR "/tests/golden/gguf/blocks.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  for (const auto& [name, vectors] : golden->items()) {
    const BlockType* type = FindBlockType(name);
    ASSERT_NE(type, nullptr) << name;
    ASSERT_NE(type->dequantize, nullptr) << name;
    const std::string blocks = FromHex(vectors.at("blocks"));
    const std::string expected = FromHex(vectors.at("values"));
    std::vector<float> found(expected.size() / sizeof(float), -1.0f);
    Dequantize(*type, std::as_bytes(std::span(blocks)), found);
    for (size_t i = 0; i < found.size(); ++i) {
      float value = 0.0f;
      std::memcpy(&value, expected.data() + i * sizeof(float), sizeof(float));
      ASSERT_EQ(std::bit_cast<uint32_t>(found[i]), std::bit_cast<uint32_t>(value))
          << name << " element " << i << ": " << found[i] << ", expected " << value;
    }
  }
}

TEST(BlockType, TheGoldenVectorsAreOfEveryQuantizedType) {
  const Result<Json> golden = ReadJsonFile(ATOM_SOURCE_DIR "/tests/golden/gguf/blocks.json");
  ASSERT_TRUE(golden.ok());
  for (uint32_t id = 0; id < 64; ++id) {
    const BlockType* type = FindBlockType(id);
    if (type == nullptr || type->dequantize == nullptr) continue;
    EXPECT_TRUE(golden->contains(type->name)) << type->name;
  }
}

TEST(BlockType, NamesWhatItReads) {
  EXPECT_EQ(ReadableBlockTypes(),
            "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, "
            "IQ4_XS, TQ1_0, TQ2_0");
  EXPECT_FALSE(FindBlockType("IQ2_XXS")->readable());
  EXPECT_EQ(FindBlockType(4), nullptr);
}

}  // namespace
}  // namespace atom::io
