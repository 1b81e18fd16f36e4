#include "atom/engine/engine.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "atom/kernels/device_error.h"

namespace atom::engine {
namespace {

using Clock = std::chrono::steady_clock;

/// The loop goes round this often even with nothing to do.
constexpr std::chrono::milliseconds kIdleTurn{500};

/// What comes in, in its order: a request, or an id to be cancelled.
struct Message {
  std::optional<Request> request;
  RequestId cancelled = 0;
  Clock::time_point arrival;
};

/// A queue whose lock is held only to append a few and to take all.
template <class T>
class Mailbox {
 public:
  void Put(std::vector<T> items) {
    {
      const std::lock_guard lock(mutex_);
      std::ranges::move(items, std::back_inserter(items_));
    }
    filled_.notify_one();
  }
  /// All there is; waits for something, at most `timeout`.
  std::vector<T> Take(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, timeout, [this] { return !items_.empty() || closed_; });
    return std::exchange(items_, {});
  }
  /// Nobody waits any more.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    filled_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<T> items_;
  bool closed_ = false;
};

template <class T>
std::vector<T> OneOf(T item) {
  std::vector<T> items;
  items.push_back(std::move(item));
  return items;
}

}  // namespace

class Engine::Loop {
 public:
  Loop(model::Runner& runner, const tokenizer::Tokenizer& tokenizer, const EngineOptions& options)
      : core_(runner, tokenizer, options),
        max_waiting_(options.max_waiting),
        stats_(core_.stats()),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  ~Loop() {
    thread_.request_stop();
    inbox_.Close();
    thread_.join();
  }

  Status Validate(const Request& request) const { return core_.Validate(request); }

  Status Submit(Request request) {
    if (waiting_.fetch_add(1) >= max_waiting_) {
      waiting_.fetch_sub(1);
      return MakeError("{} requests wait already: expected fewer", max_waiting_);
    }
    inbox_.Put(
        OneOf(Message{.request = std::move(request), .cancelled = 0, .arrival = Clock::now()}));
    return {};
  }

  void Cancel(RequestId id) {
    inbox_.Put(OneOf(Message{.request = {}, .cancelled = id, .arrival = Clock::now()}));
  }

  EngineStats stats() const {
    const std::lock_guard lock(stats_mutex_);
    return stats_;
  }

  std::optional<std::string> failure() const {
    const std::lock_guard lock(stats_mutex_);
    return failure_;
  }

  Clock::duration SinceLastTurn() const { return Clock::now() - last_turn_.load(); }

  std::vector<Output> Wait(std::chrono::milliseconds timeout) { return outbox_.Take(timeout); }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      last_turn_ = Clock::now();
      for (Message& message :
           inbox_.Take(core_.HasWork() ? std::chrono::milliseconds(0) : kIdleTurn)) {
        Read(std::move(message));
      }
      std::vector<Output> outputs = StepOrFail();
      Snapshot();
      if (!outputs.empty()) outbox_.Put(std::move(outputs));
    }
  }

  std::vector<Output> StepOrFail() {
    if (failure_) return std::exchange(refused_, {});
    try {
      return core_.Step(Clock::now());
    } catch (const kernels::DeviceError& error) {
      const std::lock_guard lock(stats_mutex_);
      failure_ = error.what();
    }
    return core_.Abandon(*failure_);
  }

  void Read(Message message) {
    if (failure_ && message.request) {
      Refuse(*message.request);
    } else if (message.request) {
      core_.Add(std::move(*message.request), message.arrival);
      ++added_;
    } else {
      core_.Cancel(message.cancelled);
    }
  }

  void Refuse(const Request& request) {
    Output& output = refused_.emplace_back();
    output.id = request.id;
    output.prompt_tokens = static_cast<int64_t>(request.prompt.size());
    output.finish = FinishReason::kError;
    output.error = *failure_;
    --waiting_;
  }

  void Snapshot() {
    // Those in the inbox wait too: they were counted when they were submitted.
    const EngineStats& now = core_.stats();
    waiting_ += now.waiting - known_waiting_ - added_;
    known_waiting_ = now.waiting;
    added_ = 0;
    const std::lock_guard lock(stats_mutex_);
    stats_ = now;
  }

  EngineCore core_;  // the thread's, but for Validate
  const int64_t max_waiting_;
  Mailbox<Message> inbox_;
  Mailbox<Output> outbox_;
  std::atomic<int64_t> waiting_{0};  // in the inbox and in the scheduler
  int64_t known_waiting_ = 0;        // of them, in the scheduler
  int64_t added_ = 0;                // that went there since
  std::vector<Output> refused_;      // since the last turn, after a failure
  std::atomic<Clock::time_point> last_turn_{Clock::now()};
  mutable std::mutex stats_mutex_;
  EngineStats stats_;
  std::optional<std::string> failure_;  // written once, by the thread
  std::jthread thread_;                 // last: it uses all of the above
};

Engine::Engine(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
               const EngineOptions& options)
    : loop_(std::make_unique<Loop>(runner, tokenizer, options)) {}
Engine::~Engine() = default;

Status Engine::Validate(const Request& request) const { return loop_->Validate(request); }
Status Engine::Submit(Request request) { return loop_->Submit(std::move(request)); }
void Engine::Cancel(RequestId id) { loop_->Cancel(id); }
std::optional<std::string> Engine::failure() const { return loop_->failure(); }
EngineStats Engine::stats() const { return loop_->stats(); }
Clock::duration Engine::SinceLastTurn() const { return loop_->SinceLastTurn(); }
std::vector<Output> Engine::Wait(std::chrono::milliseconds timeout) { return loop_->Wait(timeout); }

}  // namespace atom::engine
