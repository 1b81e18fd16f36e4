#include "atom/pipeline/calibration_mix.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "atom/chat/chat_template.h"
#include "atom/io/quote.h"

namespace atom::pipeline {
namespace {

/// The number that all of `text` is.
std::optional<double> ParseNumber(const std::string& text) {
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size()) return std::nullopt;
  return value;
}

Result<MixPart> ParsePart(std::string_view text) {
  MixPart part{.name = std::string(text)};
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    const std::string share(text.substr(colon + 1));
    if (const std::optional<double> number = ParseNumber(share)) {
      part = {.name = std::string(text.substr(0, colon)), .share = *number};
      if (!(part.share > 0.0) || !std::isfinite(part.share)) {
        return MakeError("--calib: the share of {} is {}, expected a number above 0",
                         io::Quote(part.name), share);
      }
    }
  }
  if (part.name.empty()) {
    return MakeError("--calib: expected a data set's name or a file before {}",
                     text.empty() ? "each comma and at the end" : io::Quote(text));
  }
  return part;
}

/// All chats of a file, as the model's template writes them.
Result<std::vector<int32_t>> RenderChats(const io::Dataset& dataset,
                                         const tokenizer::Tokenizer& tokenizer,
                                         const std::filesystem::path& model_dir) {
  const Result<chat::ChatTemplate> format = chat::ChatTemplate::Load(model_dir);
  if (!format.ok()) return format.error();
  std::vector<int32_t> all;
  for (size_t i = 0; i < dataset.chats.size(); ++i) {
    std::vector<chat::ChatMessage> messages;
    for (const io::ChatTurn& turn : dataset.chats[i]) {
      messages.push_back({.role = turn.role, .content = turn.content});
    }
    const Result<std::vector<int32_t>> tokens =
        format->Render(tokenizer, messages, {.add_generation_prompt = false});
    if (!tokens.ok()) {
      return MakeError("{}: chat {}: {}", dataset.name, i + 1, tokens.error().message);
    }
    all.insert(all.end(), tokens->begin(), tokens->end());
  }
  return all;
}

Result<Calibration> SampleOne(const io::Dataset& dataset, const tokenizer::Tokenizer& tokenizer,
                              const std::filesystem::path& model_dir,
                              const CalibrationOptions& options) {
  if (dataset.chats.empty()) return SampleCalibration(dataset, tokenizer, options);
  const Result<std::vector<int32_t>> tokens = RenderChats(dataset, tokenizer, model_dir);
  if (!tokens.ok()) return tokens.error();
  return SampleTokens(dataset, *tokens, options);
}

}  // namespace

Result<std::vector<MixPart>> ParseMix(std::string_view flag) {
  std::vector<MixPart> parts;
  for (size_t begin = 0; begin <= flag.size();) {
    const size_t comma = std::min(flag.find(',', begin), flag.size());
    Result<MixPart> part = ParsePart(flag.substr(begin, comma - begin));
    if (!part.ok()) return part.error();
    parts.push_back(std::move(part).value());
    begin = comma + 1;
  }
  return parts;
}

std::vector<size_t> DealWindows(const std::vector<MixPart>& parts, int64_t samples) {
  double sum = 0.0;
  for (const MixPart& part : parts) sum += part.share;
  std::vector<double> given(parts.size(), 0.0);
  std::vector<size_t> order;
  for (int64_t window = 1; window <= samples; ++window) {
    size_t next = 0;
    double behind = -HUGE_VAL;
    for (size_t i = 0; i < parts.size(); ++i) {
      const double missing = parts[i].share / sum * static_cast<double>(window) - given[i];
      if (missing > behind) {
        behind = missing;
        next = i;
      }
    }
    given[next] += 1.0;
    order.push_back(next);
  }
  return order;
}

Result<Calibration> LoadCalibration(const std::vector<MixPart>& parts,
                                    const io::DataFolders& folders,
                                    const tokenizer::Tokenizer& tokenizer,
                                    const std::filesystem::path& model_dir,
                                    const CalibrationOptions& options) {
  const std::vector<size_t> order = DealWindows(parts, options.samples);
  Calibration mixed;
  mixed.record = {.texts = {},
                  .samples = options.samples,
                  .sequence_length = options.sequence_length,
                  .seed = options.seed};
  mixed.windows.resize(order.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t samples = std::count(order.begin(), order.end(), i);
    if (samples == 0) {
      return MakeError("--calib: {} gets none of the {} windows: expected more --samples",
                       io::Quote(parts[i].name), options.samples);
    }
    const Result<io::Dataset> dataset = io::LoadCalibrationDataset(parts[i].name, folders);
    if (!dataset.ok()) return dataset.error();
    CalibrationOptions of_part = options;
    of_part.samples = samples;
    Result<Calibration> part = SampleOne(*dataset, tokenizer, model_dir, of_part);
    if (!part.ok()) return part.error();
    artifact::CalibrationText text = part->record.texts.front();
    text.share = parts.size() == 1 ? 1.0 : parts[i].share;
    mixed.record.texts.push_back(std::move(text));
    size_t next = 0;
    for (size_t window = 0; window < order.size(); ++window) {
      if (order[window] == i) mixed.windows[window] = std::move(part->windows[next++]);
    }
  }
  return mixed;
}

}  // namespace atom::pipeline
