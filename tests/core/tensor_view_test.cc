#include "atom/core/tensor_view.h"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "atom/core/buffer.h"

namespace atom {
namespace {

using ::testing::ElementsAre;

TEST(TensorViewTest, ElementCount) {
  EXPECT_EQ(ElementCount({}), 1);  // a scalar
  EXPECT_EQ(ElementCount({3, 5, 7}), 105);
  EXPECT_EQ(ElementCount({3, 0, 7}), 0);
  EXPECT_EQ(ElementCount({3, -1}), -1);
  EXPECT_EQ(ElementCount({int64_t{1} << 62, 2}), -1);
  EXPECT_EQ(ElementCount({int64_t{1} << 32, int64_t{1} << 30}), int64_t{1} << 62);
  EXPECT_EQ(ShapeString({4096, 512}), "[4096, 512]");
  EXPECT_EQ(ShapeString({}), "[]");
}

TEST(TensorViewTest, WidensFromAnyAddress) {
  const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff};   // 1, -2, 65504
  const uint16_t bfloats[] = {0x3f80, 0xc000, 0x4780};  // 1, -2, 65536
  const float floats[] = {1.5f, -2.0f, 1e30f};
  std::vector<std::byte> bytes(1 + sizeof(floats));
  std::byte* odd = bytes.data() + 1;

  std::memcpy(odd, halves, sizeof(halves));
  EXPECT_THAT(ToFloats({DType::kF16, {3}, odd}), ElementsAre(1.0f, -2.0f, 65504.0f));
  std::memcpy(odd, bfloats, sizeof(bfloats));
  EXPECT_THAT(ToFloats({DType::kBF16, {3, 1}, odd}), ElementsAre(1.0f, -2.0f, 65536.0f));
  std::memcpy(odd, floats, sizeof(floats));
  EXPECT_THAT(ToFloats({DType::kF32, {1, 3}, odd}), ElementsAre(1.5f, -2.0f, 1e30f));

  std::vector<float> part(2);
  ReadFloats({DType::kF32, {3}, odd}, 1, part);
  EXPECT_THAT(part, ElementsAre(-2.0f, 1e30f));
}

TEST(TensorViewDeathTest, RangeAndType) {
  const float floats[] = {1.0f};
  const auto* data = reinterpret_cast<const std::byte*>(floats);
  std::vector<float> two(2);
  EXPECT_DEATH(ReadFloats({DType::kF32, {1}, data}, 0, two), "elements \\[0, \\+2\\) of \\[1\\]");
  EXPECT_DEATH((void)ToFloats({DType::kI32, {1}, data}), "I32 is not a float weight type");
}

TEST(BufferTest, AlignedZeroedAndMovable) {
  Buffer buffer(100);
  EXPECT_EQ(buffer.size(), 100u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % Buffer::kAlignment, 0u);
  for (const std::byte b : buffer.As<std::byte>()) EXPECT_EQ(b, std::byte{0});
  buffer.As<float>()[24] = 2.5f;
  Buffer moved = std::move(buffer);
  EXPECT_EQ(moved.As<float>()[24], 2.5f);
  EXPECT_EQ(buffer.size(), 0u) << "what was moved from is empty";  // NOLINT: asked on purpose
  EXPECT_TRUE(buffer.As<float>().empty());
  buffer = std::move(moved);
  EXPECT_EQ(buffer.size(), 100u);
  EXPECT_EQ(moved.size(), 0u);
  EXPECT_EQ(Buffer().size(), 0u);
  EXPECT_EQ(Buffer(0).data(), nullptr);
}

}  // namespace
}  // namespace atom
