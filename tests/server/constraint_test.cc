// Forms of answers, token by token with a vocabulary of bytes.
#include "atom/server/constraint.h"

#include "tests/server/running_service.h"

namespace atom::server {
namespace {

class ConstraintTest : public ::testing::Test {
 protected:
  OrApiError<TokenConstraints> Make(FormatKind kind, const std::string& schema = "",
                                    int64_t count = 1) const {
    AnswerOptions options;
    options.format = {.kind = kind, .schema = schema};
    return MakeConstraints(options, served_.model, count);
  }
  static bool Allows(engine::TokenConstraint& constraint, int32_t id) {
    const auto words = constraint.Allowed();
    return (words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
  }
  /// Whether the bytes of `text` can be written and then the text can end.
  static bool Writes(engine::TokenConstraint& constraint, const std::string& text) {
    for (const char c : text) {
      const int32_t id = 3 + static_cast<unsigned char>(c);
      if (!Allows(constraint, id)) return false;
      constraint.Accept(id);
    }
    return Allows(constraint, kEnd);
  }
  static constexpr int32_t kEnd = 2;
  TinyServed served_;
};

TEST_F(ConstraintTest, TextHasNone) {
  const auto made = Make(FormatKind::kText, "", 2);
  const auto& constraints = std::get<TokenConstraints>(made);
  ASSERT_EQ(constraints.size(), 2u);
  EXPECT_EQ(constraints[1], nullptr);
}

TEST_F(ConstraintTest, AnswersToOneRequestAreIndependent) {
  auto made = Make(FormatKind::kJsonSchema, R"({"enum": ["ab", "cd", 7]})", 3);
  auto& constraints = std::get<TokenConstraints>(made);
  EXPECT_TRUE(Writes(*constraints[0], "\"ab\""));
  EXPECT_TRUE(Writes(*constraints[1], "7"));
  constraints.erase(constraints.begin(), constraints.begin() + 2);
  EXPECT_FALSE(Allows(*constraints[0], kEnd));
  EXPECT_FALSE(Writes(*constraints[0], "\"ad"));
}

TEST_F(ConstraintTest, AnyObjectEndsWithItself) {
  auto made = Make(FormatKind::kJsonObject);
  engine::TokenConstraint& constraint = *std::get<TokenConstraints>(made)[0];
  EXPECT_FALSE(Allows(constraint, 3 + '['));
  EXPECT_FALSE(Allows(constraint, 1));  // bos
  EXPECT_TRUE(Writes(constraint, R"({"a":[1,{"b":null}]})"));
  EXPECT_FALSE(Allows(constraint, 3 + ','));
}

TEST_F(ConstraintTest, WhatCannotBeKeptToIsRefused) {
  const auto refused = [](const OrApiError<TokenConstraints>& made) {
    const auto* error = std::get_if<ApiError>(&made);
    return error != nullptr && error->status == 400 && error->param == "response_format";
  };
  EXPECT_TRUE(refused(Make(FormatKind::kJsonSchema, R"({"type": "nonsense"})")));
  EXPECT_TRUE(refused(Make(FormatKind::kJsonSchema, R"({"$ref": "#"})")));
  EXPECT_TRUE(
      refused(Make(FormatKind::kJsonSchema, R"json({"type": "string", "pattern": "(?<=x)"})json")));
  AnswerOptions endless;
  endless.format.kind = FormatKind::kJsonObject;
  endless.stop.ignore_eos = true;
  EXPECT_TRUE(refused(MakeConstraints(endless, served_.model, 1)));
}

}  // namespace
}  // namespace atom::server
