// The client against a server whose every byte is written here.
#include "atom/bench/serving/load_client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <thread>

namespace atom::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

const std::string kHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

std::string Piece(const std::string& data) {
  return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}
const std::string kEndOfPieces = "0\r\n\r\n";
std::string TextEvent(const std::string& text) {
  return "data: {\"choices\": [{\"text\": \"" + text + "\"}]}\n\n";
}
const std::string kDone =
    "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 2}}\n\n"
    "data: [DONE]\n\n";

/// A piece of a script: nothing, until the client has gone.
const std::string kSilence;

/// Answers one connection after the other, each with its script: what is sent, piece by piece with
/// a pause between. Nothing closes the connection early but the end of the script.
class ScriptedServer {
 public:
  using Script = std::vector<std::string>;
  explicit ScriptedServer(std::vector<Script> scripts)
      : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        thread_([this, scripts = std::move(scripts)] {
          for (const Script& script : scripts) Answer(script);
        }) {}

  LoadTarget target() const {
    return {.url = {.host = "127.0.0.1", .port = acceptor_.local_endpoint().port(), .path = ""},
            .api_key = "secret"};
  }
  /// Ends after the last script.
  std::vector<std::string> Requests() {
    thread_.join();
    return requests_;
  }

 private:
  void Answer(const Script& script) {
    tcp::socket socket(io_);
    acceptor_.accept(socket);
    requests_.push_back(ReadRequest(socket));
    boost::system::error_code gone;
    std::array<char, 1> byte;
    for (const std::string& piece : script) {
      if (piece == kSilence) {
        socket.read_some(asio::buffer(byte), gone);
      } else {
        asio::write(socket, asio::buffer(piece), gone);
        std::this_thread::sleep_for(kPause);
      }
    }
  }

  static std::string ReadRequest(tcp::socket& socket) {
    std::string request;
    std::array<char, 1024> buffer;
    boost::system::error_code error;
    while (!error && !Complete(request)) {
      request.append(buffer.data(), socket.read_some(asio::buffer(buffer), error));
    }
    return request;
  }
  static bool Complete(const std::string& request) {
    const size_t head = request.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const size_t length = request.find("Content-Length: ");
    const size_t body = length == std::string::npos ? 0 : std::stoul(request.substr(length + 16));
    return request.size() >= head + 4 + body;
  }

  static constexpr std::chrono::milliseconds kPause{20};
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::vector<CompletionRecord> RunClient(const LoadTarget& target, size_t requests) {
  LoadPlan plan{.requests = std::vector<PlannedRequest>(requests), .concurrency = 1};
  for (PlannedRequest& request : plan.requests) request.lengths = {3, 2};
  return RunLoad(
      target, plan, [](size_t index) { return fmt::format("{{\"n\": {}}}", index); },
      [] { return false; });
}

TEST(LoadClientTest, StreamsAreTimedAndCounted) {
  const std::string first = TextEvent("a");
  ScriptedServer server({{kHead, Piece(first.substr(0, 9)), Piece(first.substr(9)),
                          Piece(TextEvent("b")), Piece(kDone), kEndOfPieces},
                         {kHead + Piece(first + TextEvent("b") + kDone) + kEndOfPieces}});
  const std::vector<CompletionRecord> records = RunClient(server.target(), 2);
  const std::vector<std::string> requests = server.Requests();
  ASSERT_EQ(records.size(), 2u);
  for (const CompletionRecord& record : records) {
    EXPECT_TRUE(record.ok()) << record.error;
    EXPECT_EQ(record.prompt_tokens, 3);
    EXPECT_EQ(record.output_tokens, 2);
    EXPECT_EQ(record.gaps.size(), 1u);
    EXPECT_GE(record.first, record.sent);
    EXPECT_GE(record.finished, record.first);
  }
  // Head, two halves, the second event: the pauses before them are lower bounds, but not those
  // between two readings, of which the first may be late.
  EXPECT_GE(records[0].first - records[0].sent, 0.035);
  EXPECT_GE(records[0].first - records[0].sent + records[0].gaps[0], 0.055);
  EXPECT_GE(records[1].sent, records[0].finished);  // one at a time
  EXPECT_EQ(requests[0].rfind("POST /v1/completions HTTP/1.1\r\n", 0), 0u) << requests[0];
  EXPECT_NE(requests[0].find("Authorization: Bearer secret\r\n"), std::string::npos);
  EXPECT_TRUE(requests[0].ends_with("{\"n\": 0}"));
  EXPECT_TRUE(requests[1].ends_with("{\"n\": 1}"));
}

TEST(LoadClientTest, EveryFailureIsARecord) {
  ScriptedServer server(
      {{"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy"},
       {kHead + Piece(TextEvent("a"))},  // closes in the middle
       {kHead + Piece("data: {\"error\": {\"message\": \"sorry\"}}\n\n") + kEndOfPieces},
       {"nonsense\r\n\r\n"}});
  const std::vector<CompletionRecord> records = RunClient(server.target(), 4);
  server.Requests();
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(Name(records[0].failure), "status");
  EXPECT_NE(records[0].error.find("429: 'busy'"), std::string::npos) << records[0].error;
  EXPECT_EQ(Name(records[1].failure), "incomplete");
  EXPECT_EQ(Name(records[2].failure), "stream");
  EXPECT_EQ(records[2].error, "the server says 'sorry'");
  EXPECT_EQ(Name(records[3].failure), "connect");
}

TEST(LoadClientTest, AServerThatIsSilentOrAbsentIsGivenUp) {
  ScriptedServer server({{kHead, kSilence}});
  LoadTarget target = server.target();
  target.silence_seconds = 0.05;
  const std::vector<CompletionRecord> records = RunClient(target, 1);
  server.Requests();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(Name(records[0].failure), "incomplete");
  EXPECT_NE(records[0].error.find("nothing came"), std::string::npos) << records[0].error;
  target.url.port = 1;  // nobody listens there
  EXPECT_EQ(Name(RunClient(target, 1)[0].failure), "connect");
  EXPECT_FALSE(Fetch(target, "/v1/models").ok());
}

TEST(LoadClientTest, InterruptedItKeepsWhatItHas) {
  ScriptedServer server({{kHead + Piece(TextEvent("a") + TextEvent("b") + kDone) + kEndOfPieces},
                         {kHead + Piece(TextEvent("a")), kSilence}});
  LoadPlan plan{.requests = std::vector<PlannedRequest>(9), .concurrency = 1};
  size_t begun = 0;
  const std::vector<CompletionRecord> records = RunLoad(
      server.target(), plan,
      [&](size_t index) {
        begun = index + 1;
        return std::string("{}");
      },
      [&] { return begun == 2; });
  server.Requests();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_TRUE(records[0].ok()) << records[0].error;
  EXPECT_EQ(Name(records[1].failure), "aborted");
}

TEST(LoadClientTest, FetchGivesTheBodyOrASentence) {
  ScriptedServer server({{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
                         {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"}});
  EXPECT_EQ(Fetch(server.target(), "/v1/models").value(), "hi");
  const Result<std::string> absent = Fetch(server.target(), "/x");
  ASSERT_FALSE(absent.ok());
  EXPECT_NE(absent.error().message.find("404"), std::string::npos) << absent.error().message;
  EXPECT_EQ(server.Requests()[0].rfind("GET /v1/models ", 0), 0u);
}

}  // namespace
}  // namespace atom::bench
