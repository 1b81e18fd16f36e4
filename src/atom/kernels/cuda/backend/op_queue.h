// A step's ops, collected until somebody wants a result, and CUDA graphs of sequences of ops that
// come again: decode steps of as many rows (decode_padding.h), the same ops on the same addresses.
//
//   Add, Add, … ─ Flush ┬─ the sequence is new         its ops run one by one
//                       ├─ it has come once before     they are captured as a graph, which runs
//                       └─ there is a graph of it      that runs: one launch instead of hundreds
//
// What tells sequences apart is the keys of their ops: whatever a kernel's parameters depend on.
// What kernels find in device memory (tokens, positions, page lists) is no part of it.
#pragma once

#include <array>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "atom/kernels/cuda/device/stream.h"

namespace atom::kernels::cuda {

/// An op's kind, addresses and shapes.
class OpKey {
 public:
  OpKey() = default;
  explicit OpKey(std::initializer_list<uint64_t> words);

  friend bool operator==(const OpKey&, const OpKey&) = default;

 private:
  static constexpr size_t kWords = 16;
  std::array<uint64_t, kWords> words_ = {};
};

class OpQueue {
 public:
  /// Enqueues the op's kernels on the stream.
  using Launch = std::function<Status(cudaStream_t stream)>;

  /// `graph`: whether the kernels' parameters follow from the key alone.
  void Add(const OpKey& key, bool graph, Launch launch);
  /// Enqueues what was added.
  Status Flush(const Stream& stream);
  /// Forgets all graphs: the addresses that they use are no longer those of a step.
  void ForgetGraphs() { known_.clear(); }

 private:
  struct Destroy {
    void operator()(cudaGraphExec_t graph) const { (void)cudaGraphExecDestroy(graph); }
  };
  using Graph = std::unique_ptr<CUgraphExec_st, Destroy>;
  struct Known {
    std::vector<OpKey> keys;
    Graph graph;  ///< null: came once
  };

  Status RunAll(cudaStream_t stream) const;
  Result<Graph> Capture(const Stream& stream) const;

  std::vector<OpKey> keys_;
  std::vector<Launch> launches_;
  bool graph_ = true;         ///< of all that was added
  std::vector<Known> known_;  ///< the one that came last in front
};

}  // namespace atom::kernels::cuda
