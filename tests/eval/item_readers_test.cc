// Both forms of each task's lines, and what is wrong with others. The expected prompts are those of
// lm-evaluation-harness, written out.
#include "atom/eval/item_readers.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace atom::eval {
namespace {

struct Expected {
  std::vector<std::string> contexts;       // one for all choices, or one each
  std::vector<std::string> continuations;  // likewise
  std::vector<int64_t> lengths;
  int64_t gold;
};

struct Case {
  const char* name;
  ItemReader reader;
  const char* line;
  Expected expected;
};

const std::string& Pick(const std::vector<std::string>& values, size_t i) {
  return values.size() == 1 ? values[0] : values.at(i);
}

TEST(ItemReaders, ReadBothForms) {
  const Expected piqa{{"Question: Cook rice.\nAnswer:"}, {" Boil it.", " Fry \u00e9."}, {8, 6}, 1};
  const Expected arc{{"Question: What is hot?\nAnswer:"}, {" ice", " fire", " snow"}, {3, 4, 4}, 1};
  const Expected boolq{
      {"Ice is cold.\nQuestion: is ice cold?\nAnswer:"}, {" no", " yes"}, {2, 3}, 1};
  const Expected hellaswag{
      {"Baking: He bakes. Then he eats it"}, {" all.", " none. Wait."}, {4, 11}, 0};
  const Expected winogrande{{"Ann saw Bea so Ann", "Ann saw Bea so Bea"}, {" waved."}, {18, 18}, 1};
  const Expected openbook{{"The sun is"}, {" cold", " hot"}, {4, 3}, 1};
  const Expected copa{
      {"The man fell because"}, {"  it was \u00c9 Icy.", "  \u00e9t\u00e9 came."}, {14, 10}, 0};
  const std::vector<Case> cases = {
      {"openbook_qa", ReadOpenbookQa, R"({"question_stem": "The sun is", "answerKey": " B",
        "choices": {"text": ["cold", "hot"], "label": ["A", "B"]}})",
       openbook},
      {"copa", ReadCopa, R"({"premise": " The man fell. ", "choice1": "It was \u00c9 Icy.",
        "choice2": "\u00c9t\u00e9 came.", "question": "cause", "label": 0})",
       copa},
      {"copa, effect",
       ReadCopa,
       R"({"premise": "It rained!", "choice1": "a", "choice2": "b",
        "question": "effect", "label": 1})",
       {{"It rained therefore"}, {"  a", "  b"}, {2, 2}, 1}},
      {"lambada",
       ReadLambada,
       R"({"text": "He said to  Ann:\nhello \u00e9."})",
       {{"He said to  Ann:\nhello"}, {" \u00e9."}, {2}, 0}},
      {"piqa", ReadPiqa,
       R"({"goal": "Cook rice.", "sol1": "Boil it.", "sol2": "Fry é.", "label": 1})", piqa},
      {"piqa, query", ReadPiqa,
       R"({"query": "Question: Cook rice.\n", "choices": ["Boil it.", "Fry é."], "gold": 1})",
       piqa},
      {"arc", ReadArc, R"({"id": "x", "question": "What is hot?", "answerKey": "2", "choices":
        {"text": ["ice", "fire", "snow"], "label": ["1", "2", "3"]}})",
       arc},
      {"arc, query", ReadArc,
       R"({"query": "Question: What is hot?", "choices": ["ice", "fire", "snow"], "gold": 1})",
       arc},
      {"boolq", ReadBoolq,
       R"({"passage": "Ice is cold.", "question": "is ice cold", "idx": 3, "label": 1})", boolq},
      {"boolq, answer", ReadBoolq,
       R"({"passage": "Ice is cold.", "question": "is ice cold", "answer": true})", boolq},
      {"boolq, query", ReadBoolq,
       R"({"query": "Passage: Ice is cold.\nQuestion: is ice cold?", "choices": ["no", "yes"],
           "gold": 1})",
       boolq},
      {"hellaswag", ReadHellaswag,
       R"({"activity_label": "Baking", "ctx_a": "He bakes.", "ctx_b": "then HE  eats it ",
           "endings": ["all[step].", "none [title] Wait."], "label": "0"})",
       hellaswag},
      {"hellaswag, number", ReadHellaswag,
       R"({"activity_label": "Baking", "ctx_a": "He bakes.", "ctx_b": "then he eats it",
           "endings": ["all.", "none. Wait."], "label": 0})",
       hellaswag},
      {"hellaswag, query", ReadHellaswag,
       R"({"query": "Baking: He bakes. Then he eats it", "choices": ["all.", "none. Wait."],
           "gold": 0})",
       hellaswag},
      {"winogrande", ReadWinogrande,
       R"({"sentence": "Ann saw Bea so _ waved. ", "option1": "Ann", "option2": "Bea",
           "answer": "2"})",
       winogrande},
      {"winogrande, options", ReadWinogrande,
       R"({"context_options": ["Ann saw Bea so Ann", "Ann saw Bea so Bea"],
           "continuation": "waved.", "gold": 1})",
       winogrande},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Result<ChoiceItem> item = c.reader(io::Json::parse(c.line), "f: line 1");
    ASSERT_TRUE(item.ok()) << item.error().message;
    EXPECT_EQ(item->gold, c.expected.gold);
    ASSERT_EQ(item->choices.size(), c.expected.lengths.size());
    for (size_t i = 0; i < item->choices.size(); ++i) {
      EXPECT_EQ(item->choices[i].context, Pick(c.expected.contexts, i));
      EXPECT_EQ(item->choices[i].continuation, Pick(c.expected.continuations, i));
      EXPECT_EQ(item->choices[i].length, c.expected.lengths[i]);
    }
  }
}

