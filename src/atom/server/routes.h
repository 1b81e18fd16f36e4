// The paths of the API.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "atom/server/api_error.h"
#include "atom/server/http.h"

namespace atom::server {

enum class Endpoint {
  kPage,
  kHealth,
  kMetrics,
  kModels,
  kModel,  ///< "/v1/models/NAME"
  kCompletions,
  kChat,
  kTokenizerInfo,
  kTokenize,
  kDetokenize,
};

struct Route {
  Endpoint endpoint = Endpoint::kPage;
  std::string_view method;  ///< "GET" or "POST"
  std::string_view path;
  bool open = false;  ///< no key is asked for
};

/// Why a method and a path lead nowhere: 404, 405. HEAD goes where GET does.
OrApiError<Route> FindRoute(const HttpHead& head);

inline constexpr std::string_view kModelPath = "/v1/models/";

}  // namespace atom::server
