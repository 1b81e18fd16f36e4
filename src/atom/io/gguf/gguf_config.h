// The keys of a GGUF file as the config.json that the same model has in a Hugging Face folder, so
// that everything above knows one description of a model.
#pragma once

#include "atom/core/result.h"
#include "atom/io/gguf/gguf_file.h"
#include "atom/io/json.h"

namespace atom::io {

/// Values are checked where config.json is (model/spec); here, that none is missing, that there is
/// no key or tensor of the architecture whose meaning is not known, and what GGUF can say and
/// config.json cannot: such as RoPE factors that follow no known rule.
Result<Json> GgufConfig(const GgufFile& file);

}  // namespace atom::io
