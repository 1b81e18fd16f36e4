#include "atom/io/field_reader.h"

#include <bit>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/core/rng.h"

namespace atom::io {
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
  fields.Int("c", c);
  EXPECT_EQ(c, 5);
  double d = 2.5;
  fields.Number("d", d);
  EXPECT_EQ(d, 2.5);
  EXPECT_TRUE(fields.ok());
  int8_t b = 7;
  fields.Int("b", b);
  bool a = true;
  fields.Bool("a", a);
  EXPECT_EQ(b, 7);
  EXPECT_TRUE(a);
  EXPECT_EQ(fields.status().error().message,
            "here: field 'b' is the number 300, expected an integer from -128 to 127");
}

TEST(FieldReader, GivesValuesInRange) {
  const json object = {{"n", 3}, {"p", 0.0}, {"s", nullptr}, {"extra", 1}};
  FieldReader fields(object, "here", FieldReader::Missing::kKeep);
  EXPECT_EQ(fields.Int("n", {.least = 1, .most = 3}), 3);
  EXPECT_EQ(fields.String("s"), std::nullopt);
  EXPECT_EQ(fields.Number("absent"), std::nullopt);
  fields.Ignore("p");
  EXPECT_EQ(fields.UnknownField(), "extra");
  EXPECT_TRUE(fields.ok());
  EXPECT_EQ(fields.Number("p", {.least = 0.0, .most = 1.0, .open = true}), std::nullopt);
  EXPECT_EQ(fields.status().error().message,
            "here: field 'p' is the number 0.0, expected a number above 0 and at most 1");
  EXPECT_EQ(fields.complaint()->key, "p");
}

TEST(FieldReader, RefusesWhatIsMissingUnknownOrNoObject) {
  const json object = {{"a", nullptr}, {"b", 1}};
  FieldReader missing(object, "here", FieldReader::Missing::kRefuse);
  EXPECT_EQ(missing.Bool("a"), std::nullopt);
  EXPECT_EQ(missing.status().error().message, "here: field 'a' is missing");
  const FieldReader unknown(object, "here", FieldReader::Missing::kKeep, {"a"});
  EXPECT_EQ(unknown.status().error().message, "here: unknown field 'b', expected one of a");
  const json array = json::array();
  FieldReader none(array, "here", FieldReader::Missing::kKeep);
  EXPECT_EQ(none.Int("a"), std::nullopt);
  EXPECT_EQ(none.status().error().message, "here: found an array, expected an object");
}

}  // namespace
}  // namespace atom::io
