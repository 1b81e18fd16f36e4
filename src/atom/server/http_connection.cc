#include "atom/server/http_connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/core.h>
#include <iterator>

namespace atom::server {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {

constexpr size_t kReadBytes = 4096;
/// Of later requests, read while one is answered; then reading pauses.
constexpr size_t kMostReadAhead = size_t{64} << 10;
constexpr Milliseconds kLingerTime{2000};

/// What is held of a request besides its body. Headers end before that; so must a chunk's own
/// header and trailers, which the parser does not limit.
size_t MostReceived(const HttpLimits& limits) {
  return static_cast<size_t>(limits.header_bytes) + kMostReadAhead + kReadBytes;
}

std::string FieldOf(const http::request<http::string_body>& message, http::field field) {
  return std::string(message[field]);
}

HttpHead HeadOf(const http::request<http::string_body>& message) {
  HttpHead head;
  head.method = std::string(message.method_string());
  const std::string_view target = message.target();
  head.path = std::string(target.substr(0, target.find('?')));
  head.authorization = FieldOf(message, http::field::authorization);
  head.request_id = std::string(message["x-request-id"]);
  head.content_encoding = FieldOf(message, http::field::content_encoding);
  head.origin = FieldOf(message, http::field::origin);
  return head;
}

}  // namespace

HttpConnection::HttpConnection(uint64_t id, tcp::socket socket, ConnectionOwner& owner)
    : id_(id),
      socket_(std::move(socket)),
      owner_(owner),
      deadline_(socket_.get_executor()),
      received_(MostReceived(owner.limits())) {
  ErrorCode ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
}

template <class Next>
auto HttpConnection::Track(Next next) {
  ++under_way_;
  return [this, next = std::move(next)](const auto&... result) mutable {
    --under_way_;
    if (!closed_) next(result...);
    if (closed_ && under_way_ == 0) owner_.Remove(*this);
  };
}

void HttpConnection::Start() { AwaitRequest(); }

void HttpConnection::AwaitRequest() {
  phase_ = Phase::kIdle;
  owner_.MayClose(*this);
  SetDeadline(owner_.limits().idle_time);
  ErrorCode ignored;
  if (received_.size() == 0) {
    if (!reading_) ReadSome();  // else the read that is under way brings the first byte
  } else if (reading_) {
    socket_.cancel(ignored);  // the next request may be here whole: OnSome goes on with it
  } else {
    ReadHeader();
  }
}

void HttpConnection::ReadSome() {
  reading_ = true;
  socket_.async_read_some(received_.prepare(kReadBytes),
                          Track([this](const ErrorCode& error, size_t bytes) {
                            reading_ = false;
                            received_.commit(bytes);
                            OnSome(error);
                          }));
}

void HttpConnection::OnSome(const ErrorCode& error) {
  const bool cancelled = error == asio::error::operation_aborted && received_.size() > 0;
  if (error && !(cancelled && phase_ == Phase::kIdle)) return Close();
  switch (phase_) {
    case Phase::kIdle:
      return ReadHeader();
    case Phase::kLinger:
      received_.clear();
      return ReadSome();
    default:
      if (received_.size() < kMostReadAhead) ReadSome();
  }
}

void HttpConnection::ReadHeader() {
  phase_ = Phase::kHeader;
  const HttpLimits& limits = owner_.limits();
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(limits.header_bytes));
  parser_->body_limit(static_cast<uint64_t>(limits.body_bytes));
  SetDeadline(limits.header_time);
  http::async_read_header(socket_, received_, *parser_,
                          Track([this](const ErrorCode& error, size_t) { OnHeader(error); }));
}

