#include "atom/server/routes.h"

#include <array>
#include <fmt/format.h>

#include "atom/io/quote.h"

namespace atom::server {
namespace {

// The page is the same for everybody and has nothing to hide: it asks for the key and sends it.
constexpr std::array kRoutes = {
    Route{Endpoint::kPage, "GET", "/", true},
    Route{Endpoint::kHealth, "GET", "/health", true},
    Route{Endpoint::kMetrics, "GET", "/metrics"},
    Route{Endpoint::kModels, "GET", "/v1/models"},
    Route{Endpoint::kModel, "GET", kModelPath},
    Route{Endpoint::kCompletions, "POST", "/v1/completions"},
    Route{Endpoint::kChat, "POST", "/v1/chat/completions"},
    Route{Endpoint::kTokenizerInfo, "GET", "/tokenizer_info"},
    Route{Endpoint::kTokenize, "POST", "/tokenize"},
    Route{Endpoint::kDetokenize, "POST", "/detokenize"},
};

bool Matches(const Route& route, std::string_view path) {
  if (route.endpoint != Endpoint::kModel) return path == route.path;
  return path.size() > route.path.size() && path.starts_with(route.path);
}

}  // namespace

OrApiError<Route> FindRoute(const HttpHead& head) {
  for (const Route& route : kRoutes) {
    if (!Matches(route, head.path)) continue;
    const bool is_get = route.method == "GET";
    if (head.method == route.method || (is_get && head.method == "HEAD")) return route;
    return ApiError{.status = 405,
                    .message = fmt::format("{}: expected {}, found {}", route.path, route.method,
                                           io::Quote(head.method)),
                    .allow = is_get ? "GET, HEAD" : std::string(route.method)};
  }
  return ApiError{.status = 404,
                  .message = fmt::format("there is nothing at {}", io::Quote(head.path))};
}

}  // namespace atom::server
