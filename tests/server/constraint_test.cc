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
    while (constraint.state() == engine::MaskState::kPending) {
      constraint.WaitFor(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(constraint.state(), engine::MaskState::kReady);
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

TEST_F(ConstraintTest, WhatTakesTooMuchFails) {
  MaskThreads narrow({.walk_bytes = 1000});
  served_.model.mask_threads = &narrow;
  {
    auto made = Make(FormatKind::kJsonObject);
    engine::TokenConstraint& constraint = *std::get<TokenConstraints>(made)[0];
    while (constraint.state() == engine::MaskState::kPending) {
      constraint.WaitFor(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(constraint.state(), engine::MaskState::kFailed);
    EXPECT_NE(constraint.error().find("response_format"), std::string::npos);
    EXPECT_GT(narrow.grammar_bytes, 10'000);
  }
  // The thread that worked on the mask may be the last that lets go.
  EXPECT_TRUE(Soon([&narrow] { return narrow.grammar_bytes == 0; }));
  EXPECT_TRUE(Soon([&narrow] { return narrow.mask_bytes == 0; }));
  MaskThreads full({.grammar_bytes = -1});
  served_.model.mask_threads = &full;
  const auto refused = Make(FormatKind::kJsonObject);
  EXPECT_EQ(std::get<ApiError>(refused).status, 429);
}

TEST_F(ConstraintTest, WhatWasWorkedOutIsShared) {
  auto made = Make(FormatKind::kJsonObject, "", 2);
  auto& constraints = std::get<TokenConstraints>(made);
  EXPECT_TRUE(Writes(*constraints[0], R"({"a":1})"));
  const int64_t kept = served_.mask_threads.mask_bytes;
  EXPECT_GT(kept, 0);
  EXPECT_TRUE(Writes(*constraints[1], R"({"a":1})"));
  EXPECT_EQ(served_.mask_threads.mask_bytes, kept);
}

// Bytes that the model has no tokens for are not needed but where the schema says so.
TEST_F(ConstraintTest, AVocabularyMayLackBytes) {
  std::vector<std::string> tokens(260);
  for (int byte = 0; byte < 0x80; ++byte) {
    if (byte != '%') tokens[static_cast<size_t>(3 + byte)].push_back(static_cast<char>(byte));
  }
  const grammar::TokenTrie narrow(tokens, {kEnd}, 260);
  served_.model.trie = &narrow;
  {
    auto made = Make(FormatKind::kJsonObject);
    engine::TokenConstraint& constraint = *std::get<TokenConstraints>(made)[0];
    EXPECT_FALSE(Allows(constraint, 3 + 0xC3));
    EXPECT_TRUE(Writes(constraint, R"({"a":["\u00e4", 1]})"));
  }
  const auto refused = Make(FormatKind::kJsonSchema, R"({"const": "9 %"})");
  EXPECT_EQ(std::get<ApiError>(refused).param, "response_format");
  EXPECT_EQ(std::get<ApiError>(refused).message,
            "response_format: the schema at '#': needs '%' (UTF-8 25), which the model has no "
            "tokens for");
  const grammar::TokenTrie endless(tokens, {}, 260);
  served_.model.trie = &endless;
  EXPECT_NE(std::get<ApiError>(Make(FormatKind::kJsonObject)).message.find("ends a text"),
            std::string::npos);
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