std::pair<int, std::string> HttpConnection::CheckHead() const {
  const auto& message = parser_->get();
  const auto fields = std::distance(message.begin(), message.end());
  if (fields > owner_.limits().header_fields) {
    return {431, fmt::format("the request has {} header fields, expected at most {}", fields,
                             owner_.limits().header_fields)};
  }
  const std::string coding = FieldOf(message, http::field::transfer_encoding);
  if (!coding.empty() && !boost::beast::iequals(coding, "chunked")) {
    return {501, "the transfer encoding is not known, expected chunked or none"};
  }
  if (message.version() != 10 && message.version() != 11) {
    return {505, "the HTTP version is not known, expected 1.1 or 1.0"};
  }
  if (message.count(http::field::content_length) > 1) {
    return {400, "the request has more than one Content-Length"};
  }
  if (message.count(http::field::authorization) > 1) {
    return {400, "the request has more than one Authorization"};
  }
  if (!coding.empty() && message.version() == 10) {
    return {400, "an HTTP/1.0 request cannot be chunked"};
  }
  return {0, ""};
}

void HttpConnection::OnHeader(const ErrorCode& error) {
  if (error) return OnReadError(error);
  const auto& message = parser_->get();
  head_ = HeadOf(message);
  keep_alive_ = parser_->keep_alive();
  old_http_ = message.version() == 10;
  is_head_ = message.method() == http::verb::head;
  if (const auto [status, sentence] = CheckHead(); status != 0) {
    return Refuse(owner_.handler().Malformed(status, sentence));
  }
  if (const std::optional<HttpReply> reply = owner_.handler().Refuse(head_)) {
    // What follows of an unread body could not be told from a next request.
    if (!parser_->is_done()) return Refuse(*reply);
    phase_ = Phase::kAnswer;
    ReadSome();
    exchange_ = owner_.Begin(*this);
    return Reply(*reply);
  }
  if (boost::beast::iequals(message[http::field::expect], "100-continue")) {
    Send("HTTP/1.1 100 Continue\r\n\r\n");
  }
  ReadBody();
}

void HttpConnection::ReadBody() {
  phase_ = Phase::kBody;
  if (parser_->is_done()) return OnBody({});
  SetDeadline(owner_.limits().body_time);
  http::async_read(socket_, received_, *parser_,
                   Track([this](const ErrorCode& error, size_t) { OnBody(error); }));
}

void HttpConnection::OnBody(const ErrorCode& error) {
  if (error) return OnReadError(error);
  phase_ = Phase::kAnswer;
  deadline_.cancel();
  if (received_.size() < kMostReadAhead) ReadSome();
  exchange_ = owner_.Begin(*this);
  HttpRequest request = {.head = std::move(head_), .body = std::move(parser_->get().body())};
  parser_.reset();
  owner_.handler().OnRequest(*exchange_, std::move(request));
}

void HttpConnection::OnReadError(const ErrorCode& error) {
  HttpHandler& handler = owner_.handler();
  if (timed_out_) return Refuse(handler.Malformed(408, "the request did not arrive in time"));
  const bool of_http = error.category() == ErrorCode(http::error::end_of_stream).category();
  if (!of_http || error == http::error::end_of_stream) return Close();
  if (error == http::error::buffer_overflow) {
    return Refuse(handler.Malformed(
        431, fmt::format("the body's chunk header or trailers are longer than {} bytes",
                         MostReceived(owner_.limits()))));
  }
  if (error == http::error::header_limit) {
    return Refuse(handler.Malformed(
        431, fmt::format("the header is longer than {} bytes", owner_.limits().header_bytes)));
  }
  if (error == http::error::body_limit) {
    return Refuse(handler.Malformed(
        413, fmt::format("the body is longer than {} bytes", owner_.limits().body_bytes)));
  }
  if (error == http::error::partial_message) {
    return Refuse(handler.Malformed(400, "the connection ended in the middle of a request"));
  }
  Refuse(handler.Malformed(400, fmt::format("not a valid HTTP request: {}", error.message())));
}

// An answer after which the connection ends.
void HttpConnection::Refuse(const HttpReply& reply) {
  phase_ = Phase::kAnswer;
  keep_alive_ = false;
  exchange_ = owner_.Begin(*this);
  Reply(reply);
}

