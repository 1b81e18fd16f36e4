// Requests that are not what they should be, byte by byte: each gets its 4xx, quickly, and the
// server goes on.
#include "tests/server/refusals.h"

namespace atom::server {
namespace {

std::string Repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<BadRequest> AllBadBytes() {
  constexpr size_t kHeader = 16 << 10;  // the limit
  const std::string post =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      {"not HTTP", "hello\r\n\r\n", 400},
      {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n", 400},
      {"version 3", "GET /health HTTP/3.0\r\n\r\n", 400},
      {"no body", post + "\r\n", 400},
      {"empty body", Post("/v1/completions", ""), 400},
      {"one byte", Post("/v1/completions", "x"), 400},
      {"length and chunks",
       post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks and length",
       post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
      {"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
      {"one length twice", post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
      {"length -1", post + "Content-Length: -1\r\n\r\n", 400},
      {"length 2^64", post + "Content-Length: 18446744073709551616\r\n\r\n", 400},
      {"length 2^63", post + "Content-Length: 9223372036854775808\r\n\r\n", 413},
      {"length of 64 MB", post + "Content-Length: 67108864\r\n\r\n", 413},
      {"chunk of 2^64", chunked + "10000000000000000\r\n", 400},
      {"chunk of 2^64 - 1", chunked + "FFFFFFFFFFFFFFFF\r\n", 413},
      {"chunk of -1", chunked + "-1\r\n", 400},
      {"chunk of nothing", chunked + "\r\n", 400},
      {"chunks that shrink", chunked + "1\r\nab\r\n0\r\n\r\n", 400},
      {"chunks twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"chunks and not",
       post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
      {"chunks of old",
       "POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: "
       "application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"chunk header of 1 MB", chunked + "1;" + std::string(1 << 20, 'x') + "\r\n", 431, "",
       post.size() + (200 << 10)},
      {"trailers of 1 MB", chunked + "0\r\n" + Repeated("X: y\r\n", 200000) + "\r\n", 431, "",
       post.size() + (200 << 10)},
      {"transfer gzip", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"gzip", Post("/v1/completions", "{}", "Content-Encoding: gzip\r\n"), 415},
      // What a bomb is made of does not matter: nothing here inflates.
      {"gzip bomb",
       Post("/v1/completions", "\x1f\x8b\x08" + std::string(100000, 'x'),
            "Content-Encoding: gzip\r\n"),
       415},
      {"deflate in gzip", Post("/tokenize", "{}", "Content-Encoding: deflate, gzip\r\n"), 415},
      {"brotli", Post("/v1/chat/completions", "{}", "Content-Encoding: br\r\n"), 415},
      {"gzip that is not said", Post("/v1/completions", "\x1f\x8b\x08"), 400},
      {"header of 1 MB", "GET /health HTTP/1.1\r\nX: " + std::string(1 << 20, 'x') + "\r\n\r\n",
       431, "", kHeader},
      {"10,000 headers", "GET /health HTTP/1.1\r\n" + Repeated("X: y\r\n", 10000) + "\r\n", 431, "",
       kHeader},
      {"101 headers", Get("/health", Repeated("X: y\r\n", 101)), 431},
      {"long path", "GET /" + std::string(100000, 'x') + " HTTP/1.1\r\n\r\n", 431, "", kHeader},
      {"NUL in a header", std::string("GET /health HTTP/1.1\r\nX: a\0b\r\n\r\n", 33), 400},
      {"space before the colon", "GET /health HTTP/1.1\r\nX : y\r\n\r\n", 400},
      {"no host", "GET /health HTTP/1.1\r\n\r\n", 400},
      {"two hosts", Get("/health", "Host: localhost\r\n"), 400},
      {"half a percent", Get("/v1/models/tiny%2"), 400},
      {"percent of no number", Get("/v1/models/tiny%+1"), 400},
      {"no type", "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415},
      {"a form's type",
       "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
       "Content-Length: 2\r\n\r\n{}",
       415},
      {"unknown path", Get("/v2/completions"), 404},
      {"path upwards", Get("/v1/models/../../etc/passwd"), 404},
      {"wrong method", Get("/v1/completions"), 405},
      {"delete", "DELETE /v1/models/tiny HTTP/1.1\r\nHost: localhost\r\n\r\n", 405},
      {"two keys", Get("/metrics", "Authorization: a\r\nAuthorization: b\r\n"), 400},
  };
}

TEST(HttpFramingTest, EachBadRequestGetsItsStatus) { ExpectEachRefused(AllBadBytes()); }

TEST(HttpFramingTest, RejectsWithinMilliseconds) { ExpectRefusedQuickly(AllBadBytes()); }

TEST(HttpFramingTest, BodyOfAGetIsNotTheNextRequest) {
  const RunningService service;
  HttpClient client(service.port());
  const std::string hidden = Get("/v1/models/hidden");
  client.Send(fmt::format("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                          hidden.size(), hidden) +
              Get("/v1/models"));
  EXPECT_EQ(StatusOf(client.ReadResponse()), 200);
  EXPECT_NE(client.ReadResponse().find("\"object\":\"list\""), std::string::npos);
}

TEST(HttpFramingTest, PipelinedRequestsAreAnsweredInOrder) {
  const RunningService service;
  HttpClient client(service.port());
  std::string many;
  for (int i = 0; i < 20; ++i) {
    many += Post("/v1/completions", R"({"prompt": "x", "max_tokens": 2})") + Get("/v1/models");
  }
  client.Send(many);
  for (int i = 0; i < 20; ++i) {
    ASSERT_NE(client.ReadResponse().find("\"text\":\"ab\""), std::string::npos) << i;
    ASSERT_NE(client.ReadResponse().find("\"object\":\"list\""), std::string::npos) << i;
  }
}

TEST(HttpFramingTest, ChunkedBodiesAndContinue) {
  const RunningService service;
  HttpClient client(service.port());
  client.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nTransfer-Encoding: Chunked\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("9;x=y\r\n{\"prompt\"\r\n");
  client.Send("18\r\n: \"x\", \"max_tokens\": 1 }\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReadResponse()), 200);
}

TEST(HttpFramingTest, EndlessChunksAreCutOff) {
  const RunningService service;
  HttpClient client(service.port());
  client.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(65536, ' ') + "\r\n";
  for (int i = 0; i < 1000 && client.Send(chunk); ++i) {
  }
  EXPECT_EQ(StatusOf(client.ReadResponse()), 413);
  EXPECT_TRUE(service.Healthy());
}

TEST(HttpFramingTest, OldClientsGetUnframedStreams) {
  const RunningService service;
  HttpClient client(service.port());
  const std::string body = R"({"prompt": "x", "max_tokens": 2, "stream": true})";
  client.Send(
      fmt::format("POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: "
                  "application/json\r\nContent-Length: {}\r\n\r\n{}",
                  body.size(), body));
  const std::string text = client.ReadToEnd();
  EXPECT_EQ(text.find("chunked"), std::string::npos);
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n")) << text;
}

TEST(HttpFramingTest, SlowClientsAreLetGo) {
  ServiceOptions impatient;
  impatient.http.idle_time = Milliseconds(150);
  const RunningService closing(std::move(impatient));
  HttpClient idle(closing.port());
  EXPECT_EQ(idle.ReadToEnd(), "");
  ServiceOptions options;  // patient before a request: this thread may be slow itself
  options.http.header_time = options.http.body_time = Milliseconds(100);
  const RunningService service(std::move(options));
  HttpClient header(service.port());
  header.Send("GET /health HTTP/1.1\r\nX-Slow");
  EXPECT_EQ(StatusOf(header.ReadToEnd()), 408);
  HttpClient body(service.port());
  body.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_EQ(StatusOf(body.ReadToEnd()), 408);
  HttpClient chunks(service.port());
  chunks.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
  EXPECT_EQ(StatusOf(chunks.ReadToEnd()), 408);
  HttpClient drops(service.port());  // a byte now and then does not move the deadline
  for (int i = 0; i < 100 && drops.Send("x"); ++i) std::this_thread::sleep_for(Milliseconds(10));
  EXPECT_EQ(StatusOf(drops.ReadToEnd()), 408);
  EXPECT_TRUE(service.Healthy());
}

// Asks for page after page and takes none of them.
TEST(HttpFramingTest, ReadersThatStopAreLetGo) {
  ServiceOptions options;
  options.http.write_time = Milliseconds(200);
  const RunningService service(std::move(options));
  const int64_t descriptors = OpenDescriptors();
  HttpClient client(service.port(), 4096);
  const std::string pages = Repeated(Get("/"), 100);
  int sent = 0;
  while (sent < 100'000 && client.Send(pages)) ++sent;
  EXPECT_LT(sent, 100'000);
  ExpectUnharmed(service, descriptors + 1);  // the client's own end
}

TEST(HttpFramingTest, HalfClosedConnections) {
  RunningService service;
  HttpClient cut(service.port());
  cut.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: 100\r\n\r\n{");
  cut.FinishSending();
  EXPECT_EQ(StatusOf(cut.ReadToEnd()), 400);
  HttpClient whole(service.port());
  whole.Send(Get("/health"));
  whole.FinishSending();
  EXPECT_EQ(StatusOf(whole.ReadToEnd()), 200);
  service.engine.Hold(true);
  HttpClient waiting(service.port());
  waiting.Send(Post("/v1/completions", R"({"prompt": "x"})"));
  waiting.FinishSending();  // as good as gone: nobody could tell the two apart
  waiting.ReadToEnd();
  EXPECT_TRUE(Soon([&] { return service.engine.stats().running == 0; }));
}

}  // namespace
}  // namespace atom::server
