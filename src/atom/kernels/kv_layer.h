// One layer's part of the paged KV cache: a pool of pages, each with K and V of a few positions of
// one sequence. How a page looks, and how many positions it has, is the backend's answer.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/quant/formats.h"

namespace atom::kernels {

/// What a layer keeps of a position.
struct KvShape {
  quant::KvFormat format;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

/// Made by Backend::MakeKvLayer; zeroed. Must not outlive its Backend.
class KvLayer {
 public:
  virtual ~KvLayer() = default;
  const KvShape& shape() const { return shape_; }
  int64_t pages() const { return pages_; }

 protected:
  KvLayer(const KvShape& shape, int64_t pages) : shape_(shape), pages_(pages) {}

 private:
  KvShape shape_;
  int64_t pages_;
};

/// What Backend::Unpack gives back of a page, on the host: widened, or scale * (code - zero).
struct UnpackedKvPage {
  std::vector<float> keys;    ///< [kv_heads][page positions][head_dim]
  std::vector<float> values;  ///< the same
};

}  // namespace atom::kernels
