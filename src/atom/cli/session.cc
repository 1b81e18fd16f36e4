#include "atom/cli/session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "atom/io/atomic_file.h"
#include "atom/io/quote.h"

namespace atom::cli {

void BackendFlags::AddTo(CLI::App& command) {
  std::string names;
  for (const std::string_view name : kernels::BackendNames()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  command.add_option("--backend", backend, "Where to compute: " + names)->capture_default_str();
  command.add_option("--threads", threads, "Threads; 0: every processor this process may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

Result<std::unique_ptr<kernels::Backend>> BackendFlags::Make() const {
  return kernels::MakeBackend(backend, {.threads = threads});
}

void CalibrationFlags::AddTo(CLI::App& command) {
  command
      .add_option(
          "--calib", texts,
          "Calibration texts, data sets' names or files, with shares: wikitext2:1,c4-calib:1")
      ->capture_default_str();
  command.add_option("--samples", options.samples, "Calibration sequences")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--seqlen", options.sequence_length, "Tokens of a calibration sequence")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Seed that draws the sequences")
      ->capture_default_str();
}

namespace {

/// A tokenizer may know tokens that the model has no embedding for, as a <pad> added to it.
Status CheckTokens(const std::string& source, const std::vector<std::vector<int32_t>>& windows,
                   const OpenedModel& model) {
  for (const std::vector<int32_t>& window : windows) {
    for (const int32_t id : window) {
      if (id < model.files.spec.vocab_size) continue;
      return MakeError("{}: expected tokens below the model's vocab_size of {}, found {} ({})",
                       source, model.files.spec.vocab_size, id,
                       io::Quote(model.tokenizer->TokenBytes(id)));
    }
  }
  return {};
}

}  // namespace

Result<pipeline::Calibration> CalibrationFlags::Load(const std::string& data_folder,
                                                     const OpenedModel& model) const {
  const int64_t context = model.files.spec.max_position_embeddings;
  if (options.sequence_length > context) {
    return MakeError("--seqlen: expected at most the model's context of {} tokens, found {}",
                     context, options.sequence_length);
  }
  const Result<std::vector<pipeline::MixPart>> parts = pipeline::ParseMix(texts);
  if (!parts.ok()) return parts.error();
  Result<pipeline::Calibration> calibration = pipeline::LoadCalibration(
      *parts, io::FindDataFolders(data_folder), *model.tokenizer, model.dir, options);
  if (!calibration.ok()) return calibration;
  if (Status s = CheckTokens("--calib", calibration->windows, model); !s.ok()) return s.error();
  return calibration;
}

void TokenizerFlag::AddTo(CLI::App& command) {
  command.add_option("--tokenizer", path,
                     "Another tokenizer than the model's own: a directory, a file of any name, or "
                     "tokenizer.json, tokenizer.model, tekken.json or vocab.json of the model");
}

Result<std::unique_ptr<tokenizer::Tokenizer>> TokenizerFlag::Load(const std::string& model) const {
  return path.empty() ? tokenizer::Tokenizer::Load(model)
                      : tokenizer::Tokenizer::LoadOther(path, model);
}

Result<OpenedModel> OpenModel(const std::string& dir, const TokenizerFlag& flag) {
  Result<model::ModelFiles> files = model::ModelFiles::Open(dir);
  if (!files.ok()) return files.error();
  Result<std::unique_ptr<tokenizer::Tokenizer>> tokenizer = flag.Load(dir);
  if (!tokenizer.ok()) return tokenizer.error();
  return OpenedModel{dir, std::move(files).value(), std::move(tokenizer).value()};
}

void WindowFlags::AddTo(CLI::App& command) {
  command
      .add_option("--windows", windows,
                  "At most so many windows a text, one number or one for each text; 0: all")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
}

Result<std::vector<eval::EvalText>> LoadTexts(const std::vector<std::string>& names,
                                              const std::string& data_folder,
                                              const OpenedModel& model, const WindowFlags& flags) {
  if (flags.windows.size() != 1 && flags.windows.size() != names.size()) {
    return MakeError("--windows: expected one number, or one for each of {} texts, found {}",
                     names.size(), flags.windows.size());
  }
  std::vector<eval::EvalText> texts;
  const io::DataFolders folders = io::FindDataFolders(data_folder);
  for (size_t i = 0; i < names.size(); ++i) {
    const Result<io::Dataset> dataset = io::LoadEvalDataset(names[i], folders);
    const int64_t windows = flags.windows.size() == 1 ? flags.windows.front() : flags.windows[i];
    if (!dataset.ok()) return dataset.error();
    const int64_t window = eval::WindowFor(model.files.spec);
    Result<eval::EvalText> text =
        flags.stride == 0
            ? eval::CutWindows(*dataset, *model.tokenizer, window, windows)
            : eval::CutStridedWindows(*dataset, *model.tokenizer, window, flags.stride, windows);
    if (!text.ok()) return text.error();
    if (Status s = CheckTokens("text " + names[i], text->windows, model); !s.ok()) return s.error();
    texts.push_back(std::move(text).value());
  }
  return texts;
}

CLI::Validator DTypeByName() {
  const auto to_number = [](std::string& text) -> std::string {
    for (const auto& [name, dtype] :
         {std::pair{"fp32", DType::kF32}, {"bf16", DType::kBF16}, {"fp16", DType::kF16}}) {
      if (text != name) continue;
      text = std::to_string(static_cast<int>(dtype));  // what CLI11 reads an enum from
      return {};
    }
    return fmt::format("expected fp32, bf16 or fp16, found '{}'", text);
  };
  return {to_number, ""};
}

int Fail(const Error& error) {
  fmt::print(stderr, "atom: {}\n", error.message);
  return 1;
}

Status WriteJson(const std::string& path, const nlohmann::json& json) {
  if (path.empty()) return {};
  const std::string text = json.dump(2) + "\n";
  if (path == "-") {
    std::fputs(text.c_str(), stdout);
    return {};
  }
  return io::WriteFileAtomically(path, text);
}

}  // namespace atom::cli
