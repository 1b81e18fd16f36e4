// Requests and clients of a server with a model: memory that does not suffice for all at once, and
// clients that leave in every phase. Nothing waits for ever, and all memory comes back.
#include "tests/server/model_service.h"
#include "tests/server/refusals.h"

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

bool AllAccepted(const RunningServer& service, int count) {
  return Soon([&] { return service.Metric("atom:requests_accepted_total") == count; });
}

/// All but the first `stay` leave, and the server has noticed and told its engine. `descriptors`
/// are those without any client.
void Leave(const RunningServer& service, Clients& clients, size_t stay, int64_t descriptors) {
  clients.resize(stay);
  const int64_t left = descriptors + 2 * static_cast<int64_t>(stay);  // both ends are here
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() == left; }));
  EXPECT_TRUE(service.Healthy());
}

TEST(LifeCycleTest, MemoryForOneServesMany) {
  // 8 pages of 16 positions; each of 12 requests needs 7.
  ModelService service(8, {}, WithoutLog({}));
  service.model_runner.Hold(0);
  const Clients clients = Send(service, 12, 40, 60);
  ASSERT_TRUE(AllAccepted(service, 12));
  service.model_runner.Release();
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
  service.model_runner.Hold(0);
  int served = 0;
  int refused = 0;
  const Clients clients = Send(service, 20, 40, 60);
  EXPECT_TRUE(Soon([&] {
    return service.Metric("atom:http_errors_total{model_name=\"tiny\",status=\"429\"") == 17.0;
  }));
  service.model_runner.Release();
  for (const auto& client : clients) {
    const std::string reply = client->ReadResponse();
    served += StatusOf(reply) == 200 ? 1 : 0;
    refused += StatusOf(reply) == 429 ? 1 : 0;
    if (StatusOf(reply) == 429) {
      EXPECT_NE(reply.find("Retry-After: "), std::string::npos);
    }
  }
  EXPECT_EQ(served + refused, 20);
  EXPECT_EQ(served, 3);
  EXPECT_EQ(refused, 17);
  EXPECT_EQ(service.Metric("atom:requests_accepted_total"), served);
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
}

TEST(LifeCycleTest, WhoLeavesTheQueueIsForgotten) {
  ModelService service(64, {.max_sequences = 1}, WithoutLog({}));
  service.model_runner.Hold(1);
  const int64_t descriptors = OpenDescriptors();
  Clients clients = Send(service, 10, 20, 90);
  ASSERT_TRUE(AllAccepted(service, 10));
  Leave(service, clients, 9, descriptors);
  service.model_runner.Release();
  for (const auto& client : clients) EXPECT_EQ(StatusOf(client->ReadResponse()), 200);
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
  EXPECT_EQ(service.Finished("length"), 9.0);
  EXPECT_EQ(service.Finished("abort"), 1.0);
}

TEST(LifeCycleTest, WhoLeavesDuringThePromptIsForgotten) {
  ModelService service(64, {.max_sequences = 4, .step_tokens = 16}, WithoutLog({}));
  service.model_runner.Hold(10);  // a prompt takes 8 steps
  const int64_t descriptors = OpenDescriptors();
  constexpr int kClients = 100;
  Clients clients = Send(service, kClients, 120, 0);  // scored only: all of it is prompt
  ASSERT_TRUE(AllAccepted(service, kClients));
  ASSERT_TRUE(Soon([&] { return service.engine.stats().prompt_tokens > 0; }));
  Leave(service, clients, 0, descriptors);
  service.model_runner.Release();
  EXPECT_TRUE(Soon([&] { return service.AtRest(); }));
  EXPECT_GT(service.Finished("abort"), 0.0);
  EXPECT_LT(service.engine.stats().prompt_tokens, kClients * 121);
  EXPECT_EQ(StatusOf(service.Ask(Long(1, 20, 3))), 200);
}

}  // namespace
}  // namespace atom::server
