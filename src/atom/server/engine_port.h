// What the server asks of an engine, so that tests can put a scripted one in its place.
#pragma once

#include <chrono>
#include <vector>

#include "atom/engine/engine.h"

namespace atom::server {

class EnginePort {
 public:
  virtual ~EnginePort() = default;
  // Any thread; see engine::Engine.
  virtual Status Validate(const engine::Request& request) const = 0;
  virtual Status Submit(engine::Request request) = 0;
  virtual void Cancel(engine::RequestId id) = 0;
  virtual std::optional<std::string> failure() const = 0;
  virtual engine::EngineStats stats() const = 0;
  virtual std::chrono::steady_clock::duration SinceLastTurn() const = 0;
  // One thread.
  virtual std::vector<engine::Output> Wait(std::chrono::milliseconds timeout) = 0;
};

/// The real one.
class EngineThreadPort : public EnginePort {
 public:
  /// `engine` must outlive this.
  explicit EngineThreadPort(engine::Engine& engine) : engine_(engine) {}
  Status Validate(const engine::Request& request) const override {
    return engine_.Validate(request);
  }
  Status Submit(engine::Request request) override { return engine_.Submit(std::move(request)); }
  void Cancel(engine::RequestId id) override { engine_.Cancel(id); }
  std::optional<std::string> failure() const override { return engine_.failure(); }
  engine::EngineStats stats() const override { return engine_.stats(); }
  std::chrono::steady_clock::duration SinceLastTurn() const override {
    return engine_.SinceLastTurn();
  }
  std::vector<engine::Output> Wait(std::chrono::milliseconds timeout) override {
    return engine_.Wait(timeout);
  }

 private:
  engine::Engine& engine_;
};

}  // namespace atom::server
