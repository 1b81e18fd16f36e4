#include "atom/grammar/json_schema/schema_pointer.h"

#include <charconv>

namespace atom::grammar {
namespace {

using Kind = SchemaValue::Kind;

// ~1 is a slash and ~0 a tilde.
std::string Unescape(std::string_view token) {
  std::string key;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size();
    key += !escape ? token[i] : token[++i] == '1' ? '/' : '~';
  }
  return key;
}

const SchemaValue* Child(const SchemaValue& parent, const std::string& key) {
  if (parent.Is(Kind::kObject)) return parent.Find(key);
  size_t index = 0;
  const char* const end = key.data() + key.size();
  const bool number = !key.empty() && std::from_chars(key.data(), end, index).ptr == end;
  if (!parent.Is(Kind::kArray) || !number || index >= parent.children.size()) return nullptr;
  return &parent.children[index];
}

}  // namespace

Result<const SchemaValue*> FollowPointer(const SchemaValue& root, std::string_view pointer) {
  if (!pointer.starts_with("#")) return MakeError("is not in this document, expected '#/…'");
  if (pointer.find('%') != std::string_view::npos) return MakeError("has a percent sign");
  pointer.remove_prefix(1);
  if (!pointer.empty() && pointer.front() != '/') return MakeError("is an anchor, expected '#/…'");
  const SchemaValue* at = &root;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::string_view token = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(token.size());
    at = Child(*at, Unescape(token));
    if (at == nullptr) return MakeError("leads nowhere");
  }
  return at;
}

std::string JoinPath(const std::string& path, std::string_view key) {
  std::string joined = path + "/";
  for (const char c : key) {
    if (c == '~' || c == '/') {
      joined += c == '~' ? "~0" : "~1";
    } else {
      joined += c;
    }
  }
  return joined;
}

}  // namespace atom::grammar
