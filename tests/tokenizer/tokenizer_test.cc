// Whole tokenizers on whole texts: the ids of the original implementations, the forms of one
// tokenizer against each other, decoding as the inverse of encoding, speed.
#include "atom/tokenizer/tokenizer.h"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::unique_ptr<Tokenizer> MustLoadFile(const fs::path& dir, std::string_view file_name) {
  auto tokenizer = Tokenizer::LoadFile(dir, file_name);
  if (!tokenizer.ok()) {
    ADD_FAILURE() << tokenizer.error().message;
    std::abort();
  }
  return *std::move(tokenizer);
}

void ExpectGolden(const Tokenizer& tokenizer, const GoldenCases& golden) {
  for (size_t i = 0; i < golden.texts.size(); ++i) {
    const std::vector<int32_t> ids = *tokenizer.Encode(golden.texts[i], {.add_bos = false});
    EXPECT_EQ(ids, golden.ids[i]) << "'" << golden.texts[i] << "'";
    EXPECT_EQ(tokenizer.Decode(ids), golden.texts[i]);
  }
}

// ---- the ids of the original implementations

struct SharedForm {
  std::string_view name;  // of the cases
  std::string_view kind;
  std::vector<std::pair<std::string_view, std::string_view>> files;  // there, and in a model
};

TEST(GoldenIds, OfTokenizersBesideTheProject) {
  const fs::path data = kShared / "data/tokenizers";
  if (!fs::exists(data)) GTEST_SKIP() << "the tokenizers beside the project are absent";
  const std::vector<SharedForm> forms = {
      {"llama-spm", "sentencepiece", {{"llama2-tokenizer.model", "tokenizer.model"}}},
      {"gpt-2",
       "bpe-bytelevel",
       {{"gpt2-vocab.json", "vocab.json"}, {"gpt2-merges.txt", "merges.txt"}}},
      {"llama-bpe", "tiktoken", {{"llama3-tiktoken-tokenizer.model", "tokenizer.model"}}}};
  for (const SharedForm& form : forms) {
    const TempDir model;
    for (const auto& [from, to] : form.files) fs::copy_file(data / from, model.path() / to);
    const auto tokenizer = MustLoadFile(model.path(), form.files.front().second);
    EXPECT_EQ(tokenizer->kind(), form.kind);
    const std::string name(form.name);
    ExpectGolden(*tokenizer, ReadCases(data / (name + ".cases.txt"), data / (name + ".ids.txt")));
  }
}

TEST(GoldenIds, OfTheEmbeddedModel) {
  const fs::path model = EmbeddedModel();
  if (model.empty()) GTEST_SKIP() << "the embedded model is absent";
  const GoldenCases golden = ReadCases(kFixtures / "cases.txt", kFixtures / "books-17m.ids.txt");
  ExpectGolden(*MustLoadFile(model, "tokenizer.model"), golden);
  ExpectGolden(*MustLoadFile(model, "tokenizer.json"), golden);
}

// Llama 3's tokenizer.json: its pattern in a Split, then ByteLevel without one.
TEST(GoldenIds, OfByteLevelWithLlama3sPattern) {
  const nlohmann::json vocab = nlohmann::json::parse(ReadAll(kFixtures / "byte-level/vocab.json"));
  nlohmann::json merges = nlohmann::json::array();
  std::istringstream lines(ReadAll(kFixtures / "byte-level/merges.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('#')) merges.push_back(line);
  }
  nlohmann::json json = nlohmann::json::parse(R"json({"pre_tokenizer": {"type": "Sequence",
    "pretokenizers": [
      {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex":
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
    ]}})json");
  json["model"] = {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}};
  const auto tokenizer = MustLoad(json);
  EXPECT_EQ(tokenizer->kind(), "bpe-bytelevel");
  ExpectGolden(*tokenizer,
               ReadCases(kFixtures / "cases.txt", kFixtures / "byte-level/llama-3.ids.txt"));
}

// ---- one tokenizer, two forms, long texts

struct LongText {
  std::string_view path;
  size_t tokens;  // with bos; 0 if not known from elsewhere
};

TEST(Forms, AgreeOnWholeTexts) {
  const fs::path model = EmbeddedModel();
  if (model.empty()) GTEST_SKIP() << "the embedded model is absent";
  const auto sentencepiece = MustLoadFile(model, "tokenizer.model");
  const auto json = MustLoadFile(model, "tokenizer.json");
  EXPECT_EQ(sentencepiece->kind(), "sentencepiece");
  EXPECT_EQ(json->kind(), "bpe-metaspace");
  // The count of wiki.test.raw is the one with which the model's perplexity was published.
  for (const LongText& text : {LongText{"data/books/books.valid.txt", 0},
                               LongText{"data/wikitext2/wiki.test.raw", 412696}}) {
    fs::path path = fs::path(ATOM_SOURCE_DIR) / text.path;
    if (!fs::exists(path)) path = kShared / text.path;
    if (!fs::exists(path)) GTEST_SKIP() << text.path << " is absent";
    const std::string bytes = ReadAll(path);
    const std::vector<int32_t> ids = *json->Encode(bytes);
    EXPECT_TRUE(ids == *sentencepiece->Encode(bytes)) << text.path;
    if (text.tokens != 0) {
      EXPECT_EQ(ids.size(), text.tokens);
    }
    EXPECT_TRUE(json->Decode(ids) == bytes) << text.path;
    EXPECT_TRUE(sentencepiece->Decode(ids) == bytes) << text.path;
  }
}

