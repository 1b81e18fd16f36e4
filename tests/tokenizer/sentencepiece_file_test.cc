#include "atom/tokenizer/sentencepiece_file.h"

#include <bit>
#include <fmt/core.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "atom/tokenizer/sentencepiece_proto.h"

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using testing::HasSubstr;

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  return bytes + static_cast<char>(value);
}
std::string Number(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}
std::string Bytes(int field, std::string_view bytes) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(bytes.size()) + std::string(bytes);
}
std::string Float(int field, float value) {
  std::string bytes = Varint(static_cast<uint64_t>(field) << 3 | 5);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(bits >> shift));
  return bytes;
}
std::string Piece(std::string_view text, float score, int type) {
  return Bytes(1, Bytes(1, text) + Float(2, score) + Number(3, static_cast<uint64_t>(type)));
}

// A BPE model with byte fallback of "▁", "l", "o", "lo", "▁lo".
std::string Model(const std::string& more_pieces = "",
                  const std::string& trainer = Number(3, 2) + Number(35, 1),
                  const std::string& normalizer = Number(3, 1) + Number(4, 0)) {
  std::string model = Piece("<unk>", 0, 2) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3);
  for (int byte = 0; byte < 256; ++byte) model += Piece(fmt::format("<0x{:02X}>", byte), 0, 6);
  float score = 0;
  for (const char* piece : {"lo", "▁lo", "▁", "l", "o"}) model += Piece(piece, score--, 1);
  return model + more_pieces + Bytes(2, trainer) + Bytes(3, normalizer);
}

TokenizerFiles Files(std::string model) {
  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_model = std::move(model);
  return files;
}

std::string RefusalOf(std::string model) {
  return Refusal(Files(std::move(model)), TokenizerForm::kTokenizerModel);
}

std::unique_ptr<Tokenizer> MustLoadModel(const TokenizerFiles& files) {
  auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerModel);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return *std::move(tokenizer);
}

using Words = std::vector<std::string>;

TEST(SentencePiece, PrefixOnlyWhereATextStarts) {
  const auto tokenizer = MustLoadModel(Files(Model()));
  EXPECT_EQ(tokenizer->kind(), "sentencepiece");
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(Pieces(*tokenizer, "lo lo"), (Words{" lo", " lo"}));
  EXPECT_EQ(Pieces(*tokenizer, " lo"), (Words{" ", " lo"}));
  EXPECT_EQ(Pieces(*tokenizer, ""), Words{});
  EXPECT_EQ(Pieces(*tokenizer, "lo<s>lo lo", true), (Words{" lo", "<s>", "lo", " lo"}));
  EXPECT_EQ(Pieces(*tokenizer, "<s>", false), (Words{" ", "<", "s", ">"})) << "plain text";
  TokenizerFiles files = Files(Model());
  files.tokenizer_config_json = R"({"legacy": true})";
  EXPECT_EQ(Pieces(*MustLoadModel(files), "lo<s>lo", true), (Words{" lo", "<s>", " lo"}));
}

// Each line is encoded by itself, which must not show.
TEST(SentencePiece, NewlinesAndIllFormedBytesAreBytePieces) {
  const auto tokenizer = MustLoadModel(Files(Model()));
  EXPECT_EQ(Pieces(*tokenizer, "lo\nlo\n\n lo"), (Words{" lo", "\n", "lo", "\n", "\n", " lo"}));
  EXPECT_EQ(Pieces(*tokenizer, "\nlo"), (Words{" ", "\n", "lo"}));
  EXPECT_EQ(Pieces(*tokenizer, "lo\xFFlo"), (Words{" lo", "\xFF", "lo"}));
  EXPECT_EQ(Pieces(*tokenizer, "\xC3"), (Words{" ", "\xC3"}));
  // A piece with a newline: lines are no longer apart.
  const auto joined = MustLoadModel(Files(Model(Piece("o\nl", 9, 1) + Piece("o\n", 8, 1))));
  EXPECT_EQ(Pieces(*joined, "lo\nlo"), (Words{" ", "l", "o\nl", "o"}));
}

TEST(SentencePiece, WithoutByteFallback) {
  const std::string model = Piece("<unk>", 0, 2) + Piece("a", 0, 1) + Piece("▁", -1, 1) +
                            Bytes(2, Number(3, 2)) + Bytes(3, Number(4, 0));
  const auto tokenizer = MustLoadModel(Files(model));
  EXPECT_FALSE(tokenizer->adds_bos()) << "it has none";
  EXPECT_EQ(Pieces(*tokenizer, "a\xFF"), (Words{" ", "a", "<unk>"}));
}

