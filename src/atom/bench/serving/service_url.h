// Where a server is: "http://127.0.0.1:8080" or with a path in front of its own, as behind a proxy.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom::bench {

struct ServiceUrl {
  std::string host;  ///< a name or an address, IPv6 without brackets
  int port = 80;
  std::string path;  ///< "" or "/prefix", in front of /v1/…

  std::string HostHeader() const;
};

Result<ServiceUrl> ParseServiceUrl(std::string_view text);

}  // namespace atom::bench
