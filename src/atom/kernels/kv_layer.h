// One layer's part of the paged KV cache: a pool of pages, each with K and V of a few positions of
// one sequence. How a page looks, and how many positions it has, is the backend's answer.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "atom/quant/formats.h"

namespace atom::kernels {

/// What a layer keeps of a position.
struct KvShape {
  quant::KvFormat format;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;

  /// Of the exact pages beside the newest pages.
  KvShape Exact() const {
    return {
        .format = {.storage = quant::KvStorage::kF16}, .kv_heads = kv_heads, .head_dim = head_dim};
  }
};

/// Made by Backend::MakeKvLayer; zeroed. Must not outlive its Backend.
class KvLayer {
 public:
  virtual ~KvLayer() = default;
  const KvShape& shape() const { return shape_; }
  int64_t pages() const { return pages_; }

  /// The pool of exact pages: another layer of the same backend, of shape().Exact(). Null without
  /// an exact window.
  const KvLayer* exact() const { return exact_.get(); }
  KvLayer* exact() { return exact_.get(); }
  void set_exact(std::unique_ptr<KvLayer> exact) { exact_ = std::move(exact); }

 protected:
  KvLayer(const KvShape& shape, int64_t pages) : shape_(shape), pages_(pages) {}

 private:
  KvShape shape_;
  int64_t pages_;
  std::unique_ptr<KvLayer> exact_;
};

/// What Backend::Unpack gives back of a page, on the host: widened, or scale * (code - zero).
struct UnpackedKvPage {
  std::vector<float> keys;    ///< [kv_heads][page positions][head_dim]
  std::vector<float> values;  ///< the same
};

}  // namespace atom::kernels
