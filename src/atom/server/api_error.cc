#include "atom/server/api_error.h"

#include <nlohmann/json.hpp>

#include "atom/io/json.h"

namespace atom::server {
namespace {

/// Seconds after which a client should try again: about what a full queue needs to move.
constexpr const char* kRetryAfter = "1";

}  // namespace

std::string ErrorType(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "service_unavailable_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string ErrorJson(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? io::Json(nullptr) : io::Json(text);
  };
  const io::Json body = {{"error",
                          {{"message", error.message},
                           {"type", ErrorType(error.status)},
                           {"param", text_or_null(error.param)},
                           {"code", text_or_null(error.code)}}}};
  return io::DumpJson(body, -1);
}

HttpReply ErrorReply(const ApiError& error) {
  HttpReply reply = {.status = error.status, .body = ErrorJson(error)};
  if (error.status == 429 || error.status == 503) {
    reply.headers.emplace_back("Retry-After", kRetryAfter);
  }
  if (!error.allow.empty()) reply.headers.emplace_back("Allow", error.allow);
  if (error.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

}  // namespace atom::server
