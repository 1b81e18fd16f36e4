// What a template is given: plain data, as JSON knows it, with objects in the order in which they
// were written and strings that know whether a user wrote them. The interpreter copies it into its
// own values (value.h) and never changes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/chat/jinja/marked_text.h"
#include "atom/core/result.h"

namespace atom::chat::jinja {

class Data {
 public:
  struct None {};
  using List = std::vector<Data>;
  using Dict = std::vector<std::pair<MarkedText, Data>>;
  using Variant = std::variant<None, bool, int64_t, double, MarkedText, List, Dict>;

  Data() = default;
  Data(Variant value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose
  /// A string, or a dictionary's entry, that is the program's own.
  static Data Own(std::string_view text) { return Variant(MarkedText(text, Origin::kTemplate)); }
  static Data User(std::string_view text) { return Variant(MarkedText(text, Origin::kUser)); }

  /// From a JSON text; all its strings, keys as well, have the one origin. Integers that do not fit
  /// int64 are refused.
  static Result<Data> FromJson(std::string_view json, const std::string& source, Origin origin);

  const Variant& value() const { return value_; }

 private:
  Variant value_;
};

/// Puts `value` where the dictionary has `key`, or at its end.
void Set(Data::Dict& dict, std::string_view key, Data value);

}  // namespace atom::chat::jinja
