// The bytes of an artifact's layer, against a file that an independent script spelled from the
// format's description (tests/golden/make_artifact_layer.py).
#include "atom/artifact/layer_tensors.h"

#include <cmath>
#include <gtest/gtest.h>

#include "atom/artifact/reader.h"

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

constexpr const char* kGolden = ATOM_SOURCE_DIR "/tests/golden/artifact_layer.safetensors";

quant::QuantizedMatrix GoldenMatrix(int index, int64_t n, int64_t k4, int64_t k8) {
  quant::QuantizedMatrix matrix(n, k4, k8, 8);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < k4; ++column) {
      matrix.SetCode4(row, column, static_cast<int>((index * 5 + row * 3 + column * 7) % 16 - 8));
    }
    for (int64_t column = 0; column < k8; ++column) {
      matrix.codes8[static_cast<size_t>(row * k8 + column)] =
          static_cast<int8_t>((index * 31 + row * 17 + column * 13) % 256 - 128);
    }
    for (int64_t group = 0; group < k4 / 8; ++group) {
      const auto exponent = static_cast<int>((group + row + index) % 9);
      matrix.scales4[static_cast<size_t>(group * n + row)] = ToHalf(std::ldexp(1.0f, -exponent));
    }
    matrix.scales8[static_cast<size_t>(row)] = ToHalf(static_cast<float>(row + 1) / 64.0f);
  }
  return matrix;
}

HostLayer GoldenLayer() {
  const std::map<int64_t, std::array<int64_t, 2>> splits = {
      {20, {16, 4}}, {24, {16, 8}}, {28, {24, 4}}};
  const LayerShape shape = TinyShape();
  HostLayer host(shape);
  for (size_t i = 0; i < shape.linears.size(); ++i) {
    const LinearShape& linear = shape.linears[i];
    const auto [k4, k8] = splits.at(linear.k);
    host[linear.name].weight = GoldenMatrix(static_cast<int>(i), linear.n, k4, k8);
    for (int64_t row = 0; linear.bias && row < linear.n; ++row) {
      host[linear.name].bias.push_back(static_cast<float>(row) / 4.0f - 0.5f);
    }
    std::vector<int32_t> source;
    const SiteName site = InputSite(linear.name);
    for (int64_t j = 0; j < linear.k; ++j) {
      source.push_back(static_cast<int32_t>((j + static_cast<int>(site.role) + 1) % linear.k));
    }
    host[site].permutation = quant::Permutation(source);
  }
  for (int i = 0; i < 20; ++i) {
    host[NormRole::kInput].weight.push_back(1.0f + static_cast<float>(i) / 8.0f);
    host[NormRole::kFfn].weight.push_back(2.0f - static_cast<float>(i) / 8.0f);
  }
  return host;
}

TEST(LayerTensors, AreTheGoldenBytes) {
  const TempFolder folder;
  const HostLayer host = GoldenLayer();
  const auto path = folder / "layer.safetensors";
  ASSERT_TRUE(io::WriteSafetensors(path, LayerTensors(host, 0), {{"format", "pt"}}).ok());
  EXPECT_EQ(FileBytes(path), FileBytes(kGolden));
}

TEST(LayerTensors, StartWithTheCodesOfQ) {
  const std::string bytes = FileBytes(kGolden);
  const size_t header = static_cast<uint8_t>(bytes[0]) + 256u * static_cast<uint8_t>(bytes[1]);
  ASSERT_EQ((8 + header) % 64, 0u);
  // Codes -8, -1, 6, -3 (= 0 + 7c mod 16, less 8), the even column in the low nibble.
  EXPECT_EQ(static_cast<uint8_t>(bytes[8 + header]), 0xf8);
  EXPECT_EQ(static_cast<uint8_t>(bytes[8 + header + 1]), 0xd6);
}

TEST(LayerTensors, AreReadBackFromTheGoldenBytes) {
  const auto file = io::SafetensorsFile::Open(kGolden);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const QuantizationConfig config = TinyConfig(1);
  const std::string name = kGolden;
  const auto host =
      ReadLayer(io::SafetensorsSource(std::span(&*file, 1), name), 0, TinyShape(), &config);
  ASSERT_TRUE(host.ok()) << host.error().message;
  EXPECT_EQ(Stored(*host), Stored(GoldenLayer()));
}

TEST(PackedParts, WithoutElementsForPartsThatAreNotStored) {
  const auto w8 = PackedParts(6, {0, 10, 0});
  EXPECT_EQ(ElementCount(w8[kCodes4].shape), 0);
  EXPECT_EQ(ElementCount(w8[kScales4].shape), 0);
  EXPECT_EQ(w8[kCodes8].shape, (Shape{6, 10}));
  EXPECT_EQ(w8[kScales8].shape, (Shape{6}));
  EXPECT_EQ(ElementCount(w8[kMultipliers4].shape), 0);
  EXPECT_EQ(ElementCount(w8[kRowScales4].shape), 0);
  const auto two_level = PackedParts(7, {16, 0, 4, quant::ScaleFormat::kTwoLevel});
  EXPECT_EQ(ElementCount(two_level[kScales4].shape), 0);
  EXPECT_EQ(two_level[kMultipliers4].shape, (Shape{4, 4}));
  EXPECT_EQ(two_level[kRowScales4].shape, (Shape{7}));
  const auto w4 = PackedParts(6, {16, 0, 4});
  EXPECT_EQ(w4[kCodes4].shape, (Shape{6, 8}));
  EXPECT_EQ(w4[kScales4].shape, (Shape{4, 6}));
  EXPECT_EQ(ElementCount(w4[kCodes8].shape), 0);
  EXPECT_EQ(ElementCount(w4[kScales8].shape), 0);
}

TEST(ShardName, CountsFromOneInFiveDigits) {
  EXPECT_EQ(ShardName(1, 8), "model-00001-of-00008.safetensors");
  EXPECT_EQ(ShardName(123456, 123456), "model-123456-of-123456.safetensors");
}

}  // namespace
}  // namespace atom::artifact
