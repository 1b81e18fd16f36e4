// Small tokenizers for the tests of this folder: written as JSON here, or read from tests/data and
// from the data beside the project, where that is present.
#pragma once

#include <filesystem>
#include <fmt/core.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/tokenizer/tokenizer.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {

inline const std::filesystem::path kFixtures =
    std::filesystem::path(ATOM_SOURCE_DIR) / "tests/data/tokenizers";
/// Beside the project, not part of it: tests that need it are skipped where it is absent.
inline const std::filesystem::path kShared = std::filesystem::path(ATOM_SOURCE_DIR) / "../shared";

inline std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteAll(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The embedded model's folder: a SentencePiece model of 4,096 pieces in two forms, tokenizer.json
/// (Metaspace) and tokenizer.model. Empty if neither it nor what it is made of is there.
inline std::filesystem::path EmbeddedModel() {
  for (const std::filesystem::path& dir :
       {std::filesystem::path(ATOM_SOURCE_DIR) / "models/atom-demo",
        kShared / "models/books-17m"}) {
    if (std::filesystem::exists(dir / "tokenizer.json") &&
        std::filesystem::exists(dir / "tokenizer.model")) {
      return dir;
    }
  }
  return {};
}

/// A folder that is removed at the end of the test.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "atom-text-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Texts and the ids that the original implementation gives for them.
struct GoldenCases {
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> ids;
};

inline GoldenCases ReadCases(const std::filesystem::path& cases_file,
                             const std::filesystem::path& ids_file) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  GoldenCases golden;
  const std::string cases = ReadAll(cases_file);
  for (size_t pos = 0; pos <= cases.size();) {
    const size_t end = std::min(cases.find(kSeparator, pos), cases.size());
    golden.texts.push_back(cases.substr(pos, end - pos));
    pos = end + kSeparator.size();
  }
  std::istringstream lines(ReadAll(ids_file));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    golden.ids.emplace_back(std::istream_iterator<int32_t>(words),
                            std::istream_iterator<int32_t>());
  }
  // A last, empty text may have no line of its own.
  if (golden.ids.size() + 1 == golden.texts.size()) golden.ids.emplace_back();
  EXPECT_EQ(golden.texts.size(), golden.ids.size());
  EXPECT_GT(golden.texts.size(), 40u);
  return golden;
}

/// The tokenizer of a tokenizer.json (and perhaps tokenizer_config.json) that must be accepted.
inline std::unique_ptr<Tokenizer> MustLoad(const nlohmann::json& json,
                                           const nlohmann::json& config = nullptr) {
  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_json = json.dump();
  if (!config.is_null()) files.tokenizer_config_json = config.dump();
  auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerJson);
  if (!tokenizer.ok()) {
    ADD_FAILURE() << tokenizer.error().message;
    std::abort();
  }
  return *std::move(tokenizer);
}

/// The sentence with which it is refused, "" if it is not.
inline std::string Refusal(const TokenizerFiles& files, TokenizerForm form) {
  const auto tokenizer = Tokenizer::FromFiles(files, form);
  return tokenizer.ok() ? "" : tokenizer.error().message;
}

inline std::string Refusal(const nlohmann::json& json, const nlohmann::json& config = nullptr) {
  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_json = json.is_string() ? json.get<std::string>() : json.dump();
  if (!config.is_null()) files.tokenizer_config_json = config.dump();
  return Refusal(files, TokenizerForm::kTokenizerJson);
}

/// {"content", "id", "special"}, as tokenizer.json lists added tokens.
inline nlohmann::json Added(int id, const std::string& content, bool special = true) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", false}};
}

/// The 256 bytes as byte-level vocabularies spell them, then `merged` words (with their merges
/// "a b"), then `specials`. Ids in this order.
inline nlohmann::json ByteLevelJson(const std::vector<std::string>& merges,
                                    const std::vector<std::string>& specials) {
  nlohmann::json vocab = nlohmann::json::object();
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const char32_t code = itself ? static_cast<char32_t>(byte) : next++;
    std::string spelled;
    if (code < 0x80) {
      spelled = {static_cast<char>(code)};
    } else {
      spelled = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
    vocab[spelled] = byte;
  }
  for (const std::string& merge : merges) {
    std::string product = merge;
    product.erase(product.find(' '), 1);
    vocab[product] = vocab.size();
  }
  nlohmann::json added = nlohmann::json::array();
  for (const std::string& special : specials) {
    added.push_back(Added(static_cast<int>(vocab.size() + added.size()), special));
  }
  return {{"added_tokens", added},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

/// <unk>, <s>, </s>, the 256 byte tokens, `pieces` (of which each that can be made of two others is
/// a merge, in this order). Metaspace, prefix "first", no split; special tokens added.
inline nlohmann::json MetaspaceJson(const std::vector<std::string>& pieces) {
  nlohmann::json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  for (const std::string& piece : pieces) vocab[piece] = vocab.size();
  nlohmann::json merges = nlohmann::json::array();
  for (const std::string& piece : pieces) {
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      const std::string left = piece.substr(0, cut), right = piece.substr(cut);
      if (FindInvalid(left, 0) != left.size() || FindInvalid(right, 0) != right.size()) continue;
      if (vocab.contains(left) && vocab.contains(right)) merges.push_back({left, right});
    }
  }
  const nlohmann::json pre_tokenizer = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  return {{"added_tokens", {Added(0, "<unk>"), Added(1, "<s>"), Added(2, "</s>")}},
          {"pre_tokenizer", pre_tokenizer},
          {"model",
           {{"type", "BPE"},
            {"vocab", vocab},
            {"merges", merges},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true}}}};
}

/// How the ids are spelled in the file: easier to read than numbers.
inline std::vector<std::string> Pieces(const Tokenizer& tokenizer, std::string_view text,
                                       bool parse_special = false) {
  std::vector<std::string> pieces;
  const Result<std::vector<int32_t>> ids =
      tokenizer.Encode(text, {.add_bos = false, .parse_special = parse_special});
  for (const int32_t id : *ids) {
    pieces.push_back(tokenizer.TokenBytes(id));
  }
  return pieces;
}

}  // namespace atom::tokenizer