// A random text: ASCII, spaces, any code points, ill-formed bytes; no literal ▁.
std::string RandomText(std::mt19937& random, bool ill_formed) {
  std::string text;
  for (uint32_t left = random() % 40; left > 0; --left) {
    const uint32_t kind = random() % 10;
    char32_t code = random() % 0x110000;
    if (kind < 4) code = 0x20 + random() % 0x5F;
    if (kind == 4) code = "  \n\t\r "[random() % 6];
    if (kind == 5) code = 0x80 + random() % 0x1000;
    if (kind == 6 && ill_formed) {
      text.push_back(static_cast<char>(0x80 + random() % 0x80));
      continue;
    }
    if ((code >= 0xD800 && code < 0xE000) || code == 0x2581) continue;
    if (code < 0x80) {
      text.push_back(static_cast<char>(code));
      continue;
    }
    const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    text.push_back(static_cast<char>((0xF00 >> extra & 0xFF) | code >> (6 * extra)));
    for (int i = extra - 1; i >= 0; --i) {
      text.push_back(static_cast<char>(0x80 | (code >> (6 * i) & 0x3F)));
    }
  }
  return text;
}

TEST(Decode, UndoesEncode) {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  const fs::path model = EmbeddedModel();
  if (!model.empty()) {
    tokenizers.push_back(MustLoadFile(model, "tokenizer.model"));
    tokenizers.push_back(MustLoadFile(model, "tokenizer.json"));
  }
  tokenizers.push_back(MustLoadFile(kFixtures / "byte-level", "vocab.json"));
  tokenizers.push_back(MustLoad(MetaspaceJson({"▁", "a", "▁a", "<", "s", ">", "s>", "▁▁"})));
  tokenizers.push_back(MustLoad(ByteLevelJson({"a b"}, {"<s>"})));
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text = RandomText(random, round % 2 == 0);
    if (round % 5 == 0) text.insert(random() % (text.size() + 1), "<s>");
    std::vector<std::vector<int32_t>> ids;
    for (const auto& tokenizer : tokenizers) {
      ids.push_back(*tokenizer->Encode(text));
      ASSERT_EQ(tokenizer->Decode(ids.back()), text) << tokenizer->kind() << " round " << round;
    }
    if (!model.empty()) {
      ASSERT_EQ(ids[0], ids[1]) << "two forms, round " << round;
    }
  }
}

TEST(Decode, Specials) {
  const auto tokenizer =
      MustLoad(MetaspaceJson({"▁", "a", "▁a"}), {{"bos_token", "<s>"}, {"add_bos_token", true}});
  const int32_t a = *tokenizer->FindToken("▁a");
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(tokenizer->Decode(Ids{1, a, a}), "a a");
  EXPECT_EQ(tokenizer->Decode(Ids{a, 1, a}), "a<s> a");
  EXPECT_EQ(tokenizer->Decode(Ids{2, a}), "</s> a");
  EXPECT_EQ(tokenizer->Decode(Ids{1, 2, a, 2}, false), "a") << "dropped, the space too";
  EXPECT_EQ(tokenizer->Decode(Ids{a, -1, 1 << 30, a}), "a a") << "ids that are not there";
  EXPECT_EQ(tokenizer->Decode(Ids{}), "");
  EXPECT_EQ(tokenizer->TokenBytes(a), " a");
  EXPECT_EQ(tokenizer->TokenBytes(3 + '\n'), "\n");
  EXPECT_EQ(tokenizer->TokenBytes(2), "</s>");
  EXPECT_EQ(tokenizer->TokenBytes(-1), "");
  EXPECT_TRUE(tokenizer->IsSpecial(1));
  EXPECT_FALSE(tokenizer->IsSpecial(a));
  EXPECT_FALSE(tokenizer->IsSpecial(-1));
}

// A text of one long word, and one of many: neither may take quadratic time.
TEST(Encode, LongTextsAreQuick) {
  const auto metaspace = MustLoad(MetaspaceJson({"a", "aa", "aaaa", "▁", "▁▁"}));
  const auto bytes = MustLoad(ByteLevelJson({"a a", "aa aa"}, {}));
  for (const std::string& text : {std::string(1 << 20, 'a'), std::string(1 << 20, ' ')}) {
    for (const auto* tokenizer : {metaspace.get(), bytes.get()}) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode(text)).size(), text.size());
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      // It takes 0.2 s; quadratic time would be hours. Sanitizers and busy machines have room.
      EXPECT_LT(seconds.count(), 60) << tokenizer->kind();
    }
  }
}

// ---- parts

