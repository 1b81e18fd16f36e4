#include "atom/pipeline/calibration.h"

#include <algorithm>
#include <optional>

#include "atom/core/rng.h"
#include "atom/io/checksum.h"

namespace atom::pipeline {
namespace {

TokenWindow Slice(const std::vector<int32_t>& tokens, int64_t first, int64_t length) {
  return TokenWindow(tokens.begin() + first, tokens.begin() + first + length);
}

std::string HashOf(const io::Dataset& dataset) {
  io::Checksum checksum;
  checksum.Update(dataset.text);
  for (const std::string& document : dataset.documents) {
    checksum.Update(document);
    checksum.Update(std::string_view("\0", 1));  // "ab","c" is not "a","bc"
  }
  for (const std::vector<io::ChatTurn>& chat : dataset.chats) {
    for (const io::ChatTurn& turn : chat) {
      checksum.Update(turn.role);
      checksum.Update(std::string_view("\0", 1));
      checksum.Update(turn.content);
      checksum.Update(std::string_view("\0", 1));
    }
    checksum.Update(std::string_view("\1", 1));
  }
  return checksum.Hex();
}

artifact::CalibrationRecord RecordOf(const io::Dataset& dataset,
                                     const CalibrationOptions& options) {
  return {.texts = {{.name = dataset.name, .hash = HashOf(dataset), .samples = options.samples}},
          .samples = options.samples,
          .sequence_length = options.sequence_length,
          .seed = options.seed};
}

}  // namespace

Result<std::vector<TokenWindow>> SampleDocuments(const io::Dataset& dataset,
                                                 const tokenizer::Tokenizer& tokenizer,
                                                 int64_t count, int64_t length, uint64_t seed) {
  // Every document is tokenized once, and only if it is drawn.
  std::vector<std::optional<std::vector<int32_t>>> tokens(dataset.documents.size());
  const auto tokens_of = [&](int64_t index) -> Result<const std::vector<int32_t>*> {
    auto& slot = tokens[static_cast<size_t>(index)];
    if (slot) return &*slot;
    Result<std::vector<int32_t>> encoded = tokenizer.Encode(
        dataset.documents[static_cast<size_t>(index)], {.add_bos = true, .parse_special = true});
    if (!encoded.ok()) return encoded.error();
    return &slot.emplace(*std::move(encoded));
  };
  const auto documents = static_cast<int64_t>(dataset.documents.size());
  bool any_long = false;
  int64_t longest = 0;
  for (int64_t i = 0; i < documents && !any_long; ++i) {
    const auto document = tokens_of(i);
    if (!document.ok()) return document.error();
    longest = std::max<int64_t>(longest, std::ssize(**document));
    any_long = longest > length;
  }
  if (!any_long) {
    return MakeError("dataset {}: expected a document of more than {} tokens, the longest has {}",
                     dataset.name, length, longest);
  }
  PythonRandom random(seed);
  std::vector<TokenWindow> windows;
  while (static_cast<int64_t>(windows.size()) < count) {
    const auto document = tokens_of(random.RandInt(0, documents - 1));
    if (!document.ok()) return document.error();
    const int64_t size = std::ssize(**document);
    if (size <= length) continue;
    windows.push_back(Slice(**document, random.RandInt(0, size - length - 1), length));
  }
  return windows;
}

Result<Calibration> SampleTokens(const io::Dataset& dataset, const std::vector<int32_t>& tokens,
                                 const CalibrationOptions& options) {
  const auto size = static_cast<int64_t>(tokens.size());
  if (size <= options.sequence_length) {
    return MakeError("calibration text {}: expected more than {} tokens, found {}", dataset.name,
                     options.sequence_length, size);
  }
  Calibration calibration{.windows = {}, .record = RecordOf(dataset, options)};
  PythonRandom random(options.seed);
  for (int64_t i = 0; i < options.samples; ++i) {
    const int64_t first = random.RandInt(0, size - options.sequence_length - 1);
    calibration.windows.push_back(Slice(tokens, first, options.sequence_length));
  }
  return calibration;
}

Result<Calibration> SampleCalibration(const io::Dataset& dataset,
                                      const tokenizer::Tokenizer& tokenizer,
                                      const CalibrationOptions& options) {
  if (dataset.documents.empty()) {
    const Result<std::vector<int32_t>> tokens =
        tokenizer.Encode(dataset.text, {.add_bos = true, .parse_special = true});
    if (!tokens.ok()) return tokens.error();
    return SampleTokens(dataset, *tokens, options);
  }
  Result<std::vector<TokenWindow>> windows =
      SampleDocuments(dataset, tokenizer, options.samples, options.sequence_length, options.seed);
  if (!windows.ok()) return windows.error();
  return Calibration{.windows = std::move(windows).value(), .record = RecordOf(dataset, options)};
}

}  // namespace atom::pipeline
