#include "atom/eval/task_table.h"

#include <gmock/gmock.h>

#include "tests/tiny_model.h"

namespace atom::eval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kLine = R"({"query": "q", "choices": ["a", "b"], "gold": 0})";

class TaskTableTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder_ / "zeroshot"); }
  std::string ErrorOf(const std::string& name) {
    const Result<TaskItems> items = LoadTask(name, folders_, {});
    return items.ok() ? "no error" : items.error().message;
  }

  tests::TemporaryFolder folder_;
  io::DataFolders folders_{{folder_.path()}};
};

TEST_F(TaskTableTest, FindsAFileByTheTasksName) {
  tests::WriteText(folder_ / "zeroshot/piqa.jsonl",
                   fmt::format("{}\n\n{}\r\n{}", kLine, kLine, kLine));
  tests::WriteText(folder_ / "arc_challenge.jsonl", kLine);
  const Result<TaskItems> piqa = LoadTask("piqa", folders_, {});
  ASSERT_TRUE(piqa.ok()) << piqa.error().message;
  EXPECT_EQ(piqa->items.size(), 3u);
  EXPECT_TRUE(piqa->has_acc_norm);
  EXPECT_EQ(piqa->file, folder_ / "zeroshot/piqa.jsonl");
  EXPECT_EQ(LoadTask("piqa", folders_, {.limit = 2})->items.size(), 2u);
  EXPECT_EQ(LoadTask("arc_challenge", folders_, {})->items.size(), 1u);
  EXPECT_THAT(ErrorOf("boolq"), AllOf(HasSubstr("boolq.jsonl"), HasSubstr("--data")));
}

TEST_F(TaskTableTest, TakesAnExcerptWhereTheWholeIsAbsent) {
  EXPECT_THAT(ErrorOf("hellaswag"), HasSubstr("zeroshot/hellaswag.jsonl"));
  tests::WriteText(folder_ / "zeroshot/hellaswag_val_1000.jsonl", kLine);
  EXPECT_EQ(LoadTask("hellaswag", folders_, {})->file.filename(), "hellaswag_val_1000.jsonl");
  tests::WriteText(folder_ / "zeroshot/hellaswag.jsonl", kLine);
  EXPECT_EQ(LoadTask("hellaswag", folders_, {})->file.filename(), "hellaswag.jsonl");
}

TEST_F(TaskTableTest, TakesAFileByItsPath) {
  tests::WriteText(folder_ / "mine.jsonl", kLine);
  const Result<TaskItems> items = LoadTask("boolq=" + (folder_ / "mine.jsonl").string(), {}, {});
  ASSERT_TRUE(items.ok()) << items.error().message;
  EXPECT_EQ(items->task, "boolq");
  EXPECT_FALSE(items->has_acc_norm);
}

TEST_F(TaskTableTest, ExamplesComeFromTheTrainFileOrFromOtherItems) {
  const auto line = [](const std::string& query) {
    return fmt::format("{{\"query\": \"{}\", \"choices\": [\"a\", \"b\"], \"gold\": 1}}\n", query);
  };
  tests::WriteText(folder_ / "zeroshot/piqa.jsonl", line("x") + line("y"));
  const auto context = [&](int64_t shots) {
    return LoadTask("piqa", folders_, {.limit = 1, .shots = shots})->items.at(0).choices[0].context;
  };
  EXPECT_EQ(context(1), "y\nAnswer: b\n\nx\nAnswer:");
  EXPECT_THAT(LoadTask("piqa", folders_, {.shots = 2}).error().message,
              HasSubstr("holds 2 items, expected at least 3 for 2 examples"));
  tests::WriteText(folder_ / "zeroshot/piqa.train.jsonl", line("t"));
  EXPECT_EQ(context(1), "t\nAnswer: b\n\nx\nAnswer:");
}

TEST_F(TaskTableTest, SaysWhereAMissingFileComesFrom) {
  EXPECT_THAT(ErrorOf("lambada_openai"), AllOf(HasSubstr("zeroshot/lambada_openai.jsonl"),
                                               HasSubstr("EleutherAI/lambada_openai")));
  EXPECT_THAT(ErrorOf("copa"), HasSubstr("aps/super_glue"));
  EXPECT_THAT(ErrorOf("openbook_qa"), HasSubstr("allenai/openbookqa"));
}

TEST_F(TaskTableTest, NamesWhatIsWrong) {
  EXPECT_THAT(ErrorOf("nonsense"), AllOf(HasSubstr("'nonsense'"), HasSubstr("winogrande")));
  EXPECT_THAT(ErrorOf("piqa=/nonexistent"), HasSubstr("/nonexistent"));
  const auto with = [&](const std::string& text) {
    tests::WriteText(folder_ / "zeroshot/piqa.jsonl", text);
    return ErrorOf("piqa");
  };
  EXPECT_THAT(with("\n \n"), HasSubstr("piqa.jsonl: holds no items"));
  EXPECT_THAT(with(fmt::format("{}\n{{", kLine)), HasSubstr("piqa.jsonl: line 2"));
  EXPECT_THAT(with(fmt::format("\n{}\n[1]\n", kLine)),
              HasSubstr("piqa.jsonl: line 3: expected an object"));
  EXPECT_THAT(with(fmt::format("{}\n{{\"goal\": 1}}", kLine)), HasSubstr("line 2: field 'goal'"));
}

}  // namespace
}  // namespace atom::eval
