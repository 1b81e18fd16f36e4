#include "atom/chat/jinja/data.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/io/json.h"

namespace atom::chat::jinja {
namespace {

using OrderedJson = nlohmann::ordered_json;

// nullopt for a number that no int64 holds. The depth is that of a text that io::ParseJson took.
std::optional<Data> FromOrdered(const OrderedJson& json, Origin origin) {
  if (json.is_boolean()) return Data(json.get<bool>());
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  if (json.is_number_integer()) return Data(json.get<int64_t>());
  if (json.is_number()) return Data(json.get<double>());
  if (json.is_string()) return Data(MarkedText(json.get_ref<const std::string&>(), origin));
  if (json.is_array()) {
    Data::List list;
    for (const OrderedJson& item : json) {
      std::optional<Data> value = FromOrdered(item, origin);
      if (!value) return std::nullopt;
      list.push_back(*std::move(value));
    }
    return Data(std::move(list));
  }
  if (json.is_object()) {
    Data::Dict dict;
    for (const auto& [key, item] : json.items()) {
      std::optional<Data> value = FromOrdered(item, origin);
      if (!value) return std::nullopt;
      dict.emplace_back(MarkedText(key, origin), *std::move(value));
    }
    return Data(std::move(dict));
  }
  return Data();
}

}  // namespace

Result<Data> Data::FromJson(std::string_view json, const std::string& source, Origin origin) {
  const Result<io::Json> checked = io::ParseJson(json, source);
  if (!checked.ok()) return checked.error();
  // Once more for the order of the keys, which a template may print; what was taken is well formed.
  const OrderedJson ordered = OrderedJson::parse(json, nullptr, false);
  std::optional<Data> data = FromOrdered(ordered, origin);
  if (!data) return MakeError("{}: a number is too large, expected at most 2^63 - 1", source);
  return *std::move(data);
}

void Set(Data::Dict& dict, std::string_view key, Data value) {
  const auto found = std::find_if(dict.begin(), dict.end(),
                                  [&](const auto& entry) { return entry.first.bytes() == key; });
  if (found != dict.end()) {
    found->second = std::move(value);
  } else {
    dict.emplace_back(MarkedText(key, Origin::kTemplate), std::move(value));
  }
}

}  // namespace atom::chat::jinja
