#include "atom/grammar/json_schema/json_schema.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "atom/grammar/json_schema/enum_values.h"
#include "atom/grammar/json_schema/json_rules.h"
#include "atom/grammar/json_schema/object_rule.h"
#include "atom/grammar/json_schema/one_of.h"
#include "atom/grammar/json_schema/schema_shape.h"
#include "atom/grammar/json_schema/string_rule.h"
#include "atom/io/quote.h"

namespace atom::grammar {
namespace {

constexpr size_t kStatesOfAnyObject = 1000;

// Makes one rule for each set of schemas that some place of the text must satisfy. Rules are made
// from a queue and known by their set, so neither depth nor recursion of schemas is recursion here.
class SchemaCompiler {
 public:
  SchemaCompiler(const SchemaValue& root, const JsonSchemaLimits& limits,
                 const std::function<void()>& rest)
      : root_(root),
        limits_(limits),
        reader_(root),
        builder_(limits.max_states),
        rules_(builder_),
        patterns_({.rest = rest}) {}

  Result<Grammar> Compile() &&;

 private:
  struct Task {
    uint32_t rule;
    SchemaSet schemas;
  };
  using Values = std::vector<const SchemaValue*>;
  using SetKey = std::vector<std::tuple<const SchemaValue*, bool, bool, bool>>;

  uint32_t RuleOfSet(const SchemaSet& schemas);
  Status AddRule(const Task& task);
  Status ForEachBranch(const Shape& shape, const std::function<Status(const SchemaSet&)>& visit);
  Status FewValues(const SchemaSet& schemas, std::map<std::string, std::string>& few, bool& known);
  void AddValues(const Values& values, uint32_t from, uint32_t to);
  Status AddUnique(const Shape& shape, uint32_t from, uint32_t to);
  Status AddTypes(const Shape& shape, uint32_t from, uint32_t to);

