// What a model's weights take in memory, from the headers of its files: what plans of memory, and
// `atom inspect`, say before a weight is read.
#pragma once

#include <cstdint>

#include "atom/kernels/backend.h"
#include "atom/model/model_files.h"

namespace atom::model {

/// On a backend, as LoadTransformer with no other types than the files' loads it.
int64_t WeightBytes(const ModelFiles& files, const kernels::Backend& backend);
/// Of what is no artifact: where the codes of others stay packed, and where not.
int64_t WeightBytes(const ModelFiles& files, bool keeps_codes);

}  // namespace atom::model
