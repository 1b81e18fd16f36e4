#include "atom/bench/serving/numbered_tokenizer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/core/check.h"
#include "atom/io/json.h"

namespace atom::bench {

std::unique_ptr<tokenizer::Tokenizer> MakeNumberedTokenizer(int64_t vocabulary) {
  io::Json words = io::Json::object();
  for (int64_t id = 0; id < vocabulary; ++id) words[fmt::format("\u2581w{}", id)] = id;
  const io::Json replace = {
      {"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
  const io::Json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  const io::Json json = {
      {"version", "1.0"},
      {"added_tokens", io::Json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Metaspace"},
        {"replacement", "\u2581"},
        {"prepend_scheme", "first"},
        {"split", false}}},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders", {replace, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}, strip}}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", "\u2581w0"},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", true},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", words},
        {"merges", io::Json::array()}}}};
  tokenizer::TokenizerFiles files;
  files.directory = "numbered";
  files.tokenizer_json = io::DumpJson(json, -1);
  Result<std::unique_ptr<tokenizer::Tokenizer>> made =
      tokenizer::Tokenizer::FromFiles(files, tokenizer::TokenizerForm::kTokenizerJson);
  ATOM_CHECK(made.ok(), "{}", made.error().message);
  return std::move(made).value();
}

}  // namespace atom::bench
