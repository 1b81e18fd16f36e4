// `atom bench tokenizer`: how fast tokenizers cut a text, on one core.
#include <filesystem>
#include <memory>

#include "atom/bench/tokenizer_bench.h"
#include "atom/cli/bench_flags.h"
#include "atom/core/cpu_info.h"
#include "atom/io/json.h"

namespace atom::cli {
namespace {

constexpr int64_t kMaxTextBytes = int64_t{512} << 20;

struct TokenizerBenchFlags {
  std::vector<std::string> tokenizers;
  std::string text;
  std::string json;
  int repeats = 7;
};

Result<std::unique_ptr<tokenizer::Tokenizer>> LoadFrom(const std::filesystem::path& path) {
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(absolute, ignored);
  return folder ? tokenizer::Tokenizer::Load(absolute)
                : tokenizer::Tokenizer::LoadOther(absolute, absolute.parent_path());
}

Status RunTokenizerBench(const TokenizerBenchFlags& flags) {
  const Result<std::string> text = io::ReadFile(flags.text, kMaxTextBytes);
  if (!text.ok()) return text.error();
  if (text->empty()) return MakeError("{}: expected a text, found an empty file", flags.text);
  nlohmann::json rows = nlohmann::json::array();
  for (const std::string& path : flags.tokenizers) {
    const auto tokenizer = LoadFrom(path);
    if (!tokenizer.ok()) return tokenizer.error();
    const Result<bench::TokenizerRow> row =
        bench::MeasureTokenizer(path, **tokenizer, *text, flags.repeats);
    if (!row.ok()) return row.error();
    if (flags.json != "-") {
      if (rows.empty()) fmt::print("{}\n", bench::TokenizerTableHeader());
      fmt::print("{}\n", bench::TableLine(*row));
      std::fflush(stdout);
    }
    rows.push_back(bench::ToJson(*row));
  }
  return WriteJson(flags.json,
                   {{"cpu", CpuModelName()}, {"text", flags.text}, {"rows", std::move(rows)}});
}

}  // namespace

void AddBenchTokenizer(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<TokenizerBenchFlags>();
  CLI::App* command = parent.add_subcommand("tokenizer", "Text to ids and back, on one core");
  command
      ->add_option("tokenizers", flags->tokenizers,
                   "Directories, files of tokenizers or GGUF files")
      ->required();
  command->add_option("--text", flags->text, "The file to cut")->required();
  command->add_option("--repeats", flags->repeats, "Of each; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--json", flags->json, "Write the rows here; - for stdout");
  command->callback([flags, &exit_code] {
    const Status status = RunTokenizerBench(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
