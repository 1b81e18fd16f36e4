#include "atom/eval/item_readers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "atom/eval/hellaswag_text.h"
#include "atom/eval/item_fields.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::eval {
namespace {

using io::Json;
using Strings = std::vector<std::string>;

constexpr std::string_view kAnswer = "\nAnswer:";

/// A query may end with the newline that the answer's line begins with.
std::string AskAnswer(std::string_view query) {
  if (query.ends_with('\n')) query.remove_suffix(1);
  return std::string(query).append(kAnswer);
}

std::string AskAnswerOfPassage(std::string_view query) {
  constexpr std::string_view kHeading = "Passage: ";
  if (query.starts_with(kHeading)) query.remove_prefix(kHeading.size());
  return AskAnswer(query);
}

std::string AsItIs(std::string_view query) { return std::string(query); }

/// "choices" with texts and labels, and the label of the right one in "answerKey".
Result<ChoiceItem> LabelledItem(const Json& line, std::string_view context,
                                const std::string& source) {
  const Result<std::string> key = io::RequireString(line, "answerKey", source);
  if (!key.ok()) return key.error();
  const Result<const Json*> choices = io::RequireObject(line, "choices", source);
  if (!choices.ok()) return choices.error();
  const Result<Strings> texts = RequireStrings(**choices, "text", source + ": choices");
  if (!texts.ok()) return texts.error();
  const Result<Strings> labels = RequireStrings(**choices, "label", source + ": choices");
  if (!labels.ok()) return labels.error();
  if (labels->size() != texts->size()) {
    return MakeError("{}: field 'choices' holds {} labels, expected one for each of {} texts",
                     source, labels->size(), texts->size());
  }
  const auto gold = std::ranges::find(*labels, tokenizer::TrimStart(*key));
  if (gold == labels->end()) {
    return MakeError("{}: field 'answerKey' is {}, expected a label of the choices", source,
                     io::Quote(*key));
  }
  return ItemOf(context, *texts, gold - labels->begin(), source);
}

/// super_glue's label (0: no), or the answer (true: yes) of the data set's own file.
Result<int64_t> ReadBoolqLabel(const Json& line, const std::string& source) {
  if (!line.contains("answer")) return RequireChoice(line, "label", 0, 2, source);
  const Result<bool> answer = io::RequireBool(line, "answer", source);
  if (!answer.ok()) return answer.error();
  return *answer ? 1 : 0;
}

/// "…" up to the gap with each option in it, and what follows the gap.
Result<ChoiceItem> PartialItem(const Strings& contexts, std::string_view continuation, int64_t gold,
                               const std::string& source) {
  ChoiceItem item{.choices = {}, .gold = gold};
  for (const std::string& context : contexts) {
    if (context.empty()) return MakeError("{}: the context is empty, expected a text", source);
    item.choices.push_back({.context = context,
                            .continuation = fmt::format(" {}", continuation),
                            .length = CountCharacters(context)});
  }
  return item;
}

Result<ChoiceItem> ReadContextOptions(const Json& line, const std::string& source) {
  const Result<Strings> contexts = RequireStrings(line, "context_options", source);
  if (!contexts.ok()) return contexts.error();
  if (contexts->size() != 2) {
    return MakeError("{}: field 'context_options' holds {}, expected two", source,
                     contexts->size());
  }
  const Result<std::string> continuation = io::RequireString(line, "continuation", source);
  if (!continuation.ok()) return continuation.error();
  const Result<int64_t> gold = RequireChoice(line, "gold", 0, contexts->size(), source);
  if (!gold.ok()) return gold.error();
  return PartialItem(*contexts, *continuation, *gold, source);
}

}  // namespace

Result<ChoiceItem> ReadPiqa(const Json& line, const std::string& source) {
  if (line.contains("query")) return ReadQueryForm(line, source, AskAnswer);
  const Result<Strings> fields = RequireEachString(line, {"goal", "sol1", "sol2"}, source);
  if (!fields.ok()) return fields.error();
  const Result<int64_t> gold = RequireChoice(line, "label", 0, 2, source);
  if (!gold.ok()) return gold.error();
  return ItemOf(fmt::format("Question: {}{}", (*fields)[0], kAnswer), {(*fields)[1], (*fields)[2]},
                *gold, source);
}

Result<ChoiceItem> ReadArc(const Json& line, const std::string& source) {
  if (line.contains("query")) return ReadQueryForm(line, source, AskAnswer);
  const Result<std::string> question = io::RequireString(line, "question", source);
  if (!question.ok()) return question.error();
  return LabelledItem(line, fmt::format("Question: {}{}", *question, kAnswer), source);
}

Result<ChoiceItem> ReadOpenbookQa(const Json& line, const std::string& source) {
  if (line.contains("query")) return ReadQueryForm(line, source, AsItIs);
  const Result<std::string> stem = io::RequireString(line, "question_stem", source);
  if (!stem.ok()) return stem.error();
  return LabelledItem(line, *stem, source);
}

Result<ChoiceItem> ReadBoolq(const Json& line, const std::string& source) {
  if (line.contains("query")) return ReadQueryForm(line, source, AskAnswerOfPassage);
  const Result<Strings> fields = RequireEachString(line, {"passage", "question"}, source);
  if (!fields.ok()) return fields.error();
  const Result<int64_t> gold = ReadBoolqLabel(line, source);
  if (!gold.ok()) return gold.error();
  return ItemOf(fmt::format("{}\nQuestion: {}?{}", (*fields)[0], (*fields)[1], kAnswer),
                {"no", "yes"}, *gold, source);
}

Result<ChoiceItem> ReadHellaswag(const Json& line, const std::string& source) {
  if (line.contains("query")) {
    return ReadQueryForm(line, source, AsItIs);
  }
  const Result<Strings> fields =
      RequireEachString(line, {"activity_label", "ctx_a", "ctx_b"}, source);
  if (!fields.ok()) return fields.error();
  Result<Strings> endings = RequireStrings(line, "endings", source);
  if (!endings.ok()) return endings.error();
  for (std::string& ending : *endings) ending = CleanHellaswag(ending);
  const Result<int64_t> gold = RequireChoice(line, "label", 0, endings->size(), source);
  if (!gold.ok()) return gold.error();
  return ItemOf(HellaswagContext((*fields)[0], (*fields)[1], (*fields)[2]), *endings, *gold,
                source);
}

Result<ChoiceItem> ReadWinogrande(const Json& line, const std::string& source) {
  if (line.contains("context_options")) return ReadContextOptions(line, source);
  const Result<Strings> fields =
      RequireEachString(line, {"sentence", "option1", "option2"}, source);
  if (!fields.ok()) return fields.error();
  const std::string_view sentence = (*fields)[0];
  const size_t gap = sentence.find('_');
  if (gap == std::string_view::npos) {
    return MakeError("{}: field 'sentence' has no gap, expected one written _", source);
  }
  const Result<int64_t> gold = RequireChoice(line, "answer", 1, 2, source);
  if (!gold.ok()) return gold.error();
  const std::string before(sentence.substr(0, gap));
  const Strings contexts = {before + (*fields)[1], before + (*fields)[2]};
  const std::string_view after = tokenizer::TrimEnd(tokenizer::TrimStart(sentence.substr(gap + 1)));
  return PartialItem(contexts, after, *gold, source);
}

}  // namespace atom::eval
