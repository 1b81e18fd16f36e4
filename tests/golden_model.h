// Fixtures of tests/golden whose weights are not kept: weights.json says how each element follows
// from a hash (tools/hashed_weights.py has the rules), and here they are computed, to the bit as
// those that the golden logits belong to. golden.json has the checksum that proves it.
#pragma once

#include <bit>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/half.h"
#include "atom/io/json.h"
#include "atom/io/safetensors.h"

#include "tests/tiny_model.h"

namespace atom::tests {

/// One of each family, three groups of 128 channels in every linear.
inline const std::vector<std::string> kWideFixtures = {
    "wide-gemma2",   "wide-gemma3", "wide-llama", "wide-mistral", "wide-mixtral",  "wide-opt",
    "wide-opt-350m", "wide-phi3",   "wide-qwen2", "wide-qwen3",   "wide-qwen3-moe"};

/// A name that gtest allows.
inline std::string TestName(std::string name) {
  std::erase(name, '-');
  return name;
}

inline uint64_t Fnv1a(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return value;
}

/// splitmix64's finalizer.
inline uint64_t MixBits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Element i of a tensor less its mean, in steps: nearly normal, deviation 209.
inline int HashedNormal(uint64_t key, uint64_t i) {
  const uint64_t x = MixBits(key + (i + 1) * 0x9e3779b97f4a7c15);
  int sum = 0;
  for (int byte = 0; byte < 8; ++byte) sum += static_cast<int>(x >> (8 * byte) & 0xff);
  return sum - 1020;
}

/// `value` as `dtype` stores it.
inline uint32_t StoredBits(float value, DType dtype) {
  if (dtype == DType::kBF16) return ToBFloat16(value).bits;
  if (dtype == DType::kF16) return ToHalf(value).bits;
  return std::bit_cast<uint32_t>(value);
}

/// The sum over elements of bits · (2j + 1), j counting through all tensors.
struct StorageChecksum {
  uint64_t sum = 0;
  uint64_t elements = 0;
  void Add(uint32_t bits) { sum += bits * (2 * elements++ + 1); }
};

/// Rows of `rule` in the file's bytes (little endian, as every machine that Atom runs on).
inline Buffer HashedTensor(const io::Json& rule, uint64_t key, DType dtype,
                           StorageChecksum& checksum) {
  const auto shape = rule.at("shape").get<Shape>();
  const double mean = rule.at("mean").get<double>(), step = rule.at("step").get<double>();
  const double large = rule.value("large", mean);
  const auto every = rule.value("every", uint64_t{0});
  const auto count = static_cast<uint64_t>(ElementCount(shape));
  const size_t size = dtype == DType::kF32 ? 4 : 2;
  Buffer buffer(count * size);
  for (uint64_t i = 0; i < count; ++i) {
    const double middle = every > 0 && (i + 1) % every == 0 ? large : mean;
    const uint32_t bits =
        StoredBits(static_cast<float>(middle + HashedNormal(key, i) * step), dtype);
    checksum.Add(bits);
    std::memcpy(buffer.data() + i * size, &bits, size);
  }
  return buffer;
}

/// Writes the checkpoint that `fixture` describes into the folder `dir`, which must exist.
inline void WriteHashedModel(const std::filesystem::path& fixture,
                             const std::filesystem::path& dir) {
  const Result<io::Json> weights = io::ReadJsonFile(fixture / "weights.json");
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  const Result<io::Json> golden = io::ReadJsonFile(fixture / "golden.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const std::string type = weights->at("dtype");
  const DType dtype = type == "BF16" ? DType::kBF16 : type == "F16" ? DType::kF16 : DType::kF32;
  std::vector<Buffer> buffers;
  std::vector<io::NamedTensor> tensors;
  StorageChecksum checksum;
  for (const auto& [name, rule] : weights->at("tensors").items()) {  // in the order of their names
    const uint64_t key = Fnv1a(fmt::format("{}:{}", weights->at("seed").get<int>(), name));
    buffers.push_back(HashedTensor(rule, key, dtype, checksum));
    tensors.push_back(
        {name, TensorView{dtype, rule.at("shape").get<Shape>(), buffers.back().data()}});
  }
  ASSERT_EQ(fmt::format("{:016x}", checksum.sum), golden->at("weights").get<std::string>());
  ASSERT_TRUE(io::WriteSafetensors(dir / "model.safetensors", tensors, {}).ok());
  std::filesystem::copy_file(fixture / "config.json", dir / "config.json");
}

/// A checkpoint of tests/golden that can be opened: the folder itself or, where its weights are
/// only described, a temporary one that has them.
class GoldenModel {
 public:
  explicit GoldenModel(const std::filesystem::path& fixture) : dir_(fixture) {
    if (!std::filesystem::exists(fixture / "weights.json")) return;
    folder_.emplace();
    dir_ = folder_->path();
    WriteHashedModel(fixture, dir_);
  }
  const std::filesystem::path& dir() const { return dir_; }

 private:
  std::filesystem::path dir_;
  std::optional<TemporaryFolder> folder_;
};

}  // namespace atom::tests
