#include "atom/bench/serving/completion_record.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

std::string Event(const std::string& data) { return "data: " + data + "\n\n"; }
std::string Text(const std::string& text) {
  return Event(R"({"choices": [{"text": ")" + text + R"("}]})");
}
const std::string kDone = Event("[DONE]");
const std::string kUsage =
    Event(R"({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}})");

TEST(CompletionReaderTest, TimesTheEventsWithText) {
  CompletionRecord record;
  CompletionReader reader(record);
  reader.Push(Text(""), 1.0);
  reader.Push(Text("a"), 2.0);
  reader.Push(Text("b") + Text("c"), 4.5);
  reader.Push(Event(R"({"choices": [{"text": "", "finish_reason": "length"}]})") + kUsage, 5.0);
  reader.Push(kDone, 6.0);
  reader.Finish(6.5);
  EXPECT_TRUE(record.ok()) << record.error;
  EXPECT_EQ(record.first, 2.0);
  EXPECT_EQ(record.gaps, (std::vector<double>{2.5, 0.0}));
  EXPECT_EQ(record.finished, 6.5);
  EXPECT_EQ(record.prompt_tokens, 7);
  EXPECT_EQ(record.output_tokens, 9);
}

TEST(CompletionReaderTest, AServerWithoutUsageIsCounted) {
  CompletionRecord record;
  CompletionReader reader(record);
  reader.Push(Text("a") + Text("b") + kDone, 1.0);
  reader.Finish(1.0);
  EXPECT_TRUE(record.ok());
  EXPECT_EQ(record.output_tokens, 2);
}

TEST(CompletionReaderTest, CountsThatCannotBeAreNone) {
  for (const char* count : {"-1", "9000000000000000000", "1.5", "\"3\""}) {
    CompletionRecord record;
    CompletionReader reader(record);
    const std::string usage =
        fmt::format(R"({{"prompt_tokens": {0}, "completion_tokens": {0}}})", count);
    reader.Push(Text("a") + Event(R"({"choices": [], "usage": )" + usage + "}") + kDone, 1.0);
    reader.Finish(1.0);
    EXPECT_TRUE(record.ok()) << record.error;
    EXPECT_EQ(record.prompt_tokens, 0) << count;
    EXPECT_EQ(record.output_tokens, 1) << count;
  }
}

TEST(CompletionReaderTest, EveryFailureHasItsKind) {
  const auto read = [](const std::string& body) {
    CompletionRecord record;
    CompletionReader reader(record);
    reader.Push(body, 1.0);
    reader.Finish(2.0);
    return record;
  };
  EXPECT_EQ(read(Text("a")).failure, RequestFailure::kIncomplete);
  EXPECT_EQ(read("").failure, RequestFailure::kIncomplete);
  EXPECT_EQ(read(Event("{") + kDone).failure, RequestFailure::kProtocol);
  EXPECT_EQ(read(Event("[1]") + kDone).failure, RequestFailure::kProtocol);
  EXPECT_EQ(read(Event("{}") + kDone).failure, RequestFailure::kProtocol);
  const CompletionRecord error = read(Event(R"({"error": {"message": "no room"}})") + kDone);
  EXPECT_EQ(error.failure, RequestFailure::kStream);
  EXPECT_EQ(error.error, "the server says 'no room'");
  EXPECT_EQ(read(Event(R"({"error": "short"})")).error, "the server says 'short'");
  EXPECT_EQ(read(Event(R"({"error": {"code": 5}})")).error, R"(the server says '{"code":5}')");
}

TEST(CompletionReaderTest, TheFirstFailureCounts) {
  CompletionRecord record;
  CompletionReader reader(record);
  reader.Fail(RequestFailure::kAborted, "interrupted");
  reader.Fail(RequestFailure::kIncomplete, "later");
  reader.Finish(1.0);
  EXPECT_EQ(Name(record.failure), "aborted");
  EXPECT_EQ(record.error, "interrupted");
}

}  // namespace
}  // namespace atom::bench
