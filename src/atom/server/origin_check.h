// Which web pages may use the server: a browser lets any page send requests to 127.0.0.1, and by
// names that lead there (DNS rebinding) read the answers too. A request that brings an Origin is
// from a page; what it names as Host tells by which name the page reached us.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/server/api_error.h"
#include "atom/server/http.h"

namespace atom::server {

struct OriginRules {
  std::string cors = {};                ///< the origin whose pages may ask, * for all, or empty
  bool loopback = false;                ///< listening for this machine alone: Host is checked
  std::vector<std::string> hosts = {};  ///< names besides localhost that lead here
};

/// 403 for a page of another origin, 421 for a name that is not ours.
std::optional<ApiError> CheckOrigin(const HttpHead& head, const OriginRules& rules);

/// Whether only this machine reaches a numeric address.
bool IsLoopback(std::string_view address);

}  // namespace atom::server
