// A model of a given shape with random weights, and what a token costs in it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/kernels/backend.h"
#include "atom/model/spec/model_spec.h"
#include "atom/model/transformer.h"
#include "atom/quant/recipe.h"

namespace atom::bench {

/// One layer as `recipe` would store it. The recipe "none" gives bf16 weights and KV.
/// `scales`: of the groups of packed weights.
artifact::HostLayer RandomLayer(const model::ModelSpec& spec, const quant::Recipe& recipe,
                                quant::ScaleFormat scales);

/// Bytes and operations of a forward pass.
struct ModelCost {
  int64_t linear_bytes = 0;           ///< codes and scales of the linears of all layers
  int64_t head_bytes = 0;             ///< of lm_head
  int64_t kv_bytes_per_position = 0;  ///< of all layers
  int64_t linear_weights = 0;         ///< in all layers
  // Of mixtures of experts, which are not in those above; a token uses top_k of them.
  kernels::RouterShape router = {};
  int64_t expert_bytes = 0;
  int64_t expert_weights = 0;
  std::vector<kernels::AttentionShape> attention = {};  ///< of each layer

  /// Of the linears and attention for the first `tokens` positions; lm_head is for one row only.
  double PrefillOperations(int64_t tokens) const;
  /// Read to decode `tokens` tokens behind `depth` positions, of each of so many sequences at once;
  /// of experts, as many as so many tokens choose on average where all are equally likely.
  double DecodeBytes(int64_t depth, int64_t tokens, int64_t sequences = 1) const;
};

/// A model on a backend, to be timed.
struct TimedModel {
  std::unique_ptr<model::Transformer> transformer;
  ModelCost cost = {};
  quant::KvFormat kv = {};
};

/// Every layer has its own packed copy of one random layer's weights, so that memory is read as in
/// a real model. `head` is the type of lm_head; the embedding has it as well.
TimedModel MakeRandomModel(kernels::Backend& backend, const model::ModelSpec& spec,
                           const quant::Recipe& recipe, DType head,
                           const model::Transformer::Limits& limits);

/// Of a model whose layers have all the KV format of made.kv.
void SetAttentionCost(const model::ModelSpec& spec, TimedModel& made);

}  // namespace atom::bench
