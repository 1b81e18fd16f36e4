#include "atom/kernels/cuda/backend/op_queue.h"

#include <algorithm>
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

constexpr size_t kMostKnown = 64;  // sequences of ops; the one that was not met longest goes
constexpr size_t kFewestOps = 8;   // of a graph

}  // namespace

OpKey::OpKey(std::initializer_list<uint64_t> words) {
  ATOM_CHECK(words.size() <= kWords, "a key of {} words", words.size());
  std::ranges::copy(words, words_.begin());
}

void OpQueue::Add(const OpKey& key, bool graph, Launch launch) {
  keys_.push_back(key);
  launches_.push_back(std::move(launch));
  graph_ = graph_ && graph;
}

Status OpQueue::Flush(const Stream& stream) {
  if (keys_.empty()) return {};
  Status status;
  if (!graph_ || keys_.size() < kFewestOps) {
    status = RunAll(stream.get());
  } else {
    const auto found =
        std::ranges::find_if(known_, [this](const Known& known) { return known.keys == keys_; });
    if (found == known_.end()) {
      if (known_.size() == kMostKnown) known_.pop_back();
      known_.insert(known_.begin(), Known{keys_, nullptr});
      status = RunAll(stream.get());
    } else {
      std::rotate(known_.begin(), found, found + 1);
      Known& known = known_.front();
      if (known.graph == nullptr) {
        Result<Graph> graph = Capture(stream);
        if (graph.ok()) {
          known.graph = std::move(graph).value();
        } else {
          status = graph.error();
        }
      }
      if (known.graph != nullptr) {
        status = Check(cudaGraphLaunch(known.graph.get(), stream.get()), "launch a step's graph");
      }
    }
  }
  keys_.clear();
  launches_.clear();
  graph_ = true;
  return status;
}

Status OpQueue::RunAll(cudaStream_t stream) const {
  for (const Launch& launch : launches_) {
    if (Status status = launch(stream); !status.ok()) return status;
  }
  return {};
}

Result<OpQueue::Graph> OpQueue::Capture(const Stream& stream) const {
  if (Status status = Check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal),
                            "capture a step");
      !status.ok()) {
    return status.error();
  }
  const Status ran = RunAll(stream.get());
  cudaGraph_t graph = nullptr;
  const Status ended = Check(cudaStreamEndCapture(stream.get(), &graph), "capture a step");
  if (!ran.ok()) return ran.error();
  if (!ended.ok()) return ended.error();
  cudaGraphExec_t exec = nullptr;
  const Status made = Check(cudaGraphInstantiate(&exec, graph, 0), "make a graph of a step");
  (void)cudaGraphDestroy(graph);
  if (!made.ok()) return made.error();
  return Graph(exec);
}

}  // namespace atom::kernels::cuda
