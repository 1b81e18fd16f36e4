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
  return checksum.Hex();
}

}  // namespace

Result<std::vector<TokenWindow>> SampleDocuments(const io::Dataset& dataset,
                                                 const tokenizer::Tokenizer& tokenizer,
                                                 int64_t count, int64_t length, uint64_t seed) {
  // Every document is tokenized once, and only if it is drawn.
  std::vector<std::optional<std::vector<int32_t>>> tokens(dataset.documents.size());
  const auto tokens_of = [&](int64_t index) -> const std::vector<int32_t>& {
    auto& slot = tokens[static_cast<size_t>(index)];
    if (!slot)
      slot = tokenizer.Encode(dataset.documents[static_cast<size_t>(index)],
                              {.add_bos = true, .parse_special = true});
    return *slot;
  };
  const auto documents = static_cast<int64_t>(dataset.documents.size());
  bool any_long = false;
  int64_t longest = 0;
  for (int64_t i = 0; i < documents && !any_long; ++i) {
    longest = std::max<int64_t>(longest, static_cast<int64_t>(tokens_of(i).size()));
    any_long = longest > length;
  }
  if (!any_long) {
    return MakeError("dataset {}: expected a document of more than {} tokens, the longest has {}",
                     dataset.name, length, longest);
  }
  PythonRandom random(seed);
  std::vector<TokenWindow> windows;
  while (static_cast<int64_t>(windows.size()) < count) {
    const std::vector<int32_t>& document = tokens_of(random.RandInt(0, documents - 1));
    const auto size = static_cast<int64_t>(document.size());
    if (size <= length) continue;
    windows.push_back(Slice(document, random.RandInt(0, size - length - 1), length));
  }
  return windows;
}

Result<Calibration> SampleCalibration(const io::Dataset& dataset,
                                      const tokenizer::Tokenizer& tokenizer,
                                      const CalibrationOptions& options) {
  Calibration calibration;
  calibration.record = {.dataset = dataset.name,
                        .text_hash = HashOf(dataset),
                        .samples = options.samples,
                        .sequence_length = options.sequence_length,
                        .seed = options.seed};
  if (!dataset.documents.empty()) {
    Result<std::vector<TokenWindow>> windows =
        SampleDocuments(dataset, tokenizer, options.samples, options.sequence_length, options.seed);
    if (!windows.ok()) return windows.error();
    calibration.windows = std::move(windows).value();
    return calibration;
  }
  const std::vector<int32_t> tokens =
      tokenizer.Encode(dataset.text, {.add_bos = true, .parse_special = true});
  const auto size = static_cast<int64_t>(tokens.size());
  if (size <= options.sequence_length) {
    return MakeError("calibration text {}: expected more than {} tokens, found {}", dataset.name,
                     options.sequence_length, size);
  }
  PythonRandom random(options.seed);
  for (int64_t i = 0; i < options.samples; ++i) {
    const int64_t first = random.RandInt(0, size - options.sequence_length - 1);
    calibration.windows.push_back(Slice(tokens, first, options.sequence_length));
  }
  return calibration;
}

}  // namespace atom::pipeline
