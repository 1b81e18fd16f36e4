#include "atom/server/origin_check.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <fmt/format.h>

#include "atom/io/quote.h"

namespace atom::server {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

/// "name" of "name:8080", "::1" of "[::1]:8080".
std::string_view NameOf(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

bool IsAddress(std::string_view name) {
  boost::system::error_code error;
  boost::asio::ip::make_address(std::string(name), error);
  return !error;
}

/// An authority without the port that its scheme has anyway.
std::string WithoutPort(std::string authority, std::string_view port) {
  if (authority.ends_with(port)) authority.resize(authority.size() - port.size());
  return authority;
}

/// Whether a page of `origin` was loaded from where its request goes.
bool IsOwnPage(const std::string& origin, const std::string& host) {
  if (origin.starts_with("http://")) {
    return WithoutPort(origin.substr(7), ":80") == WithoutPort(host, ":80");
  }
  return origin.starts_with("https://") &&
         WithoutPort(origin.substr(8), ":443") == WithoutPort(host, ":443");
}

/// A number is nobody's name; whoever uses it means us.
bool IsOwnName(std::string_view name, const OriginRules& rules) {
  return name == "localhost" || name.ends_with(".localhost") || IsAddress(name) ||
         std::ranges::any_of(rules.hosts,
                             [name](const std::string& host) { return Lower(host) == name; });
}

}  // namespace

bool IsLoopback(std::string_view address) {
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(std::string(address), error);
  return !error && parsed.is_loopback();
}

std::optional<ApiError> CheckOrigin(const HttpHead& head, const OriginRules& rules) {
  const std::string host = Lower(head.host);
  // HTTP/1.0 need not say.
  if (rules.loopback && !host.empty() && !IsOwnName(NameOf(host), rules)) {
    return ApiError{
        .status = 421,
        .message = fmt::format("the Host {} is not one of this server's names, expected "
                               "localhost or an address; --allow-host adds others",
                               io::Quote(head.host))};
  }
  const bool allowed = head.origin.empty() || rules.cors == "*" || rules.cors == head.origin ||
                       IsOwnPage(Lower(head.origin), host);
  if (allowed) return std::nullopt;
  return ApiError{.status = 403,
                  .message = fmt::format("pages of the origin {} may not ask; --cors allows one",
                                         io::Quote(head.origin))};
}

}  // namespace atom::server
