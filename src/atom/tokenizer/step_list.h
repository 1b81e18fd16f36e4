// What the four parts of a tokenizer.json have in common: a step has a "type", and a Sequence is a
// list of steps, in which there may be further ones. Each part has a table of its types.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"

namespace atom::tokenizer {

struct TypedStep {
  const io::Json* json;
  std::string type;
};

/// `step` and those inside it, in their order; none of null. `list_name`: what a Sequence calls its
/// list here. `source` starts the errors' sentences.
Result<std::vector<TypedStep>> FlattenSteps(const io::Json& step, std::string_view list_name,
                                            const std::string& source);

/// "FILE: normalizer 'X' is not known; known are Sequence, …"
Error UnknownStep(std::string_view type, const std::vector<std::string_view>& known,
                  const std::string& source);

/// The row of `table` for a step: a row has a `type`.
template <class Row, size_t kRows>
Result<const Row*> FindStep(const std::array<Row, kRows>& table, std::string_view type,
                            const std::string& source) {
  std::vector<std::string_view> known;
  for (const Row& row : table) {
    if (row.type == type) return &row;
    known.push_back(row.type);
  }
  return UnknownStep(type, known, source);
}

}  // namespace atom::tokenizer
