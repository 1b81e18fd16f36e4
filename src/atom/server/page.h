// The web page, part of the program: page/index.html, without anything from elsewhere.
#pragma once

#include <string_view>

namespace atom::server {

std::string_view PageHtml();

}  // namespace atom::server
