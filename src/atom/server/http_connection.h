// One client's connection: request after request, each read under limits and a deadline, answered,
// and then the next. Includes Boost; only http_connection.cc and http_server.cc include it.
//
//   kIdle ─ first byte ─ kHeader ─ kBody ─ kAnswer ─┬─ kIdle …
//                 any fault: a reply, then ─────────┴─ kLinger: what still comes is thrown away, so
//                                                      that the reply is not lost with it
//
// While it answers it goes on reading a little: that is how it sees that the client is gone.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>

#include "atom/server/http.h"

namespace atom::server {

class HttpConnection;

/// Keeps the connections.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual HttpHandler& handler() = 0;
  virtual const HttpLimits& limits() const = 0;
  virtual ExchangeId Begin(HttpConnection& connection) = 0;
  virtual void End(ExchangeId exchange) = 0;
  /// Until its next Begin it has no whole request: it may be closed to make room for another.
  virtual void MayClose(HttpConnection& connection) = 0;
  /// Makes `room` one of `bytes` for a body that is on its way, from the first call until Begin.
  /// Other connections may have to make it, whose bodies have been on their way longer; false if
  /// there is none even so.
  virtual bool MakeRoom(HttpConnection& connection, int64_t bytes, BodyRoom& room) = 0;
  /// Destroys it.
  virtual void Remove(HttpConnection& connection) = 0;
};

class HttpConnection {
 public:
  HttpConnection(uint64_t id, boost::asio::ip::tcp::socket socket, ConnectionOwner& owner);

  void Start();
  void Close();
  /// Its body, which has not arrived whole, makes room for another's: the client is told.
  void GiveUpBody();
  uint64_t id() const { return id_; }
  /// Whether something of an answer is still to be sent.
  bool unfinished() const { return writing_ || exchange_.has_value(); }

  void Reply(const HttpReply& reply);
  void BeginStream(const HttpReply& reply);
  void Write(std::string_view bytes);
  void EndStream();

 private:
  enum class Phase { kIdle, kHeader, kBody, kAnswer, kLinger };
  using ErrorCode = boost::system::error_code;

  /// A handler of an asynchronous operation that calls `next` unless the connection was closed. The
  /// connection is removed when it is closed and no operation is under way.
  template <class Next>
  auto Track(Next next);

  void AwaitRequest();
  void ReadSome();
  void OnSome(const ErrorCode& error);
  void ReadHeader();
  void OnHeader(const ErrorCode& error);
  /// What is wrong with a head that the parser let pass; the status is 0 if nothing is.
  std::pair<int, std::string> CheckHead() const;
  /// Bytes that the body will have, or may have after the next read if it comes in chunks, which do
  /// not say how many will follow.
  int64_t BodyBytesSoon() const;
  /// Drops empty lines in front of a request, as clients may send them.
  void SkipEmptyLines();
  /// Reads on until the body is whole.
  void ReadBody();
  void OnBody();
  void OnReadError(const ErrorCode& error);
  void Refuse(const HttpReply& reply);

  void SendHead(const HttpReply& reply, std::optional<size_t> length);
  void Send(std::string_view bytes);
  void Flush();
  void OnFlushed();
  void FinishAnswer();

  void SetDeadline(Milliseconds time);
  void OnDeadline();

  const uint64_t id_;
  boost::asio::ip::tcp::socket socket_;
  ConnectionOwner& owner_;
  boost::asio::steady_timer deadline_;

  Phase phase_ = Phase::kIdle;
  bool closed_ = false;
  int under_way_ = 0;  // asynchronous operations
  bool reading_ = false;
  bool timed_out_ = false;
  bool gave_up_body_ = false;

  boost::beast::flat_buffer received_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpHead head_;
  BodyRoom room_;  // of the body that is being read

  std::optional<ExchangeId> exchange_;  // from a whole request to the end of its answer
  bool keep_alive_ = true;
  bool chunked_ = false;   // the stream under way
  bool old_http_ = false;  // HTTP/1.0: no chunks
  bool is_head_ = false;
  bool writing_ = false;
  std::string queued_;
  std::string sending_;
};

}  // namespace atom::server
