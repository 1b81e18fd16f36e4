// Numbers as Python writes and reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "atom/chat/jinja/value.h"

namespace atom::chat::jinja {

/// The shortest digits that give `number` again: 1.0, 0.1, 1e+16, 1e-05, inf, nan.
std::string FormatDouble(double number);

/// As Python's int(text, base) and float(text): blanks around, one "_" between digits, a sign.
std::optional<int64_t> ParseInt(std::string_view text, int base);
std::optional<double> ParseDouble(std::string_view text);

/// An integer or a boolean; a number of either kind.
std::optional<int64_t> AsInt(const Value& value);
std::optional<double> AsNumber(const Value& value);

/// The integer that `number` is without its fraction, if int64 holds it.
std::optional<int64_t> Truncate(double number);

}  // namespace atom::chat::jinja