TEST(EncodeParts, OnlyTrustedTextHasSpecials) {
  const auto tokenizer =
      MustLoad(MetaspaceJson({"▁", "a", "b", "ab", "▁a", "<", "s", ">"}), {{"bos_token", "<s>"}});
  const int32_t ab = *tokenizer->FindToken("ab"), space = *tokenizer->FindToken("▁"),
                a = *tokenizer->FindToken("a"), b = *tokenizer->FindToken("b");
  const auto encode = [&](std::vector<TextPart> parts) { return *tokenizer->EncodeParts(parts); };
  EXPECT_THAT(encode({{"a", true}, {"b", false}}), ElementsAre(space, ab)) << "one word";
  EXPECT_THAT(encode({{"b</s>", true}, {"ab", false}}), ElementsAre(space, b, 2, ab));
  EXPECT_THAT(encode({{"<s>a", true}}), ElementsAre(1, a)) << "a bos that is spelled is text";
  EXPECT_EQ(encode({{"<s>", false}}), *tokenizer->Encode("<s>", {.add_bos = false}));
  EXPECT_EQ(encode({{"<", true}, {"s>", false}}).size(), 4u) << "no token across parts";
  EXPECT_THAT(encode({}), ElementsAre());
}

// ---- loading

TEST(Load, TakesTheFirstForm) {
  const TempDir model;
  EXPECT_THAT(Tokenizer::Load(model.path()).error().message,
              HasSubstr("has no tokenizer, expected one of tokenizer.json, tokenizer.model, "
                        "tekken.json, vocab.json (with merges.txt)"));
  fs::copy_file(kFixtures / "byte-level/vocab.json", model.path() / "vocab.json");
  EXPECT_THAT(Tokenizer::Load(model.path()).error().message, HasSubstr("merges.txt"));
  fs::copy_file(kFixtures / "byte-level/merges.txt", model.path() / "merges.txt");
  EXPECT_TRUE(Tokenizer::Load(model.path()).ok());
  WriteAll(model.path() / "tokenizer.json", MetaspaceJson({"▁"}).dump());
  EXPECT_EQ((*Tokenizer::Load(model.path()))->kind(), "bpe-metaspace");
  EXPECT_EQ((*Tokenizer::LoadFile(model.path(), "vocab.json"))->kind(), "bpe-bytelevel");
  WriteAll(model.path() / "tokenizer.json", "{}");
  EXPECT_THAT(Tokenizer::Load(model.path()).error().message, HasSubstr("tokenizer.json"))
      << "no second choice";
  EXPECT_EQ(Tokenizer::LoadFile(model.path(), "tok.bin").error().message,
            "'tok.bin' is no tokenizer's file; known are tokenizer.json, tokenizer.model, "
            "tekken.json, vocab.json");
  EXPECT_THAT(Tokenizer::Load("/nowhere/at/all").error().message, HasSubstr("/nowhere/at/all"));
}

// A directory, a file in one, a file of another name, or the name of one of the model's.
TEST(LoadOther, TakesADirectoryOrAFile) {
  const TempDir model;
  const TempDir other;
  WriteAll(model.path() / "tokenizer.json", ByteLevelJson({}, {"<e>"}).dump());
  fs::copy_file(kFixtures / "byte-level/vocab.json", model.path() / "vocab.json");
  fs::copy_file(kFixtures / "byte-level/merges.txt", model.path() / "merges.txt");
  WriteAll(model.path() / "config.json", R"({"eos_token_id": 2})");
  const std::string metaspace = MetaspaceJson({"▁"}).dump();
  WriteAll(other.path() / "tokenizer.json", metaspace);
  WriteAll(other.path() / "v7.tok", "  " + metaspace);
  const auto kind = [&](const fs::path& path) {
    const auto tokenizer = Tokenizer::LoadOther(path, model.path());
    return tokenizer.ok() ? std::string((*tokenizer)->kind()) : tokenizer.error().message;
  };
  EXPECT_EQ(kind(other.path()), "bpe-metaspace");
  EXPECT_EQ(kind(other.path() / "tokenizer.json"), "bpe-metaspace");
  EXPECT_EQ(kind(other.path() / "v7.tok"), "bpe-metaspace");
  EXPECT_EQ(kind("tokenizer.json"), "bpe-bytelevel") << "the model's";
  EXPECT_EQ(kind("vocab.json"), "bpe-bytelevel");
  EXPECT_THAT(kind(other.path() / "absent"), HasSubstr("absent: has no tokenizer"));
  WriteAll(other.path() / "bad.tok", "{}");
  EXPECT_THAT(kind(other.path() / "bad.tok"), HasSubstr("bad.tok: field 'model' is missing"));
  // The model's config.json says what ends a text, unless the tokenizer's folder has one.
  EXPECT_THAT((*Tokenizer::LoadOther(other.path(), model.path()))->eos_ids(), ElementsAre(2));
  WriteAll(other.path() / "config.json", R"({"eos_token_id": 1})");
  EXPECT_THAT((*Tokenizer::LoadOther(other.path() / "v7.tok", model.path()))->eos_ids(),
              ElementsAre(1));
}

}  // namespace
}  // namespace atom::tokenizer