  const SchemaValue& root_;
  const JsonSchemaLimits& limits_;
  SchemaReader reader_;
  GrammarBuilder builder_;
  JsonRules rules_;
  std::map<SetKey, uint32_t> ids_;
  std::vector<Task> queue_;
  size_t branches_ = 0;
  RegexBudget patterns_;
};

Result<Grammar> SchemaCompiler::Compile() && {
  const uint32_t root = RuleOfSet({{.schema = &root_, .path = "#"}});
  for (size_t i = 0; i < queue_.size(); ++i) {
    const Task task = std::move(queue_[i]);
    const Status added = AddRule(task);
    if (!added.ok()) return added.error();
    patterns_.rest();
    if (builder_.full()) {
      return MakeError("the schema at {}: needs a grammar of more than {} states",
                       io::Quote(task.schemas.front().path), limits_.max_states);
    }
  }
  return std::move(builder_).Finish(root);
}

uint32_t SchemaCompiler::RuleOfSet(const SchemaSet& schemas) {
  SetKey key;
  for (const SchemaRef& ref : schemas) {
    key.emplace_back(ref.schema, ref.followed, ref.any_chosen, ref.one_chosen);
  }
  std::sort(key.begin(), key.end());
  key.erase(std::unique(key.begin(), key.end()), key.end());
  if (key.empty()) return rules_.Value();
  const auto [place, added] = ids_.try_emplace(std::move(key), 0);
  if (added) {
    const std::string name = "the schema at " + io::Quote(schemas.back().path);
    place->second = builder_.AddRule(name);
    queue_.push_back({place->second, schemas});
  }
  return place->second;
}

Status SchemaCompiler::AddRule(const Task& task) {
  const Result<Shape> shape = reader_.Read(task.schemas);
  if (!shape.ok()) return shape.error();
  const uint32_t start = builder_.StartOf(task.rule);
  const uint32_t end = builder_.AddState();
  builder_.MarkFinal(end);
  if (shape->never) return {};
  if (!shape->choices.empty()) {
    return ForEachBranch(*shape, [&](const SchemaSet& branch) -> Status {
      builder_.AddCall(start, RuleOfSet(branch), end);
      return {};
    });
  }
  if (shape->values) {
    const Result<Values> values = ValuesOf(*shape, patterns_);
    if (!values.ok()) return values.error();
    AddValues(*values, start, end);
    return {};
  }
  return AddTypes(*shape, start, end);
}

// The schemas of each branch of the first choice that is open, together with everything else.
Status SchemaCompiler::ForEachBranch(const Shape& shape,
                                     const std::function<Status(const SchemaSet&)>& visit) {
  const KeywordUse& choice = shape.choices.front();
  const std::vector<SchemaValue>& branches = choice.value->children;
  branches_ += branches.size();
  if (branches_ > limits_.max_branches) {
    return SchemaError(choice.path, choice.keyword,
                       fmt::format("makes more than {} branches in all", limits_.max_branches));
  }
  const std::string path = JoinPath(choice.path, choice.keyword);
  SchemaSet alone;
  for (size_t i = 0; i < branches.size(); ++i) {
    alone.push_back({.schema = &branches[i], .path = JoinPath(path, fmt::format("{}", i))});
  }
  const bool one = choice.keyword == "oneOf";
  if (one) {
    const Status exclusive = CheckExclusive(reader_, alone, choice);
    if (!exclusive.ok()) return exclusive.error();
  }
  SchemaSet schemas = shape.schemas;
  SchemaRef& chooser = schemas[shape.choosers.front()];
  (one ? chooser.one_chosen : chooser.any_chosen) = true;
  for (const SchemaRef& branch : alone) {
    schemas.push_back(branch);
    const Status status = visit(schemas);
    if (!status.ok()) return status.error();
    schemas.pop_back();
  }
  return {};
}

// A tree of the values' spellings: what they begin with in common is one path.
void SchemaCompiler::AddValues(const Values& values, uint32_t from, uint32_t to) {
  std::map<std::pair<uint32_t, char>, uint32_t> children;
  for (const SchemaValue* value : values) {
    uint32_t at = from;
    for (const char byte : SpellValue(*value)) {
      if (builder_.full()) return;
      const auto [place, added] = children.try_emplace({at, byte}, 0);
      if (added) {
        place->second = builder_.AddState();
        builder_.AddByte(at, byte, place->second);
      }
      at = place->second;
    }
    builder_.AddEpsilon(at, to);
  }
}

// Every value that some schemas allow, by what it means, in one spelling; nothing if they are not
// few and known.
Status SchemaCompiler::FewValues(const SchemaSet& schemas, std::map<std::string, std::string>& few,
                                 bool& known) {
  const Result<Shape> shape = reader_.Read(schemas);
  if (!shape.ok()) return shape.error();
  if (shape->never) return {};
  if (!shape->choices.empty()) {
    return ForEachBranch(*shape, [&](const SchemaSet& branch) {
      return known ? FewValues(branch, few, known) : Status();
    });
  }
  if (shape->values) {
    const Result<Values> values = ValuesOf(*shape, patterns_);
    if (!values.ok()) return values.error();
    for (const SchemaValue* value : *values) few.try_emplace(MeaningOf(*value), SpellValue(*value));
    return {};
  }
  known = known && (shape->types & ~(kNullType | kBooleanType)) == 0;
  if ((shape->types & kNullType) != 0) few.emplace("null", "null");
  if ((shape->types & kBooleanType) != 0) {
    few.emplace("true", "true");
    few.emplace("false", "false");
  }
  return {};
}

// Arrays without a value twice, where the values are few and known.
Status SchemaCompiler::AddUnique(const Shape& shape, uint32_t from, uint32_t to) {
  const KeywordUse& use = *shape.unique_items;
  const bool alike = std::ranges::all_of(
      shape.arrays, [](const Shape::Parts& part) { return part.named == nullptr; });
  std::map<std::string, std::string> few;
  bool known = alike && !shape.arrays.empty();
  if (known) {
    const Status status = FewValues(SchemasOfItem(shape, 0), few, known);
    if (!status.ok()) return status.error();
  }
  if (!known) {
    return SchemaError(use.path, use.keyword,
                       "is supported only where all items are of one enum, const, boolean or null, "
                       "or an anyOf of them");
  }
  std::vector<std::string> values;
  for (const auto& [meaning, spelled] : few) values.push_back(spelled);
  if (AddUniqueArrays(rules_, shape, values, from, to)) return {};
  return SchemaError(use.path, use.keyword,
                     fmt::format("is supported for arrays of few values, found {}", values.size()));
}

Status SchemaCompiler::AddTypes(const Shape& shape, uint32_t from, uint32_t to) {
  const RuleOf rule_of = [this](const SchemaSet& schemas) { return RuleOfSet(schemas); };
  const auto allows = [&](uint8_t type) { return (shape.types & type) != 0; };
  Status status;
  if (allows(kNullType)) rules_.speller().AddText(from, "null", to);
  if (allows(kBooleanType)) {
    rules_.speller().AddText(from, "true", to);
    rules_.speller().AddText(from, "false", to);
  }
  if (allows(kIntegerType)) status = AddShapeNumbers(rules_, shape, from, to);
  if (status.ok() && allows(kStringType)) status = AddStrings(rules_, shape, patterns_, from, to);
  const bool may_repeat = !shape.unique_items || shape.max_items.value_or(2) <= 1;
  if (status.ok() && allows(kArrayType)) {
    if (may_repeat) {
      AddArrays(rules_, shape, rule_of, from, to);
    } else {
      status = AddUnique(shape, from, to);
    }
  }
  if (status.ok() && allows(kObjectType)) status = AddObjects(rules_, shape, rule_of, from, to);
  return status;
}

}  // namespace

Result<Grammar> CompileJsonSchema(std::string_view schema, const JsonSchemaLimits& limits,
                                  const std::function<void()>& rest) {
  if (schema.size() > limits.max_bytes) {
    return MakeError("the schema: has {} bytes, expected at most {}", schema.size(),
                     limits.max_bytes);
  }
  const Result<std::unique_ptr<SchemaValue>> root = ParseSchemaValue(schema);
  if (!root.ok()) return root.error();
  return SchemaCompiler(**root, limits, rest).Compile();
}

Grammar AnyJsonObject() {
  GrammarBuilder builder(kStatesOfAnyObject);
  JsonRules rules(builder);
  const uint32_t root = rules.Object();
  Result<Grammar> grammar = std::move(builder).Finish(root);
  ATOM_CHECK(grammar.ok(), "{}", grammar.error().message);
  return *std::move(grammar);
}

}  // namespace atom::grammar
