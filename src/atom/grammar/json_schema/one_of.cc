#include "atom/grammar/json_schema/one_of.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <string>
#include <vector>

#include "atom/grammar/json_schema/object_rule.h"

namespace atom::grammar {
namespace {

constexpr size_t kMaxBranches = 64;  // every two are compared
constexpr int kMaxDepth = 3;         // of properties that tell objects apart
constexpr size_t kMaxTellers = 16;   // required properties that are looked at, in their order

std::set<std::string> MeaningsOf(const Shape& shape) {
  std::set<std::string> meanings;
  for (const SchemaValue* value : *shape.values) meanings.insert(MeaningOf(*value));
  return meanings;
}

bool ShareValue(const Shape& a, const Shape& b) {
  const std::set<std::string> meanings = MeaningsOf(a);
  return std::any_of(b.values->begin(), b.values->end(), [&](const SchemaValue* value) {
    return meanings.contains(MeaningOf(*value));
  });
}

// Properties that both require, of the first few of each.
std::vector<std::string> SharedNames(const Shape& a, const Shape& b) {
  const size_t others = std::min(b.required.size(), kMaxTellers);
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(a.required.size(), kMaxTellers); ++i) {
    const std::string& name = a.required[i].first;
    for (size_t j = 0; j < others; ++j) {
      if (b.required[j].first == name) names.push_back(name);
    }
  }
  return names;
}

Result<bool> Exclude(const SchemaReader& reader, const Shape& a, const Shape& b, int depth) {
  const uint8_t types = a.types & b.types;
  if (a.never || b.never || types == 0) return true;
  if (a.values && b.values) return !ShareValue(a, b);
  if (types != kObjectType || depth == kMaxDepth) return false;
  for (const std::string& name : SharedNames(a, b)) {
    const Result<Shape> first = reader.Read(SchemasOfProperty(a, name));
    if (!first.ok()) return first.error();
    const Result<Shape> second = reader.Read(SchemasOfProperty(b, name));
    if (!second.ok()) return second.error();
    const Result<bool> excluded = Exclude(reader, *first, *second, depth + 1);
    if (!excluded.ok() || *excluded) return excluded;
  }
  return false;
}

}  // namespace

Status CheckExclusive(const SchemaReader& reader, const SchemaSet& branches,
                      const KeywordUse& use) {
  if (branches.size() > kMaxBranches) {
    return SchemaError(
        use.path, use.keyword,
        fmt::format("has {} branches, expected at most {}", branches.size(), kMaxBranches));
  }
  std::vector<Shape> shapes;
  for (const SchemaRef& branch : branches) {
    Result<Shape> shape = reader.Read({branch});
    if (!shape.ok()) return shape.error();
    shapes.push_back(*std::move(shape));
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Result<bool> excluded = Exclude(reader, shapes[j], shapes[i], 0);
      if (!excluded.ok()) return excluded.error();
      if (*excluded) continue;
      return SchemaError(use.path, use.keyword,
                         fmt::format("has branches {} and {} that may both hold, expected types, "
                                     "constants or a required property to tell them apart",
                                     j, i));
    }
  }
  return {};
}

}  // namespace atom::grammar