struct Hostile {
  std::string_view name;
  std::string model;
  std::string_view sentence;
};

TEST(SentencePiece, HostileFilesGetOneSentence) {
  const std::string nan_score = Piece("x", std::numeric_limits<float>::quiet_NaN(), 1);
  const std::vector<Hostile> cases = {
      {"empty", "", "is empty"},
      {"text", "not a model", "is truncated or no SentencePiece model"},
      {"cut", Model().substr(0, 3000), "is truncated"},
      {"no pieces", Bytes(2, Number(3, 2)), "has 0 pieces of type unknown"},
      {"two unknown pieces", Model(Piece("<u>", 0, 2)), "has 2 pieces of type unknown"},
      {"twice", Model(Piece("lo", 0, 1)), "token 'lo' has two ids, 259 and 264"},
      {"empty piece", Model(Piece("", 0, 1)), "the token with id 264 is empty"},
      {"long piece", Model(Piece(std::string(10 << 20, 'x'), 0, 1)), "10485760 bytes long"},
      {"no UTF-8", Model(Piece("\xFF", 0, 1)), "piece 264, '\\xff', is not text in UTF-8"},
      {"zero byte", Model(Piece(std::string("a\0b", 3), 0, 4)), "without zero bytes"},
      {"type", Model(Piece("x", 0, 7)), "is of type 7, expected 1 to 6"},
      {"score", Model(nan_score), "has the score nan"},
      {"byte", Model(Piece("<0xZZ>", 0, 6)), "is a byte, expected to be spelled <0xNN>"},
      {"few bytes", Piece("<unk>", 0, 2) + Piece("<0x00>", 0, 6), "has pieces for 1 bytes"},
      {"word model", Model("", Number(3, 3)),
       "model type 3 (word) is not known; known are unigram"},
      {"no such model", Model("", Number(3, 77)), "model type 77 (unknown)"},
      {"suffix", Model("", Number(3, 2) + Number(24, 1)), "treat_whitespace_as_suffix"},
      {"spaces", Model("", Number(3, 2), Number(5, 0)), "escape_whitespaces is off"},
      {"charsmap", Model("", Number(3, 2), Bytes(2, std::string(64, '\x11'))),
       "the normalization table of 64 bytes is broken"},
      {"wire type", Model(Bytes(1, Number(1, 7))), "a piece's text is of wire type 0, expected 2"},
      {"a group", Model() + "\x0B", "byte"},
      {"endless number", Model() + std::string(12, '\xFF'), "is truncated"},
      {"length", Model() + "\x0A" + Varint(uint64_t{1} << 60), "is truncated"},
  };
  EXPECT_EQ(RefusalOf(Model()), "");
  for (const Hostile& hostile : cases) {
    const std::string sentence = RefusalOf(hostile.model);
    EXPECT_THAT(sentence, HasSubstr(hostile.sentence)) << hostile.name;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << hostile.name;
    EXPECT_LT(sentence.size(), 400u) << hostile.name;
  }
}

// Whatever a few flipped bits make of the model: a sentence or a tokenizer, never a crash.
TEST(SentencePiece, BitFlips) {
  const std::string good = Model();
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string model = good;
    for (uint32_t flips = random() % 8 + 1; flips > 0; --flips) {
      char& byte = model[random() % model.size()];
      byte = static_cast<char>(byte ^ 1 << random() % 8);
    }
    const auto tokenizer = Tokenizer::FromFiles(Files(model), TokenizerForm::kTokenizerModel);
    if (tokenizer.ok()) static_cast<void>((*tokenizer)->Encode("lo lo \xFF\n").ok());
  }
}

TEST(SentencePieceProto, ChangesNothingButThePrefix) {
  const Result<SentencePieceProto> proto = ParseSentencePieceProto(
      Model() + Bytes(4, "self-tests, which the library would run"), "test");
  ASSERT_TRUE(proto.ok()) << proto.error().message;
  EXPECT_EQ(proto->model, Model());
  EXPECT_TRUE(proto->add_dummy_prefix);
  EXPECT_TRUE(proto->byte_fallback);
  const Result<SentencePieceProto> without =
      ParseSentencePieceProto(proto->ModelWithPrefix(false), "test");
  ASSERT_TRUE(without.ok()) << without.error().message;
  EXPECT_FALSE(without->add_dummy_prefix);
  EXPECT_FALSE(without->remove_extra_whitespaces) << "as before";
  EXPECT_EQ(without->pieces, proto->pieces);
}

}  // namespace
}  // namespace atom::tokenizer
