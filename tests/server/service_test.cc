// The whole server on a loopback port: what it answers, streams, cancels, refuses and counts.
#include "atom/server/service.h"

#include <array>
#include <set>
#include <stdexcept>

#include "atom/server/answer_plan.h"

#include "tests/server/running_service.h"

namespace atom::server {
namespace {

using nlohmann::json;

const std::string kAsk = R"({"model": "tiny", "prompt": "hello", "max_tokens": 3})";
const std::string kLong = R"({"prompt": "hello", "max_tokens": 50})";
const std::string kLongStream = R"({"prompt": "hello", "max_tokens": 50, "stream": true})";

TEST(ServiceTest, CompletionAndChat) {
  const RunningService service;
  const json completion = service.AskJson("/v1/completions", kAsk);
  EXPECT_EQ(completion["choices"][0]["text"], "abc");
  EXPECT_EQ(completion["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(completion["object"], "text_completion");
  EXPECT_EQ(completion["usage"]["prompt_tokens"], 7);  // bos, a space, five letters
  EXPECT_EQ(completion["usage"]["completion_tokens"], 3);
  EXPECT_EQ(completion["usage"]["total_tokens"], 10);

  const json chat = service.AskJson(
      "/v1/chat/completions",
      R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
          "max_completion_tokens": 2, "n": 2, "user": "me"})");
  ASSERT_EQ(chat["choices"].size(), 2u) << chat;
  EXPECT_EQ(chat["choices"][1]["message"]["content"], "ab");
  EXPECT_EQ(chat["choices"][1]["index"], 1);
  EXPECT_EQ(chat["object"], "chat.completion");
}

TEST(ServiceTest, StreamsEventsAndUsage) {
  const RunningService service;
  HttpClient client(service.port());
  client.Send(Post("/v1/completions",
                   R"({"prompt": "hello", "max_tokens": 3, "stream": true,
                       "stream_options": {"include_usage": true}})"));
  const std::string text = client.ReadUntil("0\r\n\r\n");
  EXPECT_EQ(StatusOf(text), 200);
  EXPECT_NE(text.find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_NE(text.find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_LT(text.find("\"text\":\"a\""), text.find("\"text\":\"b\""));
  EXPECT_NE(text.find("\"completion_tokens\":3"), std::string::npos);
  EXPECT_LT(text.find("\"completion_tokens\":3"), text.find("data: [DONE]"));
  // The connection lives on.
  client.Send(Get("/health"));
  EXPECT_EQ(StatusOf(client.ReadResponse()), 200);
}

TEST(ServiceTest, ListsTokenizesAndDetokenizes) {
  const RunningService service;
  const json models = json::parse(BodyOf(service.Ask(Get("/v1/models"))));
  EXPECT_EQ(models["data"][0]["id"], "tiny");
  EXPECT_EQ(models["data"][0]["max_model_len"], 64);
  EXPECT_EQ(StatusOf(service.Ask(Get("/v1/models/tiny"))), 200);
  EXPECT_EQ(StatusOf(service.Ask(Get("/v1/models/other"))), 404);
  const json tokens =
      service.AskJson("/tokenize", R"({"prompt": "hi", "return_token_strs": true})");
  EXPECT_EQ(tokens["tokens"], json({1, 259, 3 + 'h', 3 + 'i'}));
  EXPECT_EQ(tokens["token_strs"], json({"<s>", " ", "h", "i"}));
  EXPECT_EQ(service.AskJson("/detokenize", R"({"tokens": [1, 259, 107, 108]})")["prompt"], "hi");
  // A bos that is there already is not given twice.
  EXPECT_EQ(service.AskJson("/tokenize", R"({"prompt": "<s> hi"})")["tokens"], tokens["tokens"]);
  const json info = json::parse(BodyOf(service.Ask(Get("/tokenizer_info"))));
  EXPECT_EQ(info["bos_token"], "<s>");
  EXPECT_EQ(info["eos_token"], "</s>");
  EXPECT_NE(service.Ask(Get("/")).find("<!doctype html>"), std::string::npos);
}

// A bos that a template or a client spells is part of the text: what follows it starts none, and
// has no space in front.
TEST(ServiceTest, APromptHasTheSameIdsHoweverItIsAsked) {
  TinyServed served;
  served.chat_template = chat::ChatTemplate::FromName("llama-2").value();
  ScriptedEngine engine;
  const RunningServer server(engine, served.model, WithoutLog({}));
  const std::string messages = R"("messages": [{"role": "user", "content": "Hi"}])";
  const std::string prompt = R"("prompt": "<s>[INST] Hi [/INST]")";
  const json of_chat = server.AskJson("/tokenize", "{" + messages + "}");
  EXPECT_EQ(of_chat["tokens"][0], 1);
  EXPECT_EQ(of_chat["tokens"][1], 3 + '[');
  for (const char* more : {"", R"(, "add_special_tokens": false)"}) {
    EXPECT_EQ(server.AskJson("/tokenize", "{" + prompt + more + "}")["tokens"], of_chat["tokens"]);
    const json answer =
        server.AskJson("/v1/completions", "{" + prompt + more + R"(, "max_tokens": 1})");
    EXPECT_EQ(answer["usage"]["prompt_tokens"], of_chat["count"]);
  }
  const json answer =
      server.AskJson("/v1/chat/completions", "{" + messages + R"(, "max_tokens": 1})");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], of_chat["count"]);
}

TEST(ServiceTest, DisconnectingCancelsInEveryState) {
  RunningService service;
  service.engine.most_tokens = 5;
  service.engine.Hold(true);
  {
    HttpClient waiting(service.port());
    waiting.Send(Post("/v1/completions", kLong));
    ASSERT_TRUE(Soon([&] { return service.engine.submitted() == 1; }));
  }
  EXPECT_TRUE(Soon([&] { return service.engine.aborted() == 1; }));  // before the first token
  service.engine.Hold(false);
  {
    HttpClient streaming(service.port());
    streaming.Send(Post("/v1/completions", kLongStream));
    streaming.ReadUntil("\"text\":\"b\"");
  }
  EXPECT_TRUE(Soon([&] { return service.engine.aborted() == 2; }));
  EXPECT_TRUE(service.Healthy());
  EXPECT_TRUE(Soon([&] { return service.Finished("abort") == 2.0; }));
}

TEST(ServiceTest, ReaderThatDoesNotReadIsCutOff) {
  ServiceOptions options;
  options.http.unsent_bytes = 64 << 10;
  RunningService service(std::move(options));
  service.engine.bytes_of_token = 512 << 10;
  service.engine.most_tokens = 40;  // more than sockets hold
  HttpClient client(service.port(), 4096);
  client.Send(Post("/v1/completions", kLongStream));
  EXPECT_TRUE(Soon([&] { return service.engine.aborted() == 1; }));
  EXPECT_TRUE(service.Healthy());
}

TEST(ServiceTest, FullQueueIsRefusedAsAWhole) {
  RunningService service;
  service.engine.capacity = 2;
  service.engine.Hold(true);
  const std::string reply =
      service.Ask(Post("/v1/completions", R"({"prompt": "x", "max_tokens": 3, "n": 3})"));
  EXPECT_EQ(StatusOf(reply), 429);
  EXPECT_NE(reply.find("Retry-After: "), std::string::npos);
  EXPECT_TRUE(Soon([&] { return service.engine.aborted() == 2; }));
  service.engine.Hold(false);
  EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", kAsk))), 200);
  EXPECT_EQ(service.Metric("atom:requests_accepted_total"), 3.0);
}

TEST(ServiceTest, EngineErrorsAreServerErrors) {
  RunningService service;
  service.engine.error = "out of paper";
  const std::string reply = service.Ask(Post("/v1/completions", kLongStream));
  EXPECT_EQ(StatusOf(reply), 500);
  EXPECT_NE(reply.find("out of paper"), std::string::npos);
  EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", kAsk))), 500);
}

TEST(ServiceTest, WhatARequestIsToBlameForIsABadRequest) {
  RunningService service;
  service.engine.error = "the form takes too much";
  service.engine.bad_request = true;
  for (const std::string& ask : {kLongStream, kAsk}) {
    const std::string reply = service.Ask(Post("/v1/completions", ask));
    EXPECT_EQ(StatusOf(reply), 400);
    EXPECT_EQ(json::parse(BodyOf(reply))["error"]["type"], "invalid_request_error");
  }
}

TEST(ServiceTest, KeysGuardAllButPageAndHealth) {
  ServiceOptions options;
  ASSERT_TRUE(options.keys.Add("secret-1").ok());
  ASSERT_TRUE(options.keys.Add("secret-2").ok());
  options.requests_per_key = 1;
  RunningService service(std::move(options));
  EXPECT_EQ(StatusOf(service.Ask(Get("/health"))), 200);
  EXPECT_EQ(StatusOf(service.Ask(Get("/"))), 200);
  for (const char* path : {"/metrics", "/v1/models"}) {
    EXPECT_EQ(StatusOf(service.Ask(Get(path))), 401) << path;
    EXPECT_EQ(StatusOf(service.Ask(Get(path, "Authorization: Bearer secret-2\r\n"))), 200) << path;
  }
  for (const char* header : {"", "Authorization: Bearer secret\r\n", "Authorization: secret-1\r\n",
                             "Authorization: Bearer secret-11\r\n", "Authorization: Bearer \r\n"}) {
    EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", kAsk, header))), 401) << header;
  }

  service.engine.Hold(true);
  HttpClient first(service.port());
  first.Send(Post("/v1/completions", kAsk, "Authorization: Bearer secret-1\r\n"));
  ASSERT_TRUE(Soon([&] { return service.engine.submitted() == 1; }));
  const auto ask = [&](const std::string& key) {
    HttpClient client(service.port());
    client.Send(Post("/v1/completions", kAsk, "Authorization: Bearer " + key + "\r\n"));
    return StatusOf(client.ReadResponse());
  };
  EXPECT_EQ(ask("secret-1"), 429);
  service.engine.Hold(false);
  EXPECT_EQ(StatusOf(first.ReadResponse()), 200);
  EXPECT_EQ(ask("secret-2"), 200);
  EXPECT_EQ(ask("secret-1"), 200);
}

TEST(ServiceTest, DrainingLetsRunningRequestsEnd) {
  RunningService service;
  service.engine.Hold(true);
  HttpClient running(service.port());
  running.Send(Post("/v1/completions", kAsk));
  HttpClient idle(service.port());
  ASSERT_TRUE(Soon([&] { return service.engine.submitted() == 1; }));
  service.Drain();
  ASSERT_TRUE(Soon([&] { return !service.Healthy(); }));
  EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", kAsk))), 503);
  EXPECT_FALSE(service.finished());
  service.engine.Hold(false);
  EXPECT_EQ(StatusOf(running.ReadResponse()), 200);
  EXPECT_TRUE(Soon([&] { return service.finished(); }));
}

TEST(ServiceTest, DrainingHasAnEnd) {
  ServiceOptions options;
  options.drain_time = Milliseconds(50);
  RunningService service(std::move(options));
  service.engine.Hold(true);
  HttpClient running(service.port());
  running.Send(Post("/v1/completions", kLong));
  ASSERT_TRUE(Soon([&] { return service.engine.submitted() == 1; }));
  service.Drain();
  const json body = json::parse(BodyOf(running.ReadResponse()));
  EXPECT_EQ(body["choices"][0]["finish_reason"], "abort");
  EXPECT_TRUE(Soon([&] { return service.finished(); }));
}

TEST(ServiceTest, HealthIsTheEngines) {
  RunningService service;
  EXPECT_TRUE(service.Healthy());
  service.engine.stuck = true;
  EXPECT_EQ(StatusOf(service.Ask(Get("/health"))), 503);
}

TEST(ServiceTest, ALostDeviceIsSaidToEveryone) {
  RunningService service;
  service.engine.lost = true;
  for (const std::string& request :
       {Get("/health"), Post("/v1/completions", R"({"prompt": "a", "max_tokens": 2})")}) {
    const std::string reply = service.Ask(request);
    EXPECT_EQ(StatusOf(reply), 503);
    EXPECT_EQ(json::parse(BodyOf(reply))["error"]["message"], "the device is lost");
  }
  EXPECT_EQ(service.engine.submitted(), 0u);
  EXPECT_EQ(StatusOf(service.Ask(Get("/v1/models"))), 200);
}

TEST(ServiceTest, EveryAcceptedRequestIsCountedOnce) {
  const RunningService service;
  for (int i = 0; i < 5; ++i) {
    service.Ask(Post("/v1/completions", R"({"prompt": ["a", "b"], "n": 2, "max_tokens": 2})"));
  }
  service.Ask(Post("/v1/completions", R"({"prompt": 7})"));
  EXPECT_EQ(service.Metric("atom:requests_accepted_total"), 20.0);
  EXPECT_EQ(service.Finished("length"), 20.0);
  EXPECT_EQ(service.Metric("vllm:time_to_first_token_seconds_count"), 20.0);
  EXPECT_EQ(service.Metric("vllm:inter_token_latency_seconds_count"), 20.0);
  EXPECT_EQ(service.Metric("vllm:e2e_request_latency_seconds_count"), 20.0);
  EXPECT_EQ(service.Metric("atom:http_errors_total{model_name=\"tiny\",status=\"400\""), 1.0);
}

TEST(ServiceTest, HttpAsClientsAndProxiesSpeakIt) {
  ServiceOptions options;
  ASSERT_TRUE(options.keys.Add("secret").ok());
  const RunningService service(std::move(options));
  const auto ask = [&](const std::string& request) { return StatusOf(service.Ask(request)); };
  HttpClient head(service.port());
  head.Send("HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string reply = head.ReadToEnd();
  EXPECT_EQ(StatusOf(reply), 200);
  EXPECT_NE(reply.find("Content-Length: 15\r\n"), std::string::npos) << reply;
  EXPECT_EQ(BodyOf(reply), "");
  EXPECT_NE(service.Ask(Get("/v1/completions")).find("\r\nAllow: POST\r\n"), std::string::npos);
  EXPECT_NE(service.Ask("DELETE /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .find("\r\nAllow: GET, HEAD\r\n"),
            std::string::npos);
  for (const char* scheme : {"Bearer", "bearer", "BEARER"}) {
    EXPECT_EQ(ask(Get("/v1/models", fmt::format("Authorization: {} secret\r\n", scheme))), 200);
  }
  EXPECT_EQ(ask(Get("/v1/models", "Authorization: Basic secret\r\n")), 401);
  const std::string key = "Authorization: Bearer secret\r\n";
  EXPECT_EQ(ask(Get("/v1/models/%74in%79", key)), 200);
  EXPECT_EQ(ask(Get("/v1%2Fmodels", key)), 200);
  EXPECT_EQ(ask(Get("http://localhost/v1/models?x=%", key)), 200);
  EXPECT_EQ(ask(Get("HTTP://LOCALHOST:80/v1/models", key)), 200);
  EXPECT_EQ(ask(Get("http://localhost", key)), 200);
  EXPECT_EQ(ask("\r\n" + Get("/health")), 200);
  HttpClient client(service.port());
  for (const char* blank : {"", "\r\n", "\r\n\r\n"}) {
    client.Send(blank);
    std::this_thread::sleep_for(Milliseconds(5));
    client.Send(Get("/health") + "\r\n");
    EXPECT_EQ(StatusOf(client.ReadResponse()), 200);
  }
}

TEST(ServiceTest, HeadIsTheHeadOfGet) {
  const RunningService service;
  const auto ask = [&](const std::string& method, const std::string& path) {
    HttpClient client(service.port());
    client.Send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                            method, path));
    return client.ReadToEnd();
  };
  for (const char* path : {"/", "/health", "/v1/models", "/v1/models/tiny", "/tokenizer_info"}) {
    const std::string head = ask("HEAD", path);
    const size_t length = BodyOf(ask("GET", path)).size();
    EXPECT_EQ(StatusOf(head), 200) << path;
    EXPECT_NE(head.find(fmt::format("\r\nContent-Length: {}\r\n", length)), std::string::npos)
        << path << " " << head;
    EXPECT_EQ(BodyOf(head), "") << path;
  }
  EXPECT_EQ(StatusOf(ask("HEAD", "/metrics")), 200);
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"}) {
    for (const char* method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}) {
      const std::string reply = ask(method, path);
      EXPECT_EQ(StatusOf(reply), 405) << method << path;
      EXPECT_NE(reply.find("\r\nAllow: POST\r\n"), std::string::npos) << method << path;
    }
  }
}

TEST(ServiceTest, NamesWithASlash) {
  TinyServed served;
  served.model.name = "org/tiny";
  ScriptedEngine engine;
  const RunningServer server(engine, served.model, WithoutLog({}));
  EXPECT_EQ(StatusOf(server.Ask(Get("/v1/models/org%2Ftiny"))), 200);
  EXPECT_EQ(StatusOf(server.Ask(Get("/v1/models/org/tiny"))), 200);
  EXPECT_EQ(StatusOf(server.Ask(Get("/v1/models/org%2Fother"))), 404);
}

TEST(ServiceTest, PagesOfOthersMayNotAsk) {
  const RunningService closed;
  const std::string ask = R"({"prompt": "x", "max_tokens": 1})";
  const auto status = [&](const std::string& headers) {
    return StatusOf(
        closed.Ask(fmt::format("POST /v1/completions HTTP/1.1\r\nContent-Type: "
                               "application/json\r\n{}Content-Length: {}\r\n\r\n{}",
                               headers, ask.size(), ask)));
  };
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: http://localhost:8080\r\n"), 200);
  EXPECT_EQ(status("Host: LOCALHOST\r\nOrigin: http://localhost:80\r\n"), 200);
  EXPECT_EQ(status("Host: 127.0.0.1:8080\r\n"), 200);
  EXPECT_EQ(status("Host: [::1]:8080\r\n"), 200);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: http://localhost:3000\r\n"), 403);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: null\r\n"), 403);
  // A name that was made to lead here.
  EXPECT_EQ(status("Host: evil.example\r\nOrigin: http://evil.example\r\n"), 421);
  EXPECT_EQ(status("Host: evil.example\r\n"), 421);
  EXPECT_EQ(closed.engine.submitted(), 4u);
  ServiceOptions options;
  options.hosts = {"Box.example"};
  options.cors = "https://one.example";
  const RunningService open(std::move(options));
  EXPECT_EQ(StatusOf(open.Ask("GET /health HTTP/1.1\r\nHost: box.example:80\r\n\r\n")), 200);
  EXPECT_EQ(StatusOf(open.Ask(Get("/health", "Origin: https://one.example\r\n"))), 200);
  EXPECT_EQ(StatusOf(open.Ask(Get("/health", "Origin: https://two.example\r\n"))), 403);
  const std::string preflight = open.Ask(
      "OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://one.example\r\n"
      "Access-Control-Request-Headers: authorization,x-stainless-os\r\n\r\n");
  EXPECT_EQ(StatusOf(preflight), 204);
  EXPECT_NE(preflight.find("Access-Control-Allow-Headers: authorization,x-stainless-os\r\n"),
            std::string::npos)
      << preflight;
}

TEST(ServiceTest, LargeBodiesOfAnswersAreMadeBesideTheIoThread) {
  RunningService service;
  service.engine.bytes_of_token = 100'000;
  const json answer = service.AskJson("/v1/completions", R"({"prompt": "x", "max_tokens": 3})");
  EXPECT_EQ(answer["choices"][0]["text"].get<std::string>().size(), 300'000u);
  EXPECT_EQ(service.Finished("length"), 1.0);
}

// The outputs that come meanwhile wait for it, those of the other answers do not.
TEST(ServiceTest, LongEventsAreMadeBesideTheIoThread) {
  RunningService service;
  service.engine.bytes_of_token = 100'000;
  HttpClient client(service.port());
  client.Send(
      Post("/v1/completions", R"({"prompt": "x", "max_tokens": 4, "n": 2, "stream": true})"));
  const std::string stream = client.ReadUntil("data: [DONE]");
  std::array<std::string, 2> texts;
  for (size_t at = 0; (at = stream.find("data: {", at)) != std::string::npos; ++at) {
    const json event = json::parse(stream.substr(at + 6, stream.find('\n', at) - at - 6));
    const json& choice = event["choices"][0];
    texts.at(choice["index"]) += choice["text"].get<std::string>();
  }
  for (const std::string& text : texts) {
    ASSERT_EQ(text.size(), 400'000u);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(text[i * 100'000], static_cast<char>('a' + i));
  }
  EXPECT_EQ(service.Finished("length"), 2.0);
}

TEST(ServiceTest, MoreLogprobsThanABodyHolds) {
  ServiceOptions options;
  options.requests.logprob_entries = 100;
  const RunningService service(std::move(options));
  const auto ask = [&](int n) {
    return service.AskJson("/v1/completions",
                           fmt::format(R"({{"prompt": "x", "max_tokens": 8, "logprobs": 3, "n": {},
                                           "echo": true}})",
                                       n));
  };
  EXPECT_TRUE(ask(2).contains("choices"));  // 2 answers of 3 + 8 tokens, 4 entries each
  EXPECT_EQ(ask(3)["error"]["param"], "logprobs");
}

