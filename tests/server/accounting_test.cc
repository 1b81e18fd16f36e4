// What clients saw, what the log says and what the metrics count are the same: of a crowd that asks
// for all kinds of things, some of them wrong, and leaves when it likes.
#include <mutex>
#include <sstream>

#include "atom/core/rng.h"

#include "tests/server/model_service.h"
#include "tests/server/refusals.h"

namespace atom::server {
namespace {

using nlohmann::json;

/// How a request ended, as its client or the log has it.
struct Ending {
  std::string status;  ///< "200", or "gone"
  std::string finish;  ///< "stop"; empty if no answer was begun
  bool operator==(const Ending&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Ending& ending) {
  return out << ending.status << " " << ending.finish;
}
using Endings = std::map<std::string, Ending>;

std::string LastFinish(const std::string& response) {
  constexpr std::string_view kField = "\"finish_reason\":\"";
  const size_t at = response.rfind(kField);
  if (at == std::string::npos) return "";
  const size_t begin = at + kField.size();
  return response.substr(begin, response.find('"', begin) - begin);
}

/// One client: asks `count` times, each time for something else; leaves a third of the answers.
class Asker {
 public:
  Asker(int port, int number)
      : port_(port), number_(number), random_(static_cast<uint64_t>(number)) {}

  Endings Ask(int count) {
    Endings seen;
    for (int i = 0; i < count; ++i) {
      const std::string id = fmt::format("r-{}-{}", number_, i);
      seen[id] = AskOnce(id);
    }
    return seen;
  }

 private:
  Ending AskOnce(const std::string& id) {
    HttpClient client(port_);
    const bool stream = random_.Below(2) == 0;
    client.Send(RandomRequest(stream, "X-Request-Id: " + id + "\r\n"));
    if (random_.Below(3) == 0) {
      if (stream && random_.Below(2) == 0) client.ReadUntil("\r\n");
      std::this_thread::sleep_for(Milliseconds(random_.Below(15)));
      return {.status = "gone", .finish = ""};
    }
    std::string response = client.ReadResponse();
    if (response.find("chunked") != std::string::npos)
      response += client.ReadUntil("\r\n0\r\n\r\n");
    return {.status = std::to_string(StatusOf(response)), .finish = LastFinish(response)};
  }

  std::string RandomRequest(bool stream, const std::string& header) {
    json body = {{"max_tokens", 1 + random_.Below(40)},
                 {"seed", random_.Below(1000)},
                 {"stop", {"e", "\u00e4"}},
                 {"stream", stream}};
    const std::string text(static_cast<size_t>(1 + random_.Below(50)),
                           static_cast<char>('a' + random_.Below(26)));
    const int64_t kind = random_.Below(8);
    if (kind == 0) body["n"] = -1;
    if (kind == 1) body["model"] = "other";
    if (kind == 2) body["response_format"] = {{"type", "json_object"}};
    if (kind == 3) body["ignore_eos"] = true;
    if (kind >= 6) {
      body["messages"] = {{{"role", "user"}, {"content", text}}};
      return Post("/v1/chat/completions", body.dump(), header);
    }
    body["prompt"] = text;
    return Post("/v1/completions", body.dump(), header);
  }

  const int port_;
  const int number_;
  Rng random_;
};

/// "2026-01-31T01:02:03Z ID POST /v1/completions 200 stop prompt=…". Each id once.
Endings ReadLog(const std::string& log) {
  Endings logged;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("atom: ")) continue;
    std::istringstream words(line);
    std::string time, id, method, path, status, finish;
    words >> time >> id >> method >> path >> status >> finish;
    if (finish.find('=') != std::string::npos) finish.clear();
    EXPECT_TRUE(logged.emplace(id, Ending{status, finish}).second) << "logged twice: " << line;
  }
  return logged;
}

void ExpectAgreement(const Endings& seen, const Endings& logged) {
  for (const auto& [id, ending] : seen) {
    const auto line = logged.find(id);
    ASSERT_NE(line, logged.end()) << id;
    // Who left may have been answered before that was noticed.
    if (ending.status != "gone") {
      EXPECT_EQ(line->second, ending) << id;
    }
  }
  EXPECT_EQ(seen.size(), logged.size());
}

TEST(AccountingTest, ClientsLogAndMetricsAgree) {
  constexpr int kClients = 8;
  constexpr int kEach = 40;
  testing::internal::CaptureStderr();  // the log
  Endings seen;
  std::map<std::string, double> finished;
  std::map<std::string, double> errors;
  double accepted = 0.0;
  {
    ModelService service(24, {.max_sequences = 4, .max_waiting = 3}, {});
    const int64_t descriptors = OpenDescriptors();
    std::mutex mutex;
    std::vector<std::jthread> threads;
    for (int i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i] {
        Endings mine = Asker(service.port(), i).Ask(kEach);
        const std::lock_guard lock(mutex);
        seen.merge(mine);
      });
    }
    threads.clear();
    // The first question comes in behind all connections, the last behind the ends of all.
    EXPECT_TRUE(Soon(
        [&] { return service.AtRest() && OpenDescriptors() == descriptors && service.AtRest(); }));
    for (const std::string_view reason : engine::kFinishReasonNames) {
      finished[std::string(reason)] = service.Finished(reason);
    }
    accepted = service.Metric("atom:requests_accepted_total");
    for (const char* status : {"400", "404", "429", "500"}) {
      const double count = service.Metric(
          fmt::format("atom:http_errors_total{{model_name=\"tiny\",status=\"{}\"", status));
      errors[status] = std::max(count, 0.0);
    }
  }
  const Endings logged = ReadLog(testing::internal::GetCapturedStderr());
  ExpectAgreement(seen, logged);

  std::map<std::string, double> logged_finishes;
  std::map<std::string, double> logged_errors;
  for (const auto& [id, ending] : logged) {
    if (!ending.finish.empty()) ++logged_finishes[ending.finish];
    if (ending.status[0] >= '4' && ending.status != "gone") ++logged_errors[ending.status];
  }
  double all = 0.0;
  for (const auto& [reason, count] : finished) {
    EXPECT_EQ(logged_finishes[reason], count) << reason;
    all += count;
  }
  EXPECT_EQ(all, accepted);
  for (const auto& [status, count] : errors) EXPECT_EQ(logged_errors[status], count) << status;
  // It was a crowd indeed.
  for (const char* reason : {"stop", "length", "abort"}) EXPECT_GT(finished[reason], 0.0) << reason;
  for (const char* status : {"400", "404", "429"}) EXPECT_GT(errors[status], 0.0) << status;
}

TEST(AccountingTest, APlanTheQueueTookInPartIsOneLine) {
  testing::internal::CaptureStderr();
  {
    ScriptedModel behind;
    behind.engine.capacity = 2;
    behind.engine.Hold(true);
    const RunningServer service(behind.engine, behind.served.model, {});
    const std::string reply = service.Ask(
        Post("/v1/completions", R"({"prompt": "x", "n": 3})", "X-Request-Id: three\r\n"));
    EXPECT_EQ(StatusOf(reply), 429);
    EXPECT_TRUE(Soon([&] { return service.Finished("abort") == 2.0; }));
  }
  const Endings logged = ReadLog(testing::internal::GetCapturedStderr());
  EXPECT_EQ(logged, (Endings{{"three", {"429", ""}}}));
}

}  // namespace
}  // namespace atom::server
