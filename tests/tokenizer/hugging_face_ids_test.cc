// Whole tokenizer.json files on many texts: ids as Hugging Face's tokenizers give them. 200 files
// are put together at random, 13 have the steps of published tokenizers around a vocabulary that
// was trained for this. tools/make_tokenizer_files.py makes them, and says what is known to differ.
#include <cstdint>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <thread>

#include "atom/tokenizer/stream_decoder.h"

#include "tests/sanitizers.h"
#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using tests::kSanitized;

constexpr size_t kStep = kSanitized ? 11 : 1;  // of texts

struct Golden {
  explicit Golden(std::string_view name)
      : file(json::parse(
            ReadAll(std::filesystem::path(ATOM_SOURCE_DIR) / "tests/golden/tokenizer" / name))) {
    for (const json& text : file.at("texts")) texts.push_back(text);
  }

  std::unique_ptr<Tokenizer> Load(const json& one) const {
    json whole = one.at("file");
    json model = file.at("models").at(std::string(whole.at("model").at("of")));
    model.update(whole.at("model").at("change"));
    whole["model"] = std::move(model);
    return MustLoad(whole);
  }

  json file;
  std::vector<std::string> texts;
};

// FNV-1a of the ids' bytes, lowest first; 32 bits of it.
uint32_t Digest(const std::vector<int32_t>& ids) {
  uint64_t value = 0xCBF29CE484222325;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3;
    }
  }
  return static_cast<uint32_t>(value);
}

std::vector<int32_t> MustEncode(const Tokenizer& tokenizer, std::string_view text, bool add_bos) {
  const auto ids = tokenizer.Encode(text, {.add_bos = add_bos, .parse_special = true});
  if (ids.ok()) return *ids;
  ADD_FAILURE() << ids.error().message;
  return {};
}

// How many texts were compared.
int ExpectDigests(const Golden& golden, const json& one, const Tokenizer& tokenizer) {
  const json& digests = one.at("digests");
  EXPECT_EQ(digests.size(), golden.texts.size() + 1);
  int compared = 0;
  for (size_t i = 0; i < golden.texts.size(); i += kStep) {
    if (digests[i].is_null()) continue;
    EXPECT_EQ(Digest(MustEncode(tokenizer, golden.texts[i], false)), digests[i])
        << one.at("file") << "\n"
        << golden.texts[i];
    ++compared;
  }
  EXPECT_EQ(Digest(MustEncode(tokenizer, golden.texts[0], true)), digests.back()) << one.at("file");
  return compared;
}

TEST(HuggingFaceIds, OfRandomFiles) {
  const Golden golden("random.json");
  EXPECT_GE(golden.file.at("cases").size(), 200u);
  int compared = 0;
  for (const json& one : golden.file.at("cases")) {
    compared += ExpectDigests(golden, one, *golden.Load(one));
  }
  EXPECT_GE(compared, kSanitized ? 1000 : 11'000);
}

// Each piece is whole characters, and together they are the text.
void ExpectStreams(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<int32_t> ids = MustEncode(tokenizer, text, false);
  ASSERT_EQ(tokenizer.Decode(ids), text);
  StreamDecoder stream(tokenizer, {.at_start = true});
  std::string streamed;
  for (const int32_t id : ids) {
    const std::string piece = stream.Push(id);
    ASSERT_EQ(FindInvalid(piece, 0), piece.size());
    ASSERT_EQ(piece.find("\xEF\xBF\xBD"), piece.npos);
    streamed += piece;
  }
  ASSERT_EQ(streamed + stream.Finish(), text);
}

TEST(HuggingFaceIds, OfPublishedSteps) {
  const Golden golden("published.json");
  EXPECT_GE(golden.texts.size(), 2000u);
  for (const json& one : golden.file.at("cases")) {
    SCOPED_TRACE(one.at("name"));
    const auto tokenizer = golden.Load(one);
    const int compared = ExpectDigests(golden, one, *tokenizer);
    EXPECT_GE(compared, kSanitized ? 150 : 1800);
    if (one.at("name") == "Qwen2") continue;  // NFC changes texts
    for (size_t i = 0; i < golden.texts.size(); i += kStep) {
      ExpectStreams(*tokenizer, golden.texts[i]);
    }
  }
}

// One tokenizer, used by eight threads at once.
TEST(HuggingFaceIds, OfEightThreads) {
  const Golden golden("published.json");
  for (const json& one : golden.file.at("cases")) {
    const auto tokenizer = golden.Load(one);
    std::vector<std::thread> threads;
    std::vector<int> wrong(8, 0);
    for (size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < golden.texts.size(); i += 8 * kStep) {
          const json& digest = one.at("digests")[i];
          const auto ids =
              tokenizer->Encode(golden.texts[i], {.add_bos = false, .parse_special = true});
          wrong[t] += !ids.ok() || (!digest.is_null() && Digest(*ids) != digest);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(8, 0)) << one.at("name");
  }
}

}  // namespace
}  // namespace atom::tokenizer