TEST(ServiceTest, SeedsOfSeveralAnswersAreTheirOwn) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (int64_t choice = 0; choice < 100; ++choice) seeds.insert(SeedOf(seed, choice));
    EXPECT_EQ(SeedOf(seed, 0), seed);
  }
  EXPECT_EQ(seeds.size(), 10'000u);
}

/// Fails where nobody expects it.
class ThrowingEngine : public ScriptedEngine {
 public:
  engine::EngineStats stats() const override { throw std::runtime_error("out of luck"); }
};

TEST(ServiceTest, AnExceptionEndsRunInsteadOfHangingIt) {
  TinyServed served;
  ThrowingEngine engine;
  ServiceOptions options;
  options.address.port = 0;
  const auto service = Service::Start(engine, served.model, WithoutLog(std::move(options))).value();
  std::string what;
  std::jthread thread([&] {
    try {
      service->Run(false);
    } catch (const std::exception& error) {
      what = error.what();
    }
  });
  HttpClient client(service->port());
  client.Send(Get("/metrics"));
  thread.join();
  EXPECT_EQ(what, "out of luck");
}

TEST(ServiceTest, RequestIdsAndOrigins) {
  ServiceOptions options;
  options.cors = "https://example.org";
  const RunningService service(std::move(options));
  const std::string reply = service.Ask(Get("/health", "X-Request-Id: abc-1\r\n"));
  EXPECT_NE(reply.find("x-request-id: abc-1\r\n"), std::string::npos);
  EXPECT_NE(reply.find("Access-Control-Allow-Origin: https://example.org\r\n"), std::string::npos);
  EXPECT_EQ(service.Ask(Get("/health", "X-Request-Id: a b\r\n")).find("a b"), std::string::npos);
  HttpClient client(service.port());
  client.Send(
      "OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.org\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReadResponse()), 204);
  const RunningService closed;
  EXPECT_EQ(closed.Ask(Get("/health")).find("Access-Control"), std::string::npos);
}

}  // namespace
}  // namespace atom::server
