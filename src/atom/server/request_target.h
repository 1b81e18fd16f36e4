// What a request asks for, in the forms that clients and proxies write it:
//
//   /v1/models/org%2Fname?x=1              origin-form
//   http://host:8080/v1/models/org%2Fname  absolute-form
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace atom::server {

struct RequestTarget {
  std::string path;       ///< without the query, percent-encoding undone
  std::string authority;  ///< "host:8080" of the absolute-form, else empty
};

/// nullopt where a % is not followed by two hexadecimal digits.
std::optional<RequestTarget> ParseTarget(std::string_view target);

}  // namespace atom::server
