#include "atom/grammar/json_schema/schema_value.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

#include "atom/grammar/json_schema/json_escape.h"
#include "atom/io/json.h"

namespace atom::grammar {
namespace {

using Kind = SchemaValue::Kind;

// Builds the tree from the parser's events. The text has passed io::ParseJson: nothing can fail.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TreeBuilder(SchemaValue& root) : root_(root) {}

  bool null() override { return Add({}); }
  bool boolean(bool value) override { return Add({.kind = Kind::kBoolean, .truth = value}); }
  bool number_integer(number_integer_t value) override {
    return Add({.kind = Kind::kNumber, .text = fmt::format("{}", value)});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Add({.kind = Kind::kNumber, .text = fmt::format("{}", value)});
  }
  bool number_float(number_float_t, const string_t& spelling) override {
    return Add({.kind = Kind::kNumber, .text = spelling});
  }
  bool string(string_t& value) override { return Add({.kind = Kind::kString, .text = value}); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(Kind::kObject); }
  bool start_array(size_t) override { return Open(Kind::kArray); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    open_.back()->keys.push_back(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  SchemaValue* Place(SchemaValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    open_.back()->children.push_back(std::move(value));
    return &open_.back()->children.back();
  }
  bool Add(SchemaValue value) {
    Place(std::move(value));
    return true;
  }
  bool Open(Kind kind) {
    open_.push_back(Place({.kind = kind}));
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  SchemaValue& root_;
  std::vector<SchemaValue*> open_;  // the last child of each is the next, so none moves meanwhile
};

template <class SpellNumber>
std::string Spell(const SchemaValue& value, const SpellNumber& spell_number) {
  switch (value.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBoolean:
      return value.truth ? "true" : "false";
    case Kind::kNumber:
      return spell_number(value);
    case Kind::kString:
      return SpellJsonString(value.text);
    default:
      break;
  }
  const bool object = value.Is(Kind::kObject);
  std::string spelled = object ? "{" : "[";
  for (size_t i = 0; i < value.children.size(); ++i) {
    if (i > 0) spelled += ',';
    if (object) spelled += SpellJsonString(value.keys[i]) + ":";
    spelled += Spell(value.children[i], spell_number);
  }
  return spelled + (object ? "}" : "]");
}

void SortMembers(SchemaValue& value) {
  for (SchemaValue& child : value.children) SortMembers(child);
  if (!value.Is(Kind::kObject)) return;
  std::map<std::string, SchemaValue> members;
  for (size_t i = 0; i < value.keys.size(); ++i) {
    members.emplace(std::move(value.keys[i]), std::move(value.children[i]));
  }
  value.keys.clear();
  value.children.clear();
  for (auto& [key, child] : members) {
    value.keys.push_back(key);
    value.children.push_back(std::move(child));
  }
}

}  // namespace

const SchemaValue* SchemaValue::Find(std::string_view key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  if (!Is(Kind::kObject) || found == keys.end()) return nullptr;
  return &children[static_cast<size_t>(found - keys.begin())];
}

double SchemaValue::AsDouble() const { return std::strtod(text.c_str(), nullptr); }

std::optional<int64_t> SchemaValue::AsInteger() const {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (!Is(Kind::kNumber)) return std::nullopt;
  if (text.find_first_of(".eE") == std::string::npos) {
    errno = 0;
    const int64_t value = std::strtoll(text.c_str(), nullptr, 10);
    if (errno == ERANGE) return std::nullopt;
    return value;
  }
  const double value = AsDouble();
  if (std::abs(value) > kExact || value != std::floor(value)) return std::nullopt;
  return static_cast<int64_t>(value);
}

Result<std::unique_ptr<SchemaValue>> ParseSchemaValue(std::string_view json) {
  const Result<io::Json> checked = io::ParseJson(json, "the schema");
  if (!checked.ok()) return checked.error();
  auto root = std::make_unique<SchemaValue>();
  TreeBuilder builder(*root);
  const bool built = nlohmann::json::sax_parse(json.begin(), json.end(), &builder);
  ATOM_CHECK(built, "JSON that parsed before");
  return root;
}

std::string SpellValue(const SchemaValue& value) {
  return Spell(value, [](const SchemaValue& number) { return number.text; });
}

std::string MeaningOf(const SchemaValue& value) {
  SchemaValue sorted = value;
  SortMembers(sorted);
  return Spell(sorted, [](const SchemaValue& number) {
    const std::optional<int64_t> integer = number.AsInteger();
    return integer ? fmt::format("{}", *integer) : fmt::format("{}", number.AsDouble());
  });
}

std::string_view NameOf(SchemaValue::Kind kind) {
  constexpr std::array<std::string_view, 6> kNames = {"null",     "a boolean", "a number",
                                                      "a string", "an array",  "an object"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace atom::grammar
