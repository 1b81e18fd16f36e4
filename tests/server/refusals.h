// Requests that a server must refuse, sent one after the other: each gets its status and a
// sentence, quickly, and leaves the server as it was.
#pragma once

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "tests/server/running_service.h"

namespace atom::server {

struct BadRequest {
  std::string name;
  std::string bytes;
  int status = 400;
  std::string param = {};    ///< which the answer must name; empty: any
  size_t decided_after = 0;  ///< bytes that leave no doubt any more; 0: all of them
};

inline int64_t OpenDescriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

/// The server is as good as new: it answers, nothing runs, no connection stays.
inline void ExpectUnharmed(const RunningService& service, int64_t descriptors) {
  EXPECT_TRUE(service.Healthy());
  const std::string reply =
      service.Ask(Post("/v1/completions", R"({"prompt": "x", "max_tokens": 3})"));
  EXPECT_NE(reply.find(R"("text":"abc")"), std::string::npos) << reply;
  EXPECT_TRUE(Soon([&] { return service.engine.stats().running == 0; }));
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() == descriptors; })) << "of " << descriptors;
}

inline void ExpectEachRefused(const std::vector<BadRequest>& table) {
  const RunningService service;
  const int64_t descriptors = OpenDescriptors();
  for (const BadRequest& bad : table) {
    const std::string response = service.Ask(bad.bytes);
    EXPECT_EQ(StatusOf(response), bad.status) << bad.name << "\n" << response;
    const nlohmann::json body = nlohmann::json::parse(BodyOf(response), nullptr, false);
    const bool has_sentence = body.is_object() && body["error"]["message"].is_string();
    ASSERT_TRUE(has_sentence) << bad.name << "\n" << response;
    const auto sentence = body["error"]["message"].get<std::string>();
    EXPECT_TRUE(sentence.size() > 10 && sentence.size() < 600) << bad.name << ": " << sentence;
    if (!bad.param.empty()) {
      EXPECT_EQ(body["error"]["param"], bad.param) << bad.name;
    }
    EXPECT_TRUE(service.Healthy()) << bad.name;
  }
  EXPECT_EQ(service.engine.submitted(), 0u);
  ExpectUnharmed(service, descriptors);
}

/// Milliseconds from the last byte that matters to the first line of the answer.
inline double AnswerTime(const RunningService& service, const BadRequest& request) {
  HttpClient client(service.port());
  const size_t matter = request.decided_after > 0 ? request.decided_after : request.bytes.size();
  client.Send(request.bytes.substr(0, matter - 1));
  std::this_thread::sleep_for(Milliseconds(2));
  const auto start = std::chrono::steady_clock::now();
  client.Send(request.bytes.substr(matter - 1));
  client.ReadUntil("\r\n");
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  return took.count();
}

inline double Median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// The median is below 5 ms: beyond what a machine that is busy with other things, or a sanitizer,
/// makes of any answer. A body goes through twice as many threads as GET /health. Other programs
/// may take the machine for a while, but not for ever: a later try counts as well.
inline void ExpectRefusedQuickly(const std::vector<BadRequest>& table) {
  const RunningService service;
  double median = 0.0;
  double usual = 0.0;
  const auto quick = [&] {
    std::vector<double> refused;
    std::vector<double> healthy;
    for (const BadRequest& bad : table) {
      refused.push_back(AnswerTime(service, bad));
      healthy.push_back(AnswerTime(service, {.name = "health", .bytes = Get("/health")}));
    }
    median = Median(refused);
    usual = Median(healthy);
    return median < 5.0 + 3.0 * usual;
  };
  EXPECT_TRUE(Soon(quick)) << median << " ms, GET /health: " << usual;
  ::testing::Test::RecordProperty("median_ms", fmt::format("{:.3f}", median));
  ::testing::Test::RecordProperty("health_median_ms", fmt::format("{:.3f}", usual));
}

}  // namespace atom::server
