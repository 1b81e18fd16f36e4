// How fast a tokenizer is, on one core: a text to ids and back, in processor time of the thread, so
// that other programs weigh little.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::bench {

struct TokenizerRow {
  std::string name;
  std::string kind;
  int64_t bytes = 0;   ///< of the text
  int64_t tokens = 0;  ///< that it becomes
  std::vector<double> encode_seconds;
  std::vector<double> decode_seconds;  ///< one for each repeat

  double EncodeMegabytes() const;  ///< a second, in the median
  double DecodeMegabytes() const;
};

/// An Error where the tokenizer cannot encode the text. REQUIRES: `repeats` > 0.
Result<TokenizerRow> MeasureTokenizer(const std::string& name,
                                      const tokenizer::Tokenizer& tokenizer, std::string_view text,
                                      int repeats);

std::string TokenizerTableHeader();
std::string TableLine(const TokenizerRow& row);
nlohmann::json ToJson(const TokenizerRow& row);

}  // namespace atom::bench
