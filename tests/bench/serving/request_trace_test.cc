#include "atom/bench/serving/request_trace.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

const std::string kHeader = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

std::string Refusal(const std::string& text) {
  const Result<std::vector<TraceRow>> rows = ParseTrace(text, "t.csv");
  return rows.ok() ? "" : rows.error().message;
}

TEST(RequestTraceTest, ReadsTimesAndLengths) {
  const auto rows = ParseTrace(kHeader +
                                   "2023-12-31 23:59:59.5000000,374,44\r\n"
                                   "2024-01-01 00:00:01,1,2\r\n"
                                   "2024-03-01 00:00:01.25,9,8",
                               "t.csv");
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].seconds, 0.0);
  EXPECT_EQ((*rows)[0].lengths, (RequestLengths{374, 44}));
  EXPECT_NEAR((*rows)[1].seconds, 1.5, 1e-6);
  EXPECT_EQ((*rows)[1].lengths, (RequestLengths{1, 2}));
  // A leap year: 31 days of January and 29 of February.
  EXPECT_NEAR((*rows)[2].seconds, 60 * 86400 + 1.75, 1e-6);
}

TEST(RequestTraceTest, EveryFaultNamesItsLine) {
  EXPECT_NE(Refusal("").find("TIMESTAMP,ContextTokens"), std::string::npos);
  EXPECT_NE(Refusal("a,b,c\n").find("'a,b,c'"), std::string::npos);
  EXPECT_NE(Refusal(kHeader).find("at least one row"), std::string::npos);
  const std::string good = "2023-11-16 18:15:46.6805900,374,44\n";
  for (const char* row :
       {"2023-11-16 18:15:47,374", "2023-11-16 18:15:47,374,44,5", "2023-11-16 18:15:47,0,44",
        "2023-11-16 18:15:47,-1,44", "2023-11-16 18:15:47,374,4x", "2023-11-16T18:15:47,374,44",
        "2023-02-30 18:15:47,374,44", "2023-11-16 24:15:47,374,44", "2023-11-16 18:15:4,374,44",
        "2023-11-16 18:15:47.,374,44", "2023-11-16 18:15:47.1x,374,44",
        "2023-11-16 18:15:47,99999999999999999999,44", ""}) {
    EXPECT_NE(Refusal(kHeader + good + row + "\n" + good).find("t.csv, line 3"), std::string::npos)
        << row;
  }
  const std::string earlier = "2023-11-16 18:15:45,1,1\n";
  EXPECT_NE(Refusal(kHeader + good + earlier).find("no time before"), std::string::npos);
}

TEST(RequestTraceTest, FilesAreReadOrRefused) {
  const tests::TemporaryFolder folder;
  tests::WriteText(folder / "t.csv", kHeader + "2023-11-16 18:15:46,3,4\n");
  EXPECT_EQ(ReadTrace(folder / "t.csv").value().size(), 1u);
  EXPECT_NE(ReadTrace(folder / "absent.csv").error().message.find("absent.csv"), std::string::npos);
}

TEST(RequestTraceTest, ReadsTheConversationTraceWhereItIs) {
  const std::filesystem::path path = "../shared/data/traces/AzureLLMInferenceTrace_conv.csv";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto rows = ReadTrace(path);
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  EXPECT_EQ(rows->size(), 19366u);
  EXPECT_EQ((*rows)[0].lengths, (RequestLengths{374, 44}));
}

}  // namespace
}  // namespace atom::bench
