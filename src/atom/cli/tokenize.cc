// `atom tokenize DIR [FILE]`: text to ids on one line, or ids back to text.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <fmt/core.h>
#include <iostream>
#include <iterator>
#include <memory>

#include "atom/cli/commands.h"
#include "atom/cli/session.h"
#include "atom/io/json.h"

namespace atom::cli {
namespace {

constexpr int64_t kMaxInputBytes = int64_t{4} << 30;

struct TokenizeFlags {
  std::string model;
  std::string file = "-";
  std::string tokenizer_file;
  bool decode = false;
  bool bos = false;
  bool special = false;
};

Result<std::string> ReadInput(const std::string& file) {
  if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  return io::ReadFile(file, kMaxInputBytes);
}

Result<std::vector<int32_t>> ParseIds(const std::string& text, int64_t vocab_size) {
  std::vector<int32_t> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    while (at < end && (std::isspace(static_cast<unsigned char>(*at)) != 0 || *at == ',')) ++at;
    if (at == end) return ids;
    int32_t id = 0;
    const auto [next, failed] = std::from_chars(at, end, id);
    if (failed != std::errc() || id < 0 || id >= vocab_size) {
      const char* stop = at;
      while (stop < end && stop - at < 20 && std::isspace(static_cast<unsigned char>(*stop)) == 0) {
        ++stop;
      }
      return MakeError("token ids: expected numbers in [0, {}), found \"{}\"", vocab_size,
                       std::string(at, stop));
    }
    ids.push_back(id);
    at = next;
  }
}

Status RunTokenize(const TokenizeFlags& flags) {
  Result<std::unique_ptr<tokenizer::Tokenizer>> tokenizer =
      flags.tokenizer_file.empty()
          ? tokenizer::Tokenizer::Load(flags.model)
          : tokenizer::Tokenizer::LoadFile(flags.model, flags.tokenizer_file);
  if (!tokenizer.ok()) return tokenizer.error();
  const Result<std::string> input = ReadInput(flags.file);
  if (!input.ok()) return input.error();
  if (flags.decode) {
    const Result<std::vector<int32_t>> ids = ParseIds(*input, (*tokenizer)->vocab_size());
    if (!ids.ok()) return ids.error();
    const std::string decoded = (*tokenizer)->Decode(*ids);
    std::fwrite(decoded.data(), 1, decoded.size(), stdout);
    return {};
  }
  const Result<std::vector<int32_t>> ids =
      (*tokenizer)->Encode(*input, {.add_bos = flags.bos, .parse_special = flags.special});
  if (!ids.ok()) return ids.error();
  std::string line;
  for (const int32_t id : *ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  std::puts(line.c_str());
  return {};
}

}  // namespace

void AddTokenize(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "Text to token ids, and back");
  command->add_option("model", flags->model, "Directory with the tokenizer, or GGUF file")
      ->required();
  command->add_option("file", flags->file, "Input; - for stdin")->capture_default_str();
  command->add_flag("--decode", flags->decode, "Ids to text");
  command->add_flag("--bos", flags->bos, "Put the BOS in front, where the model has one");
  command->add_flag("--special", flags->special, "Special tokens spelled in the text are special");
  command->add_option("--tokenizer", flags->tokenizer_file,
                      "Which file: tokenizer.json, tokenizer.model or vocab.json");
  command->callback([flags, &exit_code] {
    const Status status = RunTokenize(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
