// The program's version: CMake's project() is where it is written.
#pragma once

#include <string_view>

namespace atom {

std::string_view Version();  ///< "1.2.3"

}  // namespace atom
