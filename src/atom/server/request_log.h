// One line on stderr for each request, when it ends: what it was, how it ended, what it cost. Never
// what it said.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "atom/server/api_answer.h"
#include "atom/server/http.h"

namespace atom::server {

/// Of one HTTP request.
struct RequestRecord {
  std::string id;        ///< x-request-id
  std::string endpoint;  ///< "POST /v1/completions"
  std::optional<size_t> key = {};
  std::chrono::steady_clock::time_point arrival = std::chrono::steady_clock::now();
};

/// The client's x-request-id if it can be printed and repeated, or a new one.
std::string RequestIdFor(const HttpHead& head);
/// `prefix` and random letters: "chatcmpl-…".
std::string NewId(std::string_view prefix);

/// `ended`: "200", "400", "gone"; how its choices ended is the answer's to say.
void LogRequest(const RequestRecord& record, std::string_view ended, const ApiAnswer* answer);

}  // namespace atom::server
