// `atom tokenize DIR [FILE]`: text to ids on one line, or ids back to text; or many of both.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fmt/core.h>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "atom/cli/commands.h"
#include "atom/cli/session.h"
#include "atom/io/json.h"

namespace atom::cli {
namespace {

constexpr int64_t kMaxInputBytes = int64_t{4} << 30;

struct TokenizeFlags {
  std::string model;
  std::string file = "-";
  TokenizerFlag tokenizer;
  bool decode = false;
  bool bos = false;
  bool special = false;
  bool many = false;
};

Result<std::string> ReadInput(const std::string& file) {
  if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  return io::ReadFile(file, kMaxInputBytes);
}

Result<std::vector<int32_t>> ParseIds(std::string_view text, int64_t vocab_size) {
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

Status PrintIds(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                const TokenizeFlags& flags) {
  const Result<std::vector<int32_t>> ids =
      tokenizer.Encode(text, {.add_bos = flags.bos, .parse_special = flags.special});
  if (!ids.ok()) return ids.error();
  std::string line;
  for (const int32_t id : *ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  std::puts(line.c_str());
  return {};
}

Status PrintText(const tokenizer::Tokenizer& tokenizer, std::string_view text) {
  const Result<std::vector<int32_t>> ids = ParseIds(text, tokenizer.vocab_size());
  if (!ids.ok()) return ids.error();
  const std::string decoded = tokenizer.Decode(*ids);
  std::fwrite(decoded.data(), 1, decoded.size(), stdout);
  return {};
}

/// Each text of `input`: behind all but the last there is a `separator`, behind that there may be.
std::vector<std::string_view> Separated(std::string_view input, char separator) {
  std::vector<std::string_view> texts;
  while (!input.empty()) {
    const size_t end = std::min(input.find(separator), input.size());
    texts.push_back(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return texts;
}

Status RunTokenize(const TokenizeFlags& flags) {
  const Result<std::unique_ptr<tokenizer::Tokenizer>> tokenizer = flags.tokenizer.Load(flags.model);
  if (!tokenizer.ok()) return tokenizer.error();
  const Result<std::string> input = ReadInput(flags.file);
  if (!input.ok()) return input.error();
  if (!flags.many) {
    return flags.decode ? PrintText(**tokenizer, *input) : PrintIds(**tokenizer, *input, flags);
  }
  for (const std::string_view text : Separated(*input, flags.decode ? '\n' : '\0')) {
    const Status printed =
        flags.decode ? PrintText(**tokenizer, text) : PrintIds(**tokenizer, text, flags);
    if (!printed.ok()) return printed;
    if (flags.decode) std::putchar('\0');
  }
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
  command->add_flag("-0,--null", flags->many,
                    "Many texts, a zero byte behind each, and a line of ids for each");
  flags->tokenizer.AddTo(*command);
  command->callback([flags, &exit_code] {
    const Status status = RunTokenize(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
