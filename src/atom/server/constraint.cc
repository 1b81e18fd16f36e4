#include "atom/server/constraint.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/json_schema/json_schema.h"
#include "atom/grammar/spellable.h"
#include "atom/grammar/token_mask.h"

namespace atom::server {
namespace {

/// About what a state and its edges take.
constexpr int64_t kBytesOfState = 200;

/// A grammar and what was worked out for it, which all answers to a request share. They end at
/// different times.
class SharedMasks {
 public:
  SharedMasks(grammar::Grammar grammar, const ServedModel& model)
      : threads_(*model.mask_threads),
        grammar_(std::move(grammar)),
        bytes_(static_cast<int64_t>(grammar_.state_count()) * kBytesOfState),
        mask_(grammar_, *model.trie,
              {.kept_bytes = static_cast<size_t>(threads_.limits().mask_bytes / 4),
               .walk_bytes = static_cast<size_t>(threads_.limits().walk_bytes)}) {
    threads_.grammar_bytes += bytes_;
  }
  ~SharedMasks() {
    threads_.grammar_bytes -= bytes_;
    threads_.mask_bytes -= counted_;
  }
  SharedMasks(const SharedMasks&) = delete;
  SharedMasks& operator=(const SharedMasks&) = delete;

  const grammar::Grammar& grammar() const { return grammar_; }
  MaskThreads& threads() { return threads_; }

  grammar::MaskFill Fill(const grammar::GrammarMatcher& matcher, std::span<uint32_t> mask,
                         MaskThreads::Pace& pace) {
    const std::lock_guard lock(mutex_);
    const grammar::MaskFill filled = mask_.Fill(matcher, mask, [&pace] { pace.Rest(); });
    if (threads_.mask_bytes > threads_.limits().mask_bytes) mask_.Forget();
    const auto kept = static_cast<int64_t>(mask_.bytes_kept());
    threads_.mask_bytes += kept - std::exchange(counted_, kept);
    return filled;
  }
  /// At once or not at all.
  std::optional<grammar::MaskFill> FillKept(const grammar::GrammarMatcher& matcher,
                                            std::span<uint32_t> mask) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    return lock.owns_lock() ? mask_.FillKept(matcher, mask) : std::nullopt;
  }

 private:
  MaskThreads& threads_;
  const grammar::Grammar grammar_;
  const int64_t bytes_;
  std::mutex mutex_;
  grammar::TokenMask mask_;
  int64_t counted_ = 0;  // in threads_.mask_bytes
};

/// The mask of one answer's next token, which a thread may be working out while the answer ends.
class NextMask {
 public:
  NextMask(std::shared_ptr<SharedMasks> masks, int64_t vocab_size)
      : masks_(std::move(masks)),
        matcher_(masks_->grammar()),
        halves_(grammar::MaskWords(vocab_size)),
        words_((halves_.size() + 1) / 2) {}

  SharedMasks& masks() { return *masks_; }
  std::span<const uint64_t> words() const { return words_; }
  engine::MaskState state() const { return state_; }
  void WaitFor(std::chrono::milliseconds timeout) {
    const MaskThreads::Hurry hurry(masks_->threads());
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return state_ != engine::MaskState::kPending; });
  }

  /// Of what follows `bytes`. True if it is there at once; else Work makes it.
  bool Begin(std::string_view bytes) {
    matcher_.AcceptAll(bytes);
    const std::optional<grammar::MaskFill> kept = masks_->FillKept(matcher_, halves_);
    state_ = engine::MaskState::kPending;
    if (kept) Take(*kept);
    return kept.has_value();
  }
  void Work(MaskThreads::Pace& pace) { Take(masks_->Fill(matcher_, halves_, pace)); }

 private:
  void Take(grammar::MaskFill filled) {
    std::fill(words_.begin(), words_.end(), 0);
    for (size_t i = 0; i < halves_.size(); ++i) {
      words_[i / 2] |= uint64_t{halves_[i]} << (i % 2 * 32);
    }
    {
      const std::lock_guard lock(mutex_);
      state_ = filled == grammar::MaskFill::kFilled ? engine::MaskState::kReady
                                                    : engine::MaskState::kFailed;
    }
    changed_.notify_all();
  }

  const std::shared_ptr<SharedMasks> masks_;
  grammar::GrammarMatcher matcher_;
  std::vector<uint32_t> halves_;
  std::vector<uint64_t> words_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<engine::MaskState> state_{engine::MaskState::kReady};
};

class GrammarConstraint final : public engine::TokenConstraint {
 public:
  GrammarConstraint(std::shared_ptr<SharedMasks> masks, const ServedModel& model)
      : tokenizer_(*model.tokenizer),
        next_(std::make_shared<NextMask>(std::move(masks), model.vocab_size)) {
    Begin("");
  }

  engine::MaskState state() override { return next_->state(); }
  void WaitFor(std::chrono::milliseconds timeout) override { next_->WaitFor(timeout); }
  std::string error() const override {
    return "response_format: which tokens may come next would take too much to work out, expected "
           "a schema with fewer alternatives at one place";
  }
  std::span<const uint64_t> Allowed() override { return next_->words(); }
  void Accept(int32_t token) override { Begin(tokenizer_.TokenBytes(token)); }

 private:
  void Begin(std::string_view bytes) {
    if (next_->Begin(bytes)) return;
    next_->masks().threads().Post([next = next_](MaskThreads::Pace& pace) { next->Work(pace); });
  }

  const tokenizer::Tokenizer& tokenizer_;
  const std::shared_ptr<NextMask> next_;
};

ApiError Refusal(std::string message) {
  return {.message = "response_format: " + std::move(message), .param = "response_format"};
}

}  // namespace

OrApiError<TokenConstraints> MakeConstraints(const AnswerOptions& options, const ServedModel& model,
                                             int64_t count) {
  TokenConstraints constraints(static_cast<size_t>(count));
  if (options.format.kind == FormatKind::kText) return constraints;
  if (options.stop.min_tokens > 0 || options.stop.ignore_eos) {
    return Refusal(
        "an answer whose form is given ends where the form does, expected neither "
        "min_tokens nor ignore_eos");
  }
  if (model.trie->end_ids().empty()) {
    return Refusal("the model names no token that ends a text, so that no answer could end");
  }
  MaskThreads& threads = *model.mask_threads;
  MaskThreads::Pace pace(threads);
  const auto rest = [&pace] { pace.Rest(); };
  Result<grammar::Grammar> grammar =
      options.format.kind == FormatKind::kJsonObject
          ? Result<grammar::Grammar>(grammar::AnyJsonObject())
          : grammar::CompileJsonSchema(options.format.schema, {}, rest);
  if (grammar.ok()) {
    grammar = grammar::KeepToTokens(std::move(grammar).value(), *model.trie, {.rest = rest});
  }
  if (!grammar.ok()) return Refusal(grammar.error().message);
  if (threads.grammar_bytes > threads.limits().grammar_bytes) {
    return ApiError{.status = 429, .message = "too many schemas are being kept to at once"};
  }
  const auto shared = std::make_shared<SharedMasks>(std::move(grammar).value(), model);
  for (auto& constraint : constraints) {
    constraint = std::make_unique<GrammarConstraint>(shared, model);
  }
  return constraints;
}

}  // namespace atom::server
