// A recorded load: when requests came and how long they were. Reads the columns of Azure's traces
// of language model inference, TIMESTAMP,ContextTokens,GeneratedTokens.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "atom/bench/serving/request_lengths.h"
#include "atom/core/result.h"

namespace atom::bench {

struct TraceRow {
  double seconds = 0.0;  ///< since the first row
  RequestLengths lengths = {};
};

/// Rows in their order, whose times never go back. An Error names the line that is wrong.
Result<std::vector<TraceRow>> ParseTrace(std::string_view text, const std::string& source);
Result<std::vector<TraceRow>> ReadTrace(const std::filesystem::path& path);

}  // namespace atom::bench
