// More clients than there is room for: who asks is served, who only holds a connection makes room.
#include <fstream>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/sanitizers.h"
#include "tests/server/refusals.h"

namespace atom::server {
namespace {

const std::string kAsk = R"({"prompt": "x", "max_tokens": 1})";

TEST(CrowdTest, ThoseWhoseAnswerIsUnderWayStay) {
  ServiceOptions options;
  options.http.connections = 3;
  RunningService service(std::move(options));
  service.engine.Hold(true);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<HttpClient>(service.port()));
    clients.back()->Send(Post("/v1/completions", kAsk));
  }
  ASSERT_TRUE(Soon([&] { return service.engine.submitted() == 3; }));
  HttpClient fourth(service.port());
  EXPECT_EQ(fourth.ReadToEnd(), "");
  service.engine.Hold(false);
  for (const auto& client : clients) EXPECT_EQ(StatusOf(client->ReadResponse()), 200);
  // The same three wait now, and may be closed.
  EXPECT_TRUE(service.Healthy());
  int open = 0;
  for (const auto& client : clients) {
    open += client->Send(Get("/health")) && StatusOf(client->ReadResponse()) == 200 ? 1 : 0;
  }
  EXPECT_EQ(open, 2);
}

TEST(CrowdTest, TheLongestIdleMakesRoom) {
  ServiceOptions options;
  options.http.connections = 3;
  const RunningService service(std::move(options));
  HttpClient first(service.port());
  HttpClient slow(service.port());
  slow.Send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: 100\r\n\r\n{");
  HttpClient third(service.port());
  for (HttpClient* client : {&third, &first}) {
    client->Send(Get("/health"));
    EXPECT_EQ(StatusOf(client->ReadResponse()), 200);
  }
  HttpClient fourth(service.port());
  EXPECT_EQ(slow.ReadToEnd(), "");
  HttpClient fifth(service.port());
  EXPECT_EQ(third.ReadToEnd(), "");
  for (HttpClient* client : {&first, &fourth, &fifth}) {
    client->Send(Get("/health"));
    EXPECT_EQ(StatusOf(client->ReadResponse()), 200);
  }
}

/// Bytes of memory that this process uses.
int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t pages = 0;
  file >> pages >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

// All clients at once send all of their bodies but the last byte, a piece of each in turn, so that
// bodies are given up while more of them is on its way.
TEST(CrowdTest, BodiesThatDoNotEndKeepToTheirBound) {
  constexpr int kClients = 200;
  constexpr size_t kBody = 8 << 20;
  constexpr size_t kPiece = 256 << 10;
  for (const bool chunked : {false, true}) {
    ServiceOptions options;
    options.http.body_bytes = kBody;
    options.http.all_body_bytes = 16 << 20;
    const RunningService service(std::move(options));
    const std::string body(kBody - 1, ' ');
    const int64_t before = ResidentBytes();
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.push_back(std::make_unique<HttpClient>(service.port()));
      clients.back()->Send(
          fmt::format("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                      "application/json\r\n{}",
                      chunked ? fmt::format("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", kBody)
                              : fmt::format("Content-Length: {}\r\n\r\n", kBody)));
    }
    int64_t largest = 0;
    std::vector<size_t> sent(kClients);
    for (size_t turn = 0; turn < kBody / kPiece; ++turn) {
      for (size_t i = 0; i < clients.size(); ++i) {
        sent[i] += clients[i]->SendSome(std::string_view(body).substr(sent[i], kPiece));
      }
      largest = std::max(largest, ResidentBytes() - before);
      EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", kAsk))), 200) << turn;
    }
    // The bound, as much again for the holes that bodies leave in the heap as they grow, one body
    // on its way out, and what a connection holds besides. All bodies are 1.6 GiB.
    if (!tests::kSanitized) {
      EXPECT_LT(largest, (40 << 20) + kClients * (64 << 10)) << chunked;
    }
    EXPECT_EQ(StatusOf(clients.front()->ReadResponse()), 503);
    clients.clear();
    EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", kAsk))), 200);
  }
}

ServiceOptions RoomForOneMebibyte() {
  ServiceOptions options;
  options.http.body_bytes = options.http.all_body_bytes = 1 << 20;
  return options;
}

/// The head of a request and the first byte of its body.
const std::string kChunkedHead =
    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n";
/// The rest of it.
const std::string kChunkedEnd = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", kAsk.size(), kAsk);

// Chunks do not say how many will follow: they take room as they come.
TEST(CrowdTest, ChunkedBodiesTakeTheRoomTheyNeed) {
  const RunningService service(RoomForOneMebibyte());
  std::vector<std::unique_ptr<HttpClient>> small;
  for (int i = 0; i < 5; ++i) {
    small.push_back(std::make_unique<HttpClient>(service.port()));
    small.back()->Send(kChunkedHead);
  }
  for (const auto& client : small) {
    client->Send(kChunkedEnd);
    EXPECT_EQ(StatusOf(client->ReadResponse()), 200);
  }
}

// Nothing was answered before: a body may keep its room for a moment longer than its client waits.
TEST(CrowdTest, BodiesThatGrowTakeTheRoomOfThoseLongerOnTheirWay) {
  const RunningService service(RoomForOneMebibyte());
  HttpClient first(service.port());
  first.Send(kChunkedHead);
  EXPECT_TRUE(service.Healthy());
  HttpClient large(service.port());
  large.Send(kChunkedHead);
  const std::string chunk = "10000\r\n" + std::string(65536, ' ') + "\r\n";
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(large.Send(chunk));
  large.Send(kChunkedEnd);
  EXPECT_EQ(StatusOf(large.ReadResponse()), 200);
  EXPECT_EQ(StatusOf(first.ReadResponse()), 503);
}

/// For a while, no more descriptors than these.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit limit = {.rlim_cur = most, .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

// Ten thousand, or what the machine allows: twice that many descriptors, as both ends are here.
TEST(CrowdTest, TenThousandIdleClients) {
  rlimit allowed{};
  getrlimit(RLIMIT_NOFILE, &allowed);
  const DescriptorLimit all(allowed.rlim_max);
  const auto count = std::min<rlim_t>(10000, allowed.rlim_max / 2 - 100);
  const RunningService service;
  const int64_t descriptors = OpenDescriptors();
  std::vector<std::unique_ptr<HttpClient>> idle;
  for (rlim_t i = 0; i < count; ++i) idle.push_back(std::make_unique<HttpClient>(service.port()));
  EXPECT_TRUE(service.Healthy());
  idle.clear();
  ExpectUnharmed(service, descriptors);
}

TEST(CrowdTest, AnswersWithoutAFreeDescriptor) {
  const RunningService service;
  ASSERT_TRUE(service.Healthy());
  std::vector<std::unique_ptr<HttpClient>> idle;
  const int64_t descriptors = OpenDescriptors();
  // These go first to where the limit does not reach.
  std::vector<int> sockets;
  for (int i = 0; i < 300; ++i) sockets.push_back(HttpClient::NewSocket(512));
  const DescriptorLimit few(static_cast<rlim_t>(descriptors) + 20);
  for (const int one : sockets) {
    idle.push_back(std::make_unique<HttpClient>(service.port(), 0, one));
  }
  idle.back()->Send(Get("/health"));
  EXPECT_EQ(StatusOf(idle.back()->ReadResponse()), 200);
  idle.back()->Send(Post("/v1/completions", kAsk));
  EXPECT_EQ(StatusOf(idle.back()->ReadResponse()), 200);
}

}  // namespace
}  // namespace atom::server
