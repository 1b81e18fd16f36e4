// What every reader promises about its errors, whatever bytes it was given.
#pragma once

#include <string>

#include "atom/core/check.h"
#include "atom/core/result.h"

namespace atom::fuzz {

inline void CheckSentence(const Error& error) {
  const std::string& message = error.message;
  ATOM_CHECK(!message.empty() && message.size() < 1000, "{} bytes: {}", message.size(), message);
  for (const char c : message) {
    ATOM_CHECK(static_cast<unsigned char>(c) >= 0x20, "a control character in: {}", message);
  }
}

}  // namespace atom::fuzz
