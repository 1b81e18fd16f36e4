// The calibration tokens: windows of a text, drawn as the published program draws them.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"
#include "atom/io/dataset.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::pipeline {

using TokenWindow = std::vector<int32_t>;

struct Calibration {
  std::vector<TokenWindow> windows;  ///< [samples] of record.sequence_length tokens each
  artifact::CalibrationRecord record;
};

struct CalibrationOptions {
  int64_t samples = 128;
  int64_t sequence_length = 2048;
  uint64_t seed = 0;
};

/// A text is tokenized as a whole (one BOS) and `samples` windows start at Python's
/// randint(0, N - length - 1); a list of documents (c4) is drawn from until one is long enough.
/// Errors: the text (or every document) is shorter than a window. Several texts: calibration_mix.h.
Result<Calibration> SampleCalibration(const io::Dataset& dataset,
                                      const tokenizer::Tokenizer& tokenizer,
                                      const CalibrationOptions& options);

/// `samples` windows of the tokens of `dataset`, however they came to be.
Result<Calibration> SampleTokens(const io::Dataset& dataset, const std::vector<int32_t>& tokens,
                                 const CalibrationOptions& options);

/// `count` windows of `length` tokens from documents: Python's random, a document by randint until
/// one has more than `length` tokens, then a window of it. Shared by calibration and evaluation.
Result<std::vector<TokenWindow>> SampleDocuments(const io::Dataset& dataset,
                                                 const tokenizer::Tokenizer& tokenizer,
                                                 int64_t count, int64_t length, uint64_t seed);

}  // namespace atom::pipeline
