#include "atom/core/dtype.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace atom {
namespace {

struct Expected {
  DType dtype;
  std::string name;
  int64_t bytes;
};

const std::vector<Expected>& AllTypes() {
  static const std::vector<Expected> kAll = {
      {DType::kBool, "BOOL", 1},      {DType::kU8, "U8", 1},          {DType::kI8, "I8", 1},
      {DType::kF8E4M3, "F8_E4M3", 1}, {DType::kF8E5M2, "F8_E5M2", 1}, {DType::kI16, "I16", 2},
      {DType::kU16, "U16", 2},        {DType::kF16, "F16", 2},        {DType::kBF16, "BF16", 2},
      {DType::kI32, "I32", 4},        {DType::kU32, "U32", 4},        {DType::kF32, "F32", 4},
      {DType::kI64, "I64", 8},        {DType::kU64, "U64", 8},        {DType::kF64, "F64", 8},
  };
  return kAll;
}

TEST(DTypeTest, TableIsThatOfSafetensors) {
  for (const Expected& e : AllTypes()) {
    EXPECT_EQ(DTypeName(e.dtype), e.name);
    EXPECT_EQ(DTypeSize(e.dtype), e.bytes) << e.name;
    EXPECT_EQ(DTypeFromName(e.name), e.dtype) << e.name;
  }
}

TEST(DTypeTest, UnknownNames) {
  for (const char* name : {"", "f32", "F32 ", "BF-16", "float32", "F4"}) {
    EXPECT_FALSE(DTypeFromName(name).has_value()) << name;
  }
}

TEST(DTypeTest, OnlyThreeMayBeWeights) {
  for (const Expected& e : AllTypes()) {
    EXPECT_EQ(IsFloatWeight(e.dtype), e.name == "F32" || e.name == "F16" || e.name == "BF16")
        << e.name;
  }
}

}  // namespace
}  // namespace atom
