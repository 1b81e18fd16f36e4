#include "atom/grammar/json_schema/object_rule.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <map>
#include <set>

#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::grammar {
namespace {

bool HoldsFalse(const SchemaSet& schemas) {
  return std::any_of(schemas.begin(), schemas.end(), [](const SchemaRef& ref) {
    return ref.schema->Is(SchemaValue::Kind::kBoolean) && !ref.schema->truth;
  });
}

void AppendRest(const Shape::Parts& part, std::string_view keyword, SchemaSet& schemas) {
  if (part.rest != nullptr) {
    schemas.push_back({.schema = part.rest, .path = JoinPath(part.path, keyword)});
  }
}

SchemaSet SchemasOfRest(const Shape& shape) {
  SchemaSet schemas;
  for (const Shape::Parts& part : shape.objects) {
    AppendRest(part, "additionalProperties", schemas);
  }
  return schemas;
}

struct Property {
  std::string name;
  bool required;
};

// In the order in which they come.
std::vector<Property> ListProperties(const Shape& shape) {
  std::set<std::string> required;
  for (const auto& [name, path] : shape.required) required.insert(name);
  std::vector<Property> properties;
  std::set<std::string> known;
  const auto add = [&](const std::string& name) {
    if (known.insert(name).second) properties.push_back({name, required.contains(name)});
  };
  for (const Shape::Parts& part : shape.objects) {
    if (part.named == nullptr) continue;
    for (const std::string& name : part.named->keys) add(name);
  }
  for (const auto& [name, path] : shape.required) add(name);
  return properties;
}

// Strings that are none of some names: a tree of the names' characters, with a way out of each node
// for every other character.
class OtherNames {
 public:
  explicit OtherNames(const std::vector<Property>& properties) : nodes_(1) {
    for (const Property& property : properties) {
      size_t at = 0;
      for (size_t pos = 0; pos < property.name.size();) {
        const tokenizer::Utf8Char next = tokenizer::NextChar(property.name, pos);
        pos += next.length;
        const auto [child, added] = nodes_[at].children.try_emplace(next.code, nodes_.size());
        at = child->second;
        if (added) nodes_.emplace_back();
      }
      nodes_[at].is_name = true;
    }
  }

  // from ─ such a string, in its plain spelling ─> to
  void Add(JsonRules& rules, uint32_t from, uint32_t to) const {
    GrammarBuilder& builder = rules.builder();
    const uint32_t other = builder.AddState();
    rules.speller().AddChars(other, AllChars(), other);
    builder.AddByte(other, '"', to);
    std::vector<uint32_t> states;
    for (size_t i = 0; i < nodes_.size() && !builder.full(); ++i) {
      states.push_back(builder.AddState());
    }
    for (size_t i = 0; i < nodes_.size() && !builder.full(); ++i) {
      std::vector<CharRange> taken;
      for (const auto& [code, child] : nodes_[i].children) {
        taken.push_back({code, code});
        rules.speller().AddChars(states[i], {{code, code}}, states[child]);
      }
      rules.speller().AddChars(states[i], InvertChars(NormalizeChars(taken)), other);
      if (!nodes_[i].is_name) builder.AddByte(states[i], '"', to);
    }
    if (!builder.full()) builder.AddByte(from, '"', states.front());
  }

 private:
  struct Node {
    std::map<char32_t, size_t> children;
    bool is_name = false;
  };
  std::vector<Node> nodes_;
};

}  // namespace

SchemaSet SchemasOfProperty(const Shape& shape, const std::string& name) {
  SchemaSet schemas;
  for (const Shape::Parts& part : shape.objects) {
    const SchemaValue* named = part.named == nullptr ? nullptr : part.named->Find(name);
    if (named != nullptr) {
      const std::string path = JoinPath(part.path, "properties");
      schemas.push_back({.schema = named, .path = JoinPath(path, name)});
    } else {
      AppendRest(part, "additionalProperties", schemas);
    }
  }
  return schemas;
}

//              key ─ "name" : value ─┐        per property; `first` if nothing has been written
//              yet,
//   first ─────^                     v        `next` if a comma must come
//   next ── , ─^                    next of the following property
Status AddObjects(JsonRules& rules, const Shape& shape, const RuleOf& rule_of, uint32_t from,
                  uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  const std::vector<Property> properties = ListProperties(shape);
  const auto add_value = [&](uint32_t colon, const SchemaSet& schemas, uint32_t after) {
    builder.AddCall(rules.AddByteAndSpace(colon, ':'), rule_of(schemas), after);
  };
  uint32_t first = rules.AddByteAndSpace(from, '{');
  uint32_t next = builder.AddState();
  for (const Property& property : properties) {
    const SchemaSet schemas = SchemasOfProperty(shape, property.name);
    if (property.required && HoldsFalse(schemas) && !shape.branched) {
      return SchemaError(
          shape.path, "required",
          fmt::format("demands {}, whose schema is false", io::Quote(property.name)));
    }
    if (builder.full()) return {};
    const uint32_t key = builder.AddState();
    const uint32_t colon = builder.AddState();
    const uint32_t first_after = builder.AddState();
    const uint32_t next_after = builder.AddState();
    builder.AddEpsilon(first, key);
    builder.AddEpsilon(rules.AddByteAndSpace(next, ','), key);
    rules.speller().AddText(key, SpellJsonString(property.name), colon);
    add_value(colon, schemas, next_after);
    if (!property.required) {
      builder.AddEpsilon(first, first_after);
      builder.AddEpsilon(next, next_after);
    }
    first = first_after;
    next = next_after;
  }
  const SchemaSet rest = SchemasOfRest(shape);
  if (!HoldsFalse(rest)) {
    const uint32_t key = builder.AddState();
    const uint32_t colon = builder.AddState();
    builder.AddEpsilon(first, key);
    builder.AddEpsilon(rules.AddByteAndSpace(next, ','), key);
    OtherNames(properties).Add(rules, key, colon);
    add_value(colon, rest, next);
  }
  builder.AddByte(first, '}', to);
  builder.AddByte(rules.AddSpace(next), '}', to);
  return {};
}

