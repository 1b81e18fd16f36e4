#include "atom/server/http_connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/core.h>
#include <iterator>
#include <utility>

#include "atom/server/request_target.h"

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
  std::optional<RequestTarget> target = ParseTarget(message.target());
  if (target) head.path = std::move(target->path);
  head.host = target && !target->authority.empty() ? std::move(target->authority)
                                                   : FieldOf(message, http::field::host);
  head.authorization = FieldOf(message, http::field::authorization);
  head.request_id = std::string(message["x-request-id"]);
  head.content_encoding = FieldOf(message, http::field::content_encoding);
  head.content_type = FieldOf(message, http::field::content_type);
  head.origin = FieldOf(message, http::field::origin);
  head.requested_headers = FieldOf(message, http::field::access_control_request_headers);
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
  if (!reading_) {
    SkipEmptyLines();
    received_.shrink_to_fit();  // who only holds a connection holds no memory
  }
  if (received_.size() == 0) {
    if (!reading_) ReadSome();  // else the read that is under way brings the first byte
  } else if (reading_) {
    socket_.cancel(ignored);  // the next request may be here whole: OnSome goes on with it
  } else {
    ReadHeader();
  }
}

void HttpConnection::SkipEmptyLines() {
  const auto bytes = received_.data();
  const std::string_view text(static_cast<const char*>(bytes.data()), bytes.size());
  received_.consume(std::min(text.find_first_not_of("\r\n"), text.size()));
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
      SkipEmptyLines();
      return received_.size() > 0 ? ReadHeader() : ReadSome();
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
  const auto hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) {
    return {400, fmt::format("the request has {} Host fields, expected one", hosts)};
  }
  if (!ParseTarget(message.target())) {
    return {400, "the path has a % without two hexadecimal digits behind it"};
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
  phase_ = Phase::kBody;
  SetDeadline(owner_.limits().body_time);
  parser_->eager(true);
  if (boost::beast::iequals(message[http::field::expect], "100-continue")) {
    Send("HTTP/1.1 100 Continue\r\n\r\n");
  }
  ReadBody();
}

int64_t HttpConnection::BodyBytesSoon() const {
  const auto most = static_cast<uint64_t>(owner_.limits().body_bytes);
  if (const auto length = parser_->content_length()) {
    return static_cast<int64_t>(std::min<uint64_t>(*length, most));
  }
  const uint64_t next = parser_->get().body().size() + received_.max_size();
  const auto room = static_cast<uint64_t>(room_.bytes());
  return static_cast<int64_t>(std::min(most, next <= room ? room : std::max(next, 2 * room)));
}

void HttpConnection::GiveUpBody() {
  gave_up_body_ = true;  // for the read that ends now
  room_ = {};
  ErrorCode ignored;
  socket_.cancel(ignored);
}

// One read after the other and not all at once: a cancelled read that has bytes already goes on,
// and of a body that was given up nothing more must be kept.
void HttpConnection::ReadBody() {
  if (parser_->is_done()) return OnBody();
  if (const int64_t bytes = BodyBytesSoon(); bytes > room_.bytes()) {
    if (!owner_.MakeRoom(*this, bytes, room_)) {
      return Refuse(owner_.handler().Malformed(503, "too many bodies of requests are being read"));
    }
    parser_->get().body().reserve(static_cast<size_t>(bytes));
  }
  http::async_read_some(socket_, received_, *parser_, Track([this](const ErrorCode& error, size_t) {
                          if (error || gave_up_body_ || timed_out_) return OnReadError(error);
                          ReadBody();
                        }));
}

void HttpConnection::OnBody() {
  phase_ = Phase::kAnswer;
  deadline_.cancel();
  if (received_.size() < kMostReadAhead) ReadSome();
  exchange_ = owner_.Begin(*this);
  HttpRequest request = {.head = std::move(head_),
                         .body = std::move(parser_->get().body()),
                         .room = std::exchange(room_, {})};
  parser_.reset();
  owner_.handler().OnRequest(*exchange_, std::move(request));
}

void HttpConnection::OnReadError(const ErrorCode& error) {
  HttpHandler& handler = owner_.handler();
  if (gave_up_body_) {
    return Refuse(handler.Malformed(
        503, "the body was on its way longest when other requests needed the room"));
  }
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
  parser_.reset();
  room_ = {};
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
  // What waited before this: one event may be longer than the limit.
  const size_t unread = queued_.size();
  if (chunked_) {
    Send(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes));
  } else {
    Send(bytes);
  }
  if (unread > static_cast<size_t>(owner_.limits().unsent_bytes)) Close();
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
  if (reading_) return;
  received_.clear();
  received_.shrink_to_fit();
  ReadSome();
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
  room_ = {};
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
