#include "atom/bench/serving/load_client.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <unordered_map>

#include "atom/core/progress.h"
#include "atom/io/quote.h"

namespace atom::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookRound{100};  // for interruptions

Clock::duration Duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

http::request<http::string_body> MakeRequest(const LoadTarget& target, http::verb verb,
                                             const std::string& path, std::string body) {
  http::request<http::string_body> request(verb, target.url.path + path, 11);
  request.set(http::field::host, target.url.HostHeader());
  request.set(http::field::user_agent, "atom-bench");
  request.set(http::field::connection, "close");
  if (!target.api_key.empty()) {
    request.set(http::field::authorization, "Bearer " + target.api_key);
  }
  if (!body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = std::move(body);
  request.prepare_payload();
  return request;
}

/// Addresses are asked for once: a name service is no part of what is measured.
Result<tcp::resolver::results_type> Resolve(asio::io_context& io, const ServiceUrl& url) {
  tcp::resolver resolver(io);
  ErrorCode error;
  tcp::resolver::results_type found = resolver.resolve(url.host, std::to_string(url.port), error);
  if (error) return MakeError("{}: {}", url.HostHeader(), error.message());
  return found;
}

/// One request from connecting to its end: connect ─ write ─ head ─ pieces of the body.
class Exchange {
 public:
  Exchange(asio::io_context& io, const LoadTarget& target, Clock::time_point start,
           CompletionRecord& record, std::function<void()> on_end)
      : target_(target),
        start_(start),
        record_(record),
        reader_(record),
        on_end_(std::move(on_end)),
        stream_(io) {
    parser_.body_limit(boost::none);
  }

  void Begin(const tcp::resolver::results_type& addresses, std::string body) {
    request_ = MakeRequest(target_, http::verb::post, "/v1/completions", std::move(body));
    record_.sent = Now();
    Expire();
    stream_.async_connect(addresses, [this](const ErrorCode& error, const tcp::endpoint&) {
      if (error) return End(RequestFailure::kConnect, error);
      ErrorCode ignored;
      stream_.socket().set_option(tcp::no_delay(true), ignored);
      Write();
    });
  }

  void Abort() {
    reader_.Fail(RequestFailure::kAborted, "interrupted");
    stream_.cancel();
  }

 private:
  double Now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void Expire() { stream_.expires_after(Duration(target_.silence_seconds)); }

  void Write() {
    http::async_write(stream_, request_, [this](const ErrorCode& error, size_t) {
      if (error) return End(RequestFailure::kConnect, error);
      ReadHead();
    });
  }

  void ReadHead() {
    Expire();
    http::async_read_header(stream_, buffer_, parser_, [this](const ErrorCode& error, size_t) {
      if (error) return End(RequestFailure::kConnect, error);
      if (parser_.get().result() != http::status::ok) return ReadRefusal();
      TakeBody();
    });
  }

  void ReadRefusal() {
    http::async_read(stream_, buffer_, parser_, [this](const ErrorCode&, size_t) {
      reader_.Fail(RequestFailure::kStatus, fmt::format("status {}: {}", parser_.get().result_int(),
                                                        io::Quote(parser_.get().body(), 300)));
      End();
    });
  }

  void ReadBody() {
    Expire();
    http::async_read_some(stream_, buffer_, parser_, [this](const ErrorCode& error, size_t) {
      if (error) {
        TakePiece();
        return End(RequestFailure::kIncomplete, error);
      }
      TakeBody();
    });
  }

  void TakePiece() {
    std::string& body = parser_.get().body();
    reader_.Push(body, Now());
    body.clear();
  }

  /// What has come of the body so far; then goes on reading.
  void TakeBody() {
    TakePiece();
    if (parser_.is_done()) return End();
    ReadBody();
  }

  void End(RequestFailure failure, const ErrorCode& error) {
    reader_.Fail(failure, error == beast::error::timeout
                              ? fmt::format("nothing came for {} s", target_.silence_seconds)
                              : error.message());
    End();
  }
  void End() {
    reader_.Finish(Now());
    stream_.close();
    on_end_();
  }

  const LoadTarget& target_;
  Clock::time_point start_;
  CompletionRecord& record_;
  CompletionReader reader_;
  std::function<void()> on_end_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response_parser<http::string_body> parser_;
};

/// Begins what is due and waits for what is under way.
class LoadRunner {
 public:
  LoadRunner(asio::io_context& io, const LoadTarget& target, const LoadPlan& plan,
             tcp::resolver::results_type addresses,
             const std::function<std::string(size_t)>& make_body,
             const std::function<bool()>& interrupted)
      : io_(io),
        target_(target),
        plan_(plan),
        addresses_(std::move(addresses)),
        make_body_(make_body),
        interrupted_(interrupted),
        pacer_(plan),
        timer_(io),
        progress_("requests", static_cast<int64_t>(plan.requests.size())) {
    records_.reserve(plan.requests.size());  // exchanges point into it
  }

  std::vector<CompletionRecord> Run() {
    Turn();
    io_.run();
    return std::move(records_);
  }

 private:
  double Now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool finished() const { return exchanges_.empty() && (stopping_ || pacer_.done()); }

  void Turn() {
    if (!stopping_ && interrupted_()) Stop();
    BeginDue();
    if (finished()) return;
    Clock::duration wait = kLookRound;
    if (const std::optional<double> next = pacer_.NextTime(); next && !stopping_) {
      wait = std::clamp(Duration(*next - Now()), Clock::duration(0), wait);
    }
    timer_.expires_after(wait);
    timer_.async_wait([this](const ErrorCode& error) {
      if (!error) Turn();
    });
  }

  void Stop() {
    stopping_ = true;
    for (auto& [index, exchange] : exchanges_) exchange->Abort();
  }

  void BeginDue() {
    while (!stopping_) {
      const std::optional<size_t> index =
          pacer_.Next(Now(), static_cast<int64_t>(exchanges_.size()));
      if (!index) return;
      Begin(*index);
    }
  }

  void Begin(size_t index) {
    std::string body = make_body_(index);
    const PlannedRequest& planned = plan_.requests[index];
    CompletionRecord& record = records_.emplace_back();
    record.planned = planned.lengths;
    record.due = plan_.concurrency > 0 ? Now() : planned.seconds;
    auto exchange =
        std::make_unique<Exchange>(io_, target_, start_, record, [this, index] { OnEnd(index); });
    exchange->Begin(addresses_, std::move(body));
    exchanges_.emplace(index, std::move(exchange));
  }

  void OnEnd(size_t index) {
    // Not at once: the exchange is still on the stack.
    asio::post(io_, [this, index] {
      exchanges_.erase(index);
      progress_.Advance();
      BeginDue();
      if (finished()) timer_.cancel();
    });
  }

  asio::io_context& io_;
  const LoadTarget& target_;
  const LoadPlan& plan_;
  tcp::resolver::results_type addresses_;
  const std::function<std::string(size_t)>& make_body_;
  const std::function<bool()>& interrupted_;
  Pacer pacer_;
  asio::steady_timer timer_;
  Progress progress_;
  Clock::time_point start_ = Clock::now();
  bool stopping_ = false;
  std::vector<CompletionRecord> records_;
  std::unordered_map<size_t, std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace

Result<std::string> Fetch(const LoadTarget& target, const std::string& path) {
  asio::io_context io;
  const Result<tcp::resolver::results_type> addresses = Resolve(io, target.url);
  if (!addresses.ok()) return addresses.error();
  const std::string where = target.url.HostHeader() + target.url.path + path;
  beast::tcp_stream stream(io);
  ErrorCode error;
  stream.connect(*addresses, error);
  const auto request = MakeRequest(target, http::verb::get, path, "");
  if (!error) http::write(stream, request, error);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  if (!error) http::read(stream, buffer, response, error);
  if (error) return MakeError("{}: {}", where, error.message());
  if (response.result() != http::status::ok) {
    return MakeError("{}: expected status 200, found {}: {}", where, response.result_int(),
                     io::Quote(response.body(), 300));
  }
  return std::move(response.body());
}

std::vector<CompletionRecord> RunLoad(const LoadTarget& target, const LoadPlan& plan,
                                      const std::function<std::string(size_t index)>& make_body,
                                      const std::function<bool()>& interrupted) {
  asio::io_context io;
  Result<tcp::resolver::results_type> addresses = Resolve(io, target.url);
  if (!addresses.ok()) {
    return {
        CompletionRecord{.failure = RequestFailure::kConnect, .error = addresses.error().message}};
  }
  return LoadRunner(io, target, plan, std::move(addresses).value(), make_body, interrupted).Run();
}

}  // namespace atom::bench
