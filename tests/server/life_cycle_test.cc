// Requests and clients of a server with a model: memory that does not suffice for all at once, and
// clients that leave in every phase. Nothing waits for ever, and all memory comes back.
#include "tests/server/model_service.h"

namespace atom::server {
namespace {

/// A request for `tokens` tokens after a prompt of its own of `letters` letters.
std::string Long(int number, int letters, int tokens) {
  std::string prompt = fmt::format("{} ", number);
  while (static_cast<int>(prompt.size()) < letters) {
    prompt += static_cast<char>('a' + (number * 7 + static_cast<int>(prompt.size()) * 5) % 26);
  }
  return Post(
      "/v1/completions",
      fmt::format(R"({{"prompt": "{}", "max_tokens": {}, "ignore_eos": true}})", prompt, tokens));
}

using Clients = std::vector<std::unique_ptr<HttpClient>>;

Clients Send(const RunningServer& service, int count, int letters, int tokens) {
  Clients clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<HttpClient>(service.port()));
    clients.back()->Send(Long(i, letters, tokens));
  }
  return clients;
}

TEST(LifeCycleTest, MemoryForOneServesMany) {
  // 8 pages of 16 positions; each of 12 requests needs 7.
  ModelService service(8, {}, WithoutLog({}));
  const Clients clients = Send(service, 12, 40, 60);
  for (const auto& client : clients) {
    const std::string reply = client->ReadResponse();
    ASSERT_EQ(StatusOf(reply), 200) << reply;
    const auto body = nlohmann::json::parse(BodyOf(reply));
    EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
    EXPECT_EQ(body["usage"]["completion_tokens"], 60);
  }
  EXPECT_GT(service.engine.stats().preemptions, 0);
  EXPECT_EQ(service.Finished("length"), 12.0);
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
  // What could not even run alone is refused, and asks nothing of the others.
  const std::string reply = service.Ask(Long(1, 90, 40));
  EXPECT_EQ(StatusOf(reply), 400) << reply;
}

TEST(LifeCycleTest, AFullQueueIsRefusedAndTheRestServed) {
  ModelService service(8, {.max_sequences = 1, .max_waiting = 3}, WithoutLog({}));
  int served = 0;
  int refused = 0;
  for (const auto& client : Send(service, 20, 40, 60)) {
    const std::string reply = client->ReadResponse();
    served += StatusOf(reply) == 200 ? 1 : 0;
    refused += StatusOf(reply) == 429 ? 1 : 0;
    if (StatusOf(reply) == 429) {
      EXPECT_NE(reply.find("Retry-After: "), std::string::npos);
    }
  }
  EXPECT_EQ(served + refused, 20);
  EXPECT_GE(served, 3);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(service.Metric("atom:requests_accepted_total"), served);
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
}

TEST(LifeCycleTest, WhoLeavesTheQueueIsForgotten) {
  ModelService service(64, {.max_sequences = 1}, WithoutLog({}));
  Clients clients = Send(service, 10, 20, 90);
  ASSERT_TRUE(Soon([&] { return service.Metric("atom:requests_accepted_total") == 10.0; }));
  clients.pop_back();
  for (const auto& client : clients) EXPECT_EQ(StatusOf(client->ReadResponse()), 200);
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
  EXPECT_EQ(service.Finished("length"), 9.0);
  EXPECT_EQ(service.Finished("abort"), 1.0);
}

TEST(LifeCycleTest, WhoLeavesDuringThePromptIsForgotten) {
  ModelService service(64, {.max_sequences = 4, .step_tokens = 16}, WithoutLog({}));
  constexpr int kClients = 100;
  Clients clients = Send(service, kClients, 120, 0);  // scored only: all of it is prompt
  ASSERT_TRUE(Soon([&] { return service.engine.stats().prompt_tokens > 0; }));
  clients.clear();
  EXPECT_TRUE(service.Healthy());
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
  EXPECT_GT(service.Finished("abort"), 0.0);
  EXPECT_LT(service.engine.stats().prompt_tokens, kClients * 121);
  EXPECT_EQ(StatusOf(service.Ask(Long(1, 20, 3))), 200);
}

}  // namespace
}  // namespace atom::server
