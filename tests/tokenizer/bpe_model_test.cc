#include "atom/tokenizer/bpe_model.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

using Ids = std::vector<int32_t>;

Ids Encode(const BpeModel& model, std::string_view word) {
  BpeScratch scratch;
  Ids ids;
  model.EncodeWord(word, scratch, ids);
  return ids;
}

// Characters x, y, xy; 0 is the unknown token.
BpeSpec Characters() {
  BpeSpec spec;
  spec.atoms = BpeAtoms::kCharacters;
  spec.tokens = {"<unk>", "x", "y", "xy"};
  spec.merges = {{1, 2, 0, 3}};
  spec.unk_id = 0;
  return spec;
}

BpeModel MustCreate(BpeSpec spec) {
  Result<BpeModel> model = BpeModel::Create(std::move(spec), "test");
  EXPECT_TRUE(model.ok()) << model.error().message;
  return *std::move(model);
}

TEST(BpeModel, UnknownCharacters) {
  const BpeModel apart = MustCreate(Characters());
  EXPECT_EQ(Encode(apart, "xy"), (Ids{3}));
  EXPECT_EQ(Encode(apart, "xé€yx"), (Ids{1, 0, 0, 2, 1}));
  BpeSpec spec = Characters();
  spec.fuse_unk = true;
  const BpeModel fused = MustCreate(std::move(spec));
  EXPECT_EQ(Encode(fused, "xé€yx"), (Ids{1, 0, 2, 1}));
  EXPECT_EQ(Encode(fused, "éxé"), (Ids{0, 1, 0}));
}

TEST(BpeModel, ByteFallback) {
  BpeSpec spec = Characters();
  spec.byte_fallback = true;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back(fmt::format("<0x{:02X}>", byte));
  const BpeModel model = MustCreate(std::move(spec));
  EXPECT_EQ(Encode(model, "xyé"), (Ids{3, 4 + 0xC3, 4 + 0xA9}));
  EXPECT_EQ(Encode(model, "\xFFxy"), (Ids{4 + 0xFF, 3})) << "bytes that are no text";
  EXPECT_EQ(Encode(model, "x\xC3"), (Ids{1, 4 + 0xC3}));
}

// Only the characters whose bytes are all there fall back.
TEST(BpeModel, PartialByteFallback) {
  BpeSpec spec = Characters();
  spec.byte_fallback = true;
  spec.tokens.insert(spec.tokens.end(), {"<0xC3>", "<0xA9>"});
  const BpeModel model = MustCreate(std::move(spec));
  EXPECT_EQ(Encode(model, "é"), (Ids{4, 5}));
  EXPECT_EQ(Encode(model, "è"), (Ids{0}));
}

TEST(BpeModel, IgnoreMerges) {
  BpeSpec spec = Characters();
  spec.tokens.push_back("yxy");  // no merge makes it
  spec.ignore_merges = true;
  const BpeModel whole = MustCreate(spec);
  EXPECT_EQ(Encode(whole, "yxy"), (Ids{4}));
  EXPECT_EQ(Encode(whole, "xyxy"), (Ids{3, 3})) << "only whole words";
  spec.ignore_merges = false;
  EXPECT_EQ(Encode(MustCreate(std::move(spec)), "yxy"), (Ids{2, 3}));
}

// A merge whose part is a byte token may begin where no spelling says so: no seam may cut there.
TEST(BpeModel, MergesOfByteTokensAreFound) {
  BpeSpec spec = Characters();
  spec.byte_fallback = true;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back(fmt::format("<0x{:02X}>", byte));
  const auto product = static_cast<int32_t>(spec.tokens.size());
  spec.tokens.push_back("<0x0A>x");
  spec.merges.push_back({4 + 0x0A, 1, 1, product});
  EXPECT_EQ(Encode(MustCreate(std::move(spec)), "\nx"), (Ids{product}));
}

TEST(BpeModel, RefusesToLoseCharacters) {
  BpeSpec spec = Characters();
  spec.unk_id.reset();
  EXPECT_EQ(BpeModel::Create(spec, "f").error().message,
            "f: the model has neither byte_fallback nor an unk_token, so that characters outside "
            "its vocabulary would vanish; expected one of the two");
  spec.byte_fallback = true;
  spec.tokens.push_back("<0x00>");
  EXPECT_EQ(BpeModel::Create(spec, "f").error().message,
            "f: the vocabulary has no token for the byte 0x01 and the model no unk_token; expected "
            "all 256 bytes");
}

// Bytes a, b, ab: what is neither vanishes where the model says so, and "ab" comes together.
TEST(BpeModel, DropsBytesOnlyIfAsked) {
  BpeSpec spec;
  spec.tokens = {"a", "b", "ab"};
  spec.merges = {{0, 1, 0, 2}};
  EXPECT_EQ(BpeModel::Create(spec, "f").error().message,
            "f: the vocabulary has no token for the byte 0x00 and the model no unk_token; expected "
            "all 256 bytes");
  spec.drops_unknown = true;
  const BpeModel model = MustCreate(std::move(spec));
  EXPECT_EQ(Encode(model,
                   "a\xff"
                   "b"),
            (Ids{2}));
  EXPECT_EQ(Encode(model, "ba"), (Ids{1, 0}));
  EXPECT_EQ(Encode(model, "xyz"), Ids{});
}

TEST(ByteOfToken, WantsTheExactSpelling) {
  EXPECT_EQ(ByteOfToken("<0x0A>"), 10);
  EXPECT_EQ(ByteOfToken("<0xFF>"), 255);
  for (const std::string_view other : {"<0x0a>", "<0x0>", "0x0A", "<0x0AA>", "<0x0G>", ""}) {
    EXPECT_EQ(ByteOfToken(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace atom::tokenizer
