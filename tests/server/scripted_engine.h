// An engine without a model: each step gives every running request the next letter of the alphabet.
// It can be held still, made to fail, made to look stuck or lost; it remembers what it was asked.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "atom/server/engine_port.h"

namespace atom::server {

class ScriptedEngine : public EnginePort {
 public:
  Status Validate(const engine::Request& request) const override {
    return request.prompt.empty() ? Status(Error{"the prompt is empty"}) : Status();
  }
  Status Submit(engine::Request request) override {
    const std::lock_guard lock(mutex_);
    if (static_cast<int64_t>(running_.size()) >= capacity) return Error{"the queue is full"};
    submitted_.push_back(request.id);
    running_[request.id].request = std::move(request);
    changed_.notify_all();
    return {};
  }
  void Cancel(engine::RequestId id) override {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(id);
    if (found != running_.end()) found->second.cancelled = true;
    changed_.notify_all();
  }
  std::optional<std::string> failure() const override {
    return lost ? std::optional<std::string>("the device is lost") : std::nullopt;
  }
  engine::EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    engine::EngineStats stats;
    stats.running = static_cast<int64_t>(running_.size());
    return stats;
  }
  std::chrono::steady_clock::duration SinceLastTurn() const override {
    return std::chrono::seconds(stuck ? 1000 : 0);
  }

  std::vector<engine::Output> Wait(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return HasWork(); });
    std::vector<engine::Output> outputs;
    for (auto& [id, one] : running_) {
      if (MayStep(one)) outputs.push_back(Step(one));
    }
    std::erase_if(running_, [&outputs](const auto& entry) {
      return std::any_of(outputs.begin(), outputs.end(), [&entry](const engine::Output& output) {
        return output.id == entry.first && output.finish.has_value();
      });
    });
    return outputs;
  }

  void Hold(bool hold) {
    const std::lock_guard lock(mutex_);
    held_ = hold;
    changed_.notify_all();
  }
  size_t submitted() const {
    const std::lock_guard lock(mutex_);
    return submitted_.size();
  }
  size_t aborted() const {
    const std::lock_guard lock(mutex_);
    return aborted_;
  }
  /// The last request that was submitted and has not ended.
  engine::Request* Last() {
    const std::lock_guard lock(mutex_);
    return running_.empty() ? nullptr : &running_.rbegin()->second.request;
  }

  // Set before the first request.
  int64_t capacity = 1000;
  std::atomic<bool> stuck{false};
  std::atomic<bool> lost{false};
  std::string error;                ///< every request fails with it
  bool bad_request = false;         ///< and it is the request's own
  size_t bytes_of_token = 1;        ///< of the text that a token adds
  int64_t most_tokens = 1'000'000;  ///< of a request, which then waits to be cancelled

 private:
  struct Running {
    engine::Request request;
    int64_t made = 0;
    bool cancelled = false;
  };
  bool MayStep(const Running& one) const {
    return one.cancelled || (!held_ && one.made < most_tokens);
  }
  bool HasWork() const {
    return std::any_of(running_.begin(), running_.end(),
                       [this](const auto& entry) { return MayStep(entry.second); });
  }
  engine::Output Step(Running& one) {
    engine::Output output;
    output.id = one.request.id;
    output.prompt_tokens = static_cast<int64_t>(one.request.prompt.size());
    if (one.cancelled) {
      output.finish = engine::FinishReason::kAborted;
      ++aborted_;
    } else if (!error.empty()) {
      output.finish = engine::FinishReason::kError;
      output.error = error;
      output.bad_request = bad_request;
    } else {
      const char letter = static_cast<char>('a' + one.made++ % 26);
      output.tokens = {{.id = 3 + letter, .logprob = -0.5f, .top = {{3 + letter, -0.5f}}}};
      output.text = std::string(bytes_of_token, letter);
      if (one.made >= one.request.stop.max_tokens) output.finish = engine::FinishReason::kLength;
    }
    output.output_tokens = one.made;
    return output;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::map<engine::RequestId, Running> running_;
  std::vector<engine::RequestId> submitted_;
  size_t aborted_ = 0;
};

}  // namespace atom::server
