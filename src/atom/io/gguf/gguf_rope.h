// RoPE scaling in GGUF: keys for a plain factor, a tensor of divisors for the rule of Llama 3.1.
#pragma once

#include "atom/core/result.h"
#include "atom/io/gguf/gguf_architecture.h"
#include "atom/io/json.h"

namespace atom::io {

/// The rope_scaling of config.json, null where there is none. Divisors are recognized if they are
/// those of the published Llama 3.1 and 3.2 (low 1, high 4, original context 8192) for some factor;
/// others are refused. Kinds that GGUF names and config.json does not are refused by name later.
Result<Json> GgufRopeScaling(const GgufFile& file, const GgufArchitecture& architecture);

}  // namespace atom::io
