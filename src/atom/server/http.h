// HTTP as the rest of the module sees it: requests that were read under limits, replies and
// streams. An exchange is one request and its answer; it is named by a number, so that an answer
// that comes late finds no dangling connection, only a number that nobody knows any more.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "atom/server/body_room.h"

namespace atom::server {

using ExchangeId = uint64_t;
using Milliseconds = std::chrono::milliseconds;

/// What one client may cost. Each is checked before memory is spent on it.
struct HttpLimits {
  int64_t header_bytes = int64_t{16} << 10;
  int64_t header_fields = 100;
  int64_t body_bytes = int64_t{8} << 20;
  int64_t unsent_bytes = int64_t{1} << 20;  ///< of a stream, waiting for a slow reader
  int64_t connections = 16384;
  /// Of all bodies, from their heads until they have been parsed. Where a new one finds no room,
  /// the one that has been on its way longest makes it.
  int64_t all_body_bytes = int64_t{64} << 20;
  Milliseconds idle_time{75'000};    ///< between two requests
  Milliseconds header_time{10'000};  ///< from a request's first byte to the end of its header
  Milliseconds body_time{60'000};
  Milliseconds write_time{30'000};  ///< for what is sent at once to be taken
};

/// The head of a request, as far as anything here looks at it. Absent fields are empty.
struct HttpHead {
  std::string method;
  std::string path;  ///< without the query, percent-encoding undone
  std::string host;
  std::string authorization;
  std::string request_id;
  std::string content_encoding;
  std::string content_type;
  std::string origin;
  std::string requested_headers;  ///< Access-Control-Request-Headers
};

struct HttpRequest {
  HttpHead head;
  std::string body = {};
  BodyRoom room = {};  ///< that the body takes; goes when nobody holds the body any more
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  HttpHeaders headers = {};  ///< besides type, length and connection
  std::string body = {};
};

/// Who answers. All calls come from the thread that runs the server.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Refuses a request by its head, before its body is read.
  virtual std::optional<HttpReply> Refuse(const HttpHead& head) = 0;
  /// A request that could not be read: the reply to it, with `sentence`.
  virtual HttpReply Malformed(int status, const std::string& sentence) = 0;
  /// Must lead to Reply or to BeginStream … EndStream, now or later.
  virtual void OnRequest(ExchangeId exchange, HttpRequest request) = 0;
  /// The client is gone, or does not read: nobody takes the answer.
  virtual void OnGone(ExchangeId exchange) = 0;
};

}  // namespace atom::server
