// Attention of sequences that feed one token: few query rows, much K and V. It is read once,
// straight from the pages (decode_inl.h); one long sequence is shared by all threads.
#pragma once

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {

struct DecodeStep {
  const CpuContext& context;
  const StepView& step;
  const DeviceTensor& qkv;
  const AttentionShape& shape;
  const CpuKvLayer& kv;
  const DeviceTensor& out;

  /// Does this sequence feed one token, of heads that the kernel knows?
  bool Takes(int64_t sequence) const;
  /// One KV head of a sequence that Takes() says yes to, tile after tile.
  void Run(int64_t sequence, int64_t kv_head, int worker) const;

  /// Are there too few heads to keep the threads busy, and nothing but single tokens?
  bool Splits() const;
  /// The whole step: tiles in parallel, their parts put aside and then merged in order, so that the
  /// result is that of Run, bit for bit. Long contexts take several rounds, so that what is put
  /// aside stays within bounds (DecodeScratch) whatever their length.
  void RunSplit() const;
};

}  // namespace atom::kernels::cpu
