// A line of a task's file as an item: the prompt formats of lm-evaluation-harness. A reader knows
// two forms of its line, told apart by the fields: that of the data set on Hugging Face, and
//
//   {"query": "Question: …", "choices": ["…", …], "gold": 0}                      (choices)
//   {"context_options": ["…", "…"], "continuation": "…", "gold": 0}               (winogrande)
//
// Errors are one sentence with `source` (file and line), the field, what was expected and found.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/eval/choice_item.h"
#include "atom/io/json.h"

namespace atom::eval {

using ItemReader = Result<ChoiceItem> (*)(const io::Json& line, const std::string& source);

Result<ChoiceItem> ReadPiqa(const io::Json& line, const std::string& source);
Result<ChoiceItem> ReadArc(const io::Json& line, const std::string& source);
Result<ChoiceItem> ReadBoolq(const io::Json& line, const std::string& source);
Result<ChoiceItem> ReadHellaswag(const io::Json& line, const std::string& source);
Result<ChoiceItem> ReadWinogrande(const io::Json& line, const std::string& source);
Result<ChoiceItem> ReadOpenbookQa(const io::Json& line, const std::string& source);

// sentence_readers.cc: tasks that go on with a sentence. Only the first form.
Result<ChoiceItem> ReadLambada(const io::Json& line, const std::string& source);
Result<ChoiceItem> ReadCopa(const io::Json& line, const std::string& source);

}  // namespace atom::eval
