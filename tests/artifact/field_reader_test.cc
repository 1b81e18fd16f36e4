#include "atom/artifact/field_reader.h"

#include <bit>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/core/rng.h"

namespace atom::artifact {
namespace {

using nlohmann::json;

TEST(ShortestDecimal, ReadsAsAPersonWroteIt) {
  EXPECT_EQ(json(ShortestDecimal(0.9f)).dump(), "0.9");
  EXPECT_EQ(json(ShortestDecimal(0.85f)).dump(), "0.85");
  EXPECT_EQ(json(ShortestDecimal(1.0f)).dump(), "1.0");
}

TEST(ShortestDecimal, ComesBackBitForBit) {
  Rng rng(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto bits = static_cast<uint32_t>(rng.Below(0x7f800000));
    const double decimal = ShortestDecimal(std::bit_cast<float>(bits));
    ASSERT_EQ(std::bit_cast<uint32_t>(static_cast<float>(decimal)), bits);
  }
}

TEST(FieldReader, KeepsTheFirstComplaintAndTheDefaults) {
  const json object = {{"a", "x"}, {"b", 300}, {"c", 5}};
  FieldReader fields(object, "here", FieldReader::Missing::kKeep, {"a", "b", "c", "d"});
  int8_t c = 1;
  fields.Integer("c", c);
  EXPECT_EQ(c, 5);
  double d = 2.5;
  fields.Number("d", d);
  EXPECT_EQ(d, 2.5);
  EXPECT_TRUE(fields.ok());
  int8_t b = 7;
  fields.Integer("b", b);
  bool a = true;
  fields.Bool("a", a);
  EXPECT_EQ(b, 7);
  EXPECT_TRUE(a);
  EXPECT_EQ(fields.status().error().message,
            "here: field 'b' is the number 300, expected an integer from -128 to 127");
}

}  // namespace
}  // namespace atom::artifact
