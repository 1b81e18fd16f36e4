#include "atom/tokenizer/oniguruma.h"

#include <array>
#include <oniguruma.h>

#include "atom/core/check.h"

namespace atom::tokenizer {

void InitializeOniguruma() {
  static const int initialized = [] {
    std::array<OnigEncoding, 1> encodings = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings.data(), 1);
  }();
  ATOM_CHECK(initialized == ONIG_NORMAL, "onig_initialize gave {}", initialized);
}

}  // namespace atom::tokenizer
