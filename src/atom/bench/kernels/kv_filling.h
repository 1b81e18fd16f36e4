// KV caches that hold random rows, without the forward pass that would have made them.
#pragma once

#include <cstdint>
#include <span>

#include "atom/kernels/backend.h"
#include "atom/model/spec/model_spec.h"

namespace atom::bench {

/// Appends `positions` random rows to each layer, the same to all, in pages 0, 1, …, of which there
/// are enough, as SingleSequence numbers them. REQUIRES: layers of one format.
void FillKv(kernels::Backend& backend, const model::ModelSpec& spec, int64_t positions,
            std::span<kernels::KvLayer* const> layers);

/// Bytes of K and V, with scales and zero points, that attention reads of one position.
int64_t KvBytesPerPosition(const kernels::KvShape& shape);

}  // namespace atom::bench