TEST(ItemReaders, NameTheLineAndTheField) {
  struct Wrong {
    ItemReader reader;
    const char* line;
    const char* message;
  };
  for (const Wrong& wrong : std::vector<Wrong>{
           {ReadPiqa, R"({"goal": "g", "sol1": "a", "label": 0})", "sol2"},
           {ReadPiqa, R"({"goal": "g", "sol1": "a", "sol2": "b"})", "label"},
           {ReadPiqa, R"({"goal": "g", "sol1": "a", "sol2": "b", "label": -1})",
            "field 'label' is the number -1, expected a choice from 0 to 1"},
           {ReadPiqa, R"({"query": "q", "choices": ["a", 7], "gold": 0})",
            "field 'choices' holds the number 7, expected strings"},
           {ReadPiqa, R"({"query": "q", "choices": ["a"], "gold": 0})", "at least two choices"},
           {ReadPiqa, R"({"query": "q", "choices": ["a", "b"], "gold": 2})", "from 0 to 1"},
           {ReadArc, R"({"question": "q", "answerKey": "A", "choices": ["a"]})", "choices"},
           {ReadArc,
            R"({"question": "q", "answerKey": "E", "choices": {"text": ["a", "b"],
                "label": ["A", "B"]}})",
            "field 'answerKey' is 'E', expected a label of the choices"},
           {ReadArc,
            R"({"question": "q", "answerKey": "A", "choices": {"text": ["a", "b"],
                "label": ["A"]}})",
            "holds 1 labels, expected one for each of 2 texts"},
           {ReadOpenbookQa, R"({"question_stem": "q", "answerKey": "A"})", "choices"},
           {ReadLambada, R"({"text": "word"})", "expected words before a last word"},
           {ReadLambada, R"({"text": "ends with "})", "expected words before a last word"},
           {ReadCopa,
            R"({"premise": "p.", "choice1": "a", "choice2": "b", "question": "why", "label": 0})",
            "field 'question' is 'why', expected 'cause' or 'effect'"},
           {ReadBoolq, R"({"passage": "p", "question": "q", "answer": 1})", "answer"},
           {ReadBoolq, R"({"passage": "p", "question": "q", "label": "maybe"})", "'maybe'"},
           {ReadHellaswag,
            R"({"activity_label": "x", "ctx_a": "a", "ctx_b": "b", "endings": ["a", "b"],
                "label": ""})",
            "label"},
           {ReadWinogrande,
            R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})",
            "field 'sentence' has no gap"},
           {ReadWinogrande, R"({"sentence": "a _", "option1": "a", "option2": "b", "answer": "0"})",
            "field 'answer' is the string '0', expected a choice from 1 to 2"},
           {ReadWinogrande, R"({"context_options": ["a"], "continuation": "c", "gold": 0})",
            "field 'context_options' holds 1, expected two"},
           {ReadWinogrande, R"({"context_options": ["", "a"], "continuation": "c", "gold": 0})",
            "the context is empty"},
       }) {
    const Result<ChoiceItem> item = wrong.reader(io::Json::parse(wrong.line), "f: line 1");
    ASSERT_FALSE(item.ok()) << wrong.line;
    EXPECT_THAT(item.error().message, testing::StartsWith("f: line 1: "));
    EXPECT_THAT(item.error().message, testing::HasSubstr(wrong.message));
  }
}

}  // namespace
}  // namespace atom::eval
