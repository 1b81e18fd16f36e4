// Listens, reads requests under limits, writes answers. One thread runs everything here:
// connections, timers and the handler's calls; other threads reach it by posting to the io_context.
//
//   HttpServer ─ accepts ─ HttpConnection ─ head → HttpHandler::Refuse ─ body → OnRequest
//                                         ← Reply, or BeginStream · Write… · EndStream
//
// Promises: no request is framed in two ways (a length and chunks, two lengths); nobody holds a
// connection without using it; a client that does not read is cut off, and OnGone says so. Where no
// connection or descriptor is left, the one that has waited longest without a whole request makes
// room: idle clients keep nobody out.
#pragma once

#include <memory>
#include <string>

#include "atom/core/result.h"
#include "atom/server/http.h"

namespace boost::asio {
class io_context;
}

namespace atom::server {

struct ListenAddress {
  std::string host = "127.0.0.1";  ///< a numeric address
  int port = 8080;                 ///< 0: a free one
};

class HttpServer {
 public:
  /// Bound and listening; accepts once the io_context runs. `io` and `handler` must outlive this.
  static Result<std::unique_ptr<HttpServer>> Listen(boost::asio::io_context& io,
                                                    const ListenAddress& address,
                                                    const HttpLimits& limits, HttpHandler& handler);
  ~HttpServer();
  /// Whether it could listen there now.
  static Status CheckAddress(const ListenAddress& address);

  int port() const;

  // The answer to an exchange. Nothing happens if its client is gone.
  void Reply(ExchangeId exchange, const HttpReply& reply);
  /// Header of an answer whose body follows in pieces; `reply.body` is its first piece.
  void BeginStream(ExchangeId exchange, const HttpReply& reply);
  void Write(ExchangeId exchange, std::string_view bytes);
  void EndStream(ExchangeId exchange);

  int64_t connections() const;
  /// Connections whose answer has not been sent whole.
  int64_t unfinished() const;

 private:
  class Listener;
  explicit HttpServer(std::unique_ptr<Listener> listener);
  std::unique_ptr<Listener> listener_;
};

}  // namespace atom::server
