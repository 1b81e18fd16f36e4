// What a client is told when its request cannot be served: an HTTP status, one sentence, and the
// parameter that is wrong, in the JSON form of the OpenAI API:
//
//   {"error": {"message": …, "type": "invalid_request_error", "param": "n", "code": null}}
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "atom/server/http.h"

namespace atom::server {

struct ApiError {
  int status = 400;
  std::string message = {};  ///< one sentence, no trailing newline
  std::string param = {};    ///< the field that is wrong, if one is
  std::string code = {};     ///< for programs: "model_not_found"
  std::string allow = {};    ///< methods that would do, with 405
};

/// A value, or why the request is refused.
template <class T>
using OrApiError = std::variant<T, ApiError>;

/// The type that OpenAI's clients expect with a status.
std::string ErrorType(int status);
std::string ErrorJson(const ApiError& error);
HttpReply ErrorReply(const ApiError& error);

}  // namespace atom::server
