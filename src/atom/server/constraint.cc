#include "atom/server/constraint.h"

#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/json_schema/json_schema.h"
#include "atom/grammar/token_mask.h"

namespace atom::server {
namespace {

class GrammarConstraint : public engine::TokenConstraint {
 public:
  // The answers to one request end at different times, and all read its grammar.
  GrammarConstraint(std::shared_ptr<const grammar::Grammar> grammar, const ServedModel& model)
      : grammar_(std::move(grammar)),
        tokenizer_(*model.tokenizer),
        matcher_(*grammar_),
        mask_(*grammar_, *model.trie, kMostMaskBytes),
        halves_(grammar::MaskWords(model.vocab_size)),
        words_((halves_.size() + 1) / 2) {}

  std::span<const uint64_t> Allowed() override {
    mask_.Fill(matcher_, halves_);
    std::fill(words_.begin(), words_.end(), 0);
    for (size_t i = 0; i < halves_.size(); ++i) {
      words_[i / 2] |= uint64_t{halves_[i]} << (i % 2 * 32);
    }
    return words_;
  }

  void Accept(int32_t token) override { matcher_.AcceptAll(tokenizer_.TokenBytes(token)); }

 private:
  static constexpr size_t kMostMaskBytes = size_t{8} << 20;

  std::shared_ptr<const grammar::Grammar> grammar_;
  const tokenizer::Tokenizer& tokenizer_;
  grammar::GrammarMatcher matcher_;
  grammar::TokenMask mask_;
  std::vector<uint32_t> halves_;
  std::vector<uint64_t> words_;
};

/// Whether the vocabulary has every byte that a JSON text may need as a token of its own, so that
/// there is always a token for what must come next.
bool SpellsEveryByte(const grammar::TokenTrie& trie) {
  std::array<bool, 256> has{};
  const auto nodes = trie.nodes();
  for (size_t i = 0; i + 1 < nodes.size(); ++i) {
    const bool token = nodes[i + 1].tokens_begin > nodes[i].tokens_begin;
    if (nodes[i].depth == 0 && token) has[nodes[i].byte] = true;
  }
  for (int byte = 0x20; byte < 0xF5; ++byte) {
    const bool in_utf8 = byte != 0x7F && byte != 0xC0 && byte != 0xC1;
    if (in_utf8 && !has[static_cast<size_t>(byte)]) return false;
  }
  return true;
}

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
  if (!SpellsEveryByte(*model.trie)) {
    return Refusal("the model's vocabulary does not have every byte, expected text");
  }
  Result<grammar::Grammar> grammar = options.format.kind == FormatKind::kJsonObject
                                         ? Result<grammar::Grammar>(grammar::AnyJsonObject())
                                         : grammar::CompileJsonSchema(options.format.schema);
  if (!grammar.ok()) return Refusal(grammar.error().message);
  const auto shared = std::make_shared<const grammar::Grammar>(std::move(grammar).value());
  for (auto& constraint : constraints) {
    constraint = std::make_unique<GrammarConstraint>(shared, model);
  }
  return constraints;
}

}  // namespace atom::server
