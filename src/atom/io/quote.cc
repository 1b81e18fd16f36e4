#include "atom/io/quote.h"

#include <fmt/core.h>

#include "atom/io/utf8.h"

namespace atom::io {
std::string Quote(std::string_view text, size_t max_bytes) {
  std::string quoted = "'";
  size_t i = 0;
  while (i < text.size() && i < max_bytes) {
    const size_t length = Utf8SequenceLength(text.substr(i));
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0 || byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
      ++i;
    } else {
      quoted += text.substr(i, length);
      i += length;
    }
  }
  return quoted + (i < text.size() ? "…'" : "'");
}

}  // namespace atom::io