void HttpConnection::SendHead(const HttpReply& reply, std::optional<size_t> length) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\n", reply.status,
                                 std::string_view(http::obsolete_reason(
                                     http::int_to_status(static_cast<unsigned>(reply.status)))),
                                 reply.content_type);
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  if (length.has_value()) head += fmt::format("Content-Length: {}\r\n", *length);
  if (chunked_) head += "Transfer-Encoding: chunked\r\n";
  head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  Send(head);
}

void HttpConnection::Reply(const HttpReply& reply) {
  for (const auto& [name, value] : reply.headers) {
    if (name == "Connection" && value == "close") keep_alive_ = false;
  }
  chunked_ = false;
  SendHead(reply, reply.body.size());
  if (!is_head_) Send(reply.body);
  FinishAnswer();
}

void HttpConnection::BeginStream(const HttpReply& reply) {
  chunked_ = !old_http_;
  if (old_http_) keep_alive_ = false;  // its end is the end of the connection
  SendHead(reply, std::nullopt);
  Write(reply.body);
}

void HttpConnection::Write(std::string_view bytes) {
  if (bytes.empty()) return;
  if (chunked_) {
    Send(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes));
  } else {
    Send(bytes);
  }
  if (queued_.size() > static_cast<size_t>(owner_.limits().unsent_bytes)) Close();
}

void HttpConnection::EndStream() {
  if (chunked_) Send("0\r\n\r\n");
  FinishAnswer();
}

void HttpConnection::FinishAnswer() {
  if (!exchange_.has_value()) return;
  owner_.End(*exchange_);
  exchange_.reset();
  if (!writing_) OnFlushed();
}

void HttpConnection::Send(std::string_view bytes) {
  if (closed_) return;
  queued_ += bytes;
  if (!writing_) Flush();
}

void HttpConnection::Flush() {
  writing_ = true;
  sending_.clear();
  sending_.swap(queued_);
  if (phase_ == Phase::kAnswer) SetDeadline(owner_.limits().write_time);
  asio::async_write(socket_, asio::buffer(sending_), Track([this](const ErrorCode& error, size_t) {
                      writing_ = false;
                      if (error) return Close();
                      if (!queued_.empty()) return Flush();
                      OnFlushed();
                    }));
}

void HttpConnection::OnFlushed() {
  if (phase_ != Phase::kAnswer) return;
  deadline_.cancel();
  if (exchange_.has_value()) return;
  if (keep_alive_) return AwaitRequest();
  ErrorCode ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  phase_ = Phase::kLinger;
  owner_.MayClose(*this);
  SetDeadline(kLingerTime);
  received_.clear();
  if (!reading_) ReadSome();
}

void HttpConnection::SetDeadline(Milliseconds time) {
  deadline_.expires_after(time);
  deadline_.async_wait(Track([this](const ErrorCode& error) {
    // A wait that was over when the deadline moved still comes here.
    if (!error && deadline_.expiry() <= std::chrono::steady_clock::now()) OnDeadline();
  }));
}

void HttpConnection::OnDeadline() {
  if (phase_ != Phase::kHeader && phase_ != Phase::kBody) return Close();
  timed_out_ = true;  // for the read that ends now
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void HttpConnection::Close() {
  if (closed_) return;
  closed_ = true;
  ErrorCode ignored;
  socket_.close(ignored);
  deadline_.cancel();
  if (exchange_.has_value()) {
    owner_.End(*exchange_);
    // Later, because the handler may be in the middle of a Write.
    asio::post(socket_.get_executor(),
               [&owner = owner_, gone = *exchange_] { owner.handler().OnGone(gone); });
    exchange_.reset();
  }
  // So that at least one operation ends after this, and removes the connection.
  asio::post(socket_.get_executor(), Track([] {}));
}

}  // namespace atom::server
