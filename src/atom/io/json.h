// JSON from outside: parsed under limits, read field by field, every complaint one sentence that
// names the source and the field. Sits under every reader of config.json, safetensors headers,
// tokenizer.json, recipes and artifacts.
//
// Promises: no exception leaves (but bad_alloc), no recursion on the input's depth, text that is
// not UTF-8, duplicate keys, NaN/Infinity and numbers beyond double are refused.
// Only the declaration of nlohmann::json is included here: a .cc that looks into a Json includes
// <nlohmann/json.hpp> itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom::io {

using Json = nlohmann::json;

/// Nested objects and arrays; real files stay below ten.
inline constexpr int kMaxJsonDepth = 64;
/// Bytes of one JSON text; the largest tokenizer.json in use is below 40 MB.
inline constexpr int64_t kMaxJsonBytes = int64_t{256} << 20;

/// `source_name` is what errors call the text, as a rule its path.
Result<Json> ParseJson(std::string_view text, const std::string& source_name);
Result<Json> ReadJsonFile(const std::filesystem::path& path);

/// The whole file (a pipe will do as well), byte for byte; an Error if it is absent, a folder,
/// unreadable or longer than `max_bytes`.
Result<std::string> ReadFile(const std::filesystem::path& path, int64_t max_bytes);

/// `indent` spaces a level, or -1 for a single line; keys sorted, no newline at the end. Strings
/// that are not UTF-8 have U+FFFD in place of what is wrong.
std::string DumpJson(const Json& json, int indent);

/// Field getters. `object` must be an object; `source` starts the error's sentence. A field that
/// is missing, null or of another type is an Error; the Optional ones give nullopt for a field that
/// is missing or null. Integers are those without fraction or exponent that fit int64.
Result<int64_t> RequireInt(const Json& object, std::string_view key, const std::string& source);
Result<double> RequireNumber(const Json& object, std::string_view key, const std::string& source);
Result<std::string> RequireString(const Json& object, std::string_view key,
                                  const std::string& source);
Result<bool> RequireBool(const Json& object, std::string_view key, const std::string& source);
/// The pointer lives as long as `object`.
Result<const Json*> RequireObject(const Json& object, std::string_view key,
                                  const std::string& source);
Result<const Json*> RequireArray(const Json& object, std::string_view key,
                                 const std::string& source);

Result<std::optional<int64_t>> OptionalInt(const Json& object, std::string_view key,
                                           const std::string& source);
Result<std::optional<double>> OptionalNumber(const Json& object, std::string_view key,
                                             const std::string& source);
Result<std::optional<std::string>> OptionalString(const Json& object, std::string_view key,
                                                  const std::string& source);
Result<std::optional<bool>> OptionalBool(const Json& object, std::string_view key,
                                         const std::string& source);
/// nullptr for a field that is missing or null.
Result<const Json*> OptionalObject(const Json& object, std::string_view key,
                                   const std::string& source);

/// What a value is, for sentences: "the string 'abc'", "the number 7", "an object", "null".
std::string DescribeJson(const Json& json);

}  // namespace atom::io