SchemaSet SchemasOfItem(const Shape& shape, size_t index) {
  SchemaSet schemas;
  for (const Shape::Parts& part : shape.arrays) {
    if (part.named != nullptr && index < part.named->children.size()) {
      const std::string path = JoinPath(part.path, "prefixItems");
      schemas.push_back({.schema = &part.named->children[index],
                         .path = JoinPath(path, fmt::format("{}", index))});
    } else {
      AppendRest(part, "items", schemas);
    }
  }
  return schemas;
}

void AddArrays(JsonRules& rules, const Shape& shape, const RuleOf& rule_of, uint32_t from,
               uint32_t to) {
  constexpr int64_t kLongestChain = 1000;
  GrammarBuilder& builder = rules.builder();
  size_t prefix = 0;
  for (const Shape::Parts& part : shape.arrays) {
    if (part.named != nullptr) prefix = std::max(prefix, part.named->children.size());
  }
  const auto least = static_cast<size_t>(shape.min_items);
  // Items from here on are alike: the last of the chain repeats, to the maximum if there is one.
  const size_t alike = std::max(prefix, least) + 1;
  const auto most = static_cast<size_t>(shape.max_items.value_or(0));
  const bool chain = shape.max_items && (*shape.max_items <= kLongestChain || most <= alike);
  const size_t count = chain ? most : alike;
  const uint32_t close = builder.AddState();
  builder.AddByte(close, ']', to);
  const uint32_t open = rules.AddByteAndSpace(from, '[');
  uint32_t item = builder.AddState();
  builder.AddEpsilon(open, item);
  if (least == 0) builder.AddEpsilon(open, close);
  for (size_t i = 0; i < count && !builder.full(); ++i) {
    const uint32_t after = builder.AddState();
    builder.AddCall(item, rule_of(SchemasOfItem(shape, i)), after);
    if (i + 1 >= least) builder.AddEpsilon(rules.AddSpace(after), close);
    if (i + 1 < count) {
      item = rules.AddByteAndSpace(after, ',');
    } else if (!shape.max_items) {
      builder.AddEpsilon(rules.AddByteAndSpace(after, ','), item);
    } else if (!chain) {
      const uint32_t another = builder.AddRule("another item");
      const uint32_t end = builder.AddState();
      builder.MarkFinal(end);
      builder.AddCall(rules.AddByteAndSpace(builder.StartOf(another), ','),
                      rule_of(SchemasOfItem(shape, i)), end);
      const uint32_t last = builder.AddState();
      Repeats(builder, another, "items")
          .AddUpTo(after, *shape.max_items - static_cast<int64_t>(count), last);
      builder.AddEpsilon(rules.AddSpace(last), close);
    }
  }
}

bool AddUniqueArrays(JsonRules& rules, const Shape& shape, const std::vector<std::string>& values,
                     uint32_t from, uint32_t to) {
  constexpr size_t kMostSets = 4096;
  constexpr size_t kMostValues = 64;
  if (values.size() > kMostValues) return false;
  GrammarBuilder& builder = rules.builder();
  std::vector<uint32_t> value_rules;
  for (const std::string& value : values) {
    value_rules.push_back(builder.AddRule("a value of an array"));
    const uint32_t end = builder.AddState();
    builder.MarkFinal(end);
    rules.speller().AddText(builder.StartOf(value_rules.back()), value, end);
  }
  const auto least = static_cast<size_t>(shape.min_items);
  const auto most =
      static_cast<size_t>(shape.max_items.value_or(static_cast<int64_t>(values.size())));
  const uint32_t close = builder.AddState();
  builder.AddByte(close, ']', to);
  const uint32_t open = rules.AddByteAndSpace(from, '[');
  if (least == 0) builder.AddEpsilon(open, close);
  // By the set of values that an array has so far: the state behind the last of them.
  std::map<uint64_t, uint32_t> behind = {{0, 0}};
  std::vector<uint64_t> sets = {0};
  for (size_t at = 0; at < sets.size() && !builder.full(); ++at) {
    const uint64_t set = sets[at];
    const auto count = static_cast<size_t>(std::popcount(set));
    if (set != 0 && count >= least) builder.AddEpsilon(rules.AddSpace(behind[set]), close);
    if (count >= most || count == values.size()) continue;
    const uint32_t item = set == 0 ? open : rules.AddByteAndSpace(behind[set], ',');
    for (size_t i = 0; i < values.size(); ++i) {
      if ((set >> i & 1) != 0) continue;
      const auto [next, added] = behind.try_emplace(set | uint64_t{1} << i, 0);
      if (added) {
        next->second = builder.AddState();
        sets.push_back(next->first);
      }
      builder.AddCall(item, value_rules[i], next->second);
    }
    if (sets.size() > kMostSets) return false;
  }
  return true;
}

}  // namespace atom::grammar
