// Byte-level BPE, as GPT-2 and Llama 3 have it: the run is cut into words by one or more patterns,
// each word's bytes are merged. Ill-formed UTF-8 is bytes like any other, and survives.
#pragma once

#include <utility>
#include <vector>

#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/run_encoder.h"
#include "atom/tokenizer/split_pattern.h"

namespace atom::tokenizer {

class ByteLevelEncoder final : public RunEncoder {
 public:
  /// `patterns` apply one after the other, each to the words of the one before; none: the run is
  /// one word.
  ByteLevelEncoder(std::vector<SplitPattern> patterns, BpeModel model)
      : patterns_(std::move(patterns)), model_(std::move(model)) {}

  Status Encode(std::string_view run, bool at_start, RegexSteps& steps,
                std::vector<int32_t>& ids) const override;

 private:
  std::vector<SplitPattern> patterns_;
  BpeModel model_;
};

}  // namespace atom::tokenizer
