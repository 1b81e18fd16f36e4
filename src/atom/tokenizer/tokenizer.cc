#include "atom/tokenizer/tokenizer.h"

#include <limits>
#include <utility>

#include "atom/core/check.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/gpt2_files.h"
#include "atom/tokenizer/sentencepiece_file.h"
#include "atom/tokenizer/tiktoken_file.h"
#include "atom/tokenizer/tokenizer_json.h"
#include "atom/tokenizer/tokenizer_settings.h"

namespace atom::tokenizer {
namespace {

// Positions count bytes of a text whose spaces may have grown to three bytes.
constexpr size_t kMaxTextBytes = std::numeric_limits<int32_t>::max() / 3;

// REQUIRES: the form's file is there. Its meaning depends on settings only where the file itself
// has no say: tiktoken's special tokens, SentencePiece's later prefixes.
Result<TokenizerParts> ParseForm(const TokenizerFiles& files, TokenizerForm form,
                                 const TokenizerSettings& settings) {
  const std::string model_source = files.Source("tokenizer.model");
  switch (form) {
    case TokenizerForm::kTokenizerJson:
      return ParseTokenizerJson(*files.tokenizer_json, files.Source("tokenizer.json"));
    case TokenizerForm::kTokenizerModel:
      if (LooksLikeTiktoken(*files.tokenizer_model)) {
        return ParseTiktoken(*files.tokenizer_model, settings.added.empty(), model_source);
      }
      return ParseSentencePiece(*files.tokenizer_model, settings.legacy, model_source);
    case TokenizerForm::kTekkenJson:
      return ParseTokenizerJson(*files.tekken_json, files.Source("tekken.json"));
    case TokenizerForm::kVocabJson:
      return ParseGpt2Files(*files.vocab_json, files.Source("vocab.json"), *files.merges_txt,
                            files.Source("merges.txt"));
  }
  ATOM_CHECK(false, "form {}", static_cast<int>(form));
  return MakeError("unreachable");
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::filesystem::path& model_path) {
  const Result<io::SideFiles> model = io::SideFiles::Open(model_path);
  if (!model.ok()) return model.error();
  const Result<TokenizerForm> form = ChooseTokenizerForm(*model);
  if (!form.ok()) return form.error();
  const Result<TokenizerFiles> files = ReadTokenizerFiles(*model, *form);
  if (!files.ok()) return files.error();
  return FromFiles(*files, *form);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::LoadFile(const std::filesystem::path& model_path,
                                                       std::string_view file_name) {
  const Result<TokenizerForm> form = FindTokenizerForm(file_name);
  if (!form.ok()) return form.error();
  const Result<io::SideFiles> model = io::SideFiles::Open(model_path);
  if (!model.ok()) return model.error();
  const Result<TokenizerFiles> files = ReadTokenizerFiles(*model, *form);
  if (!files.ok()) return files.error();
  return FromFiles(*files, *form);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::LoadOther(const std::filesystem::path& tokenizer,
                                                        const std::filesystem::path& model_path) {
  namespace fs = std::filesystem;
  if (FindTokenizerForm(tokenizer.string()).ok()) return LoadFile(model_path, tokenizer.string());
  std::error_code ignored;
  const bool is_file = fs::is_regular_file(tokenizer, ignored);
  const Result<io::SideFiles> model = io::SideFiles::Open(model_path);
  if (!model.ok()) return model.error();
  if (is_file && tokenizer.extension() != ".gguf") {
    Result<LoneTokenizer> lone = ReadTokenizerFile(tokenizer);
    if (!lone.ok()) return lone.error();
    const Status added = AddModelConfigs(*model, lone->files);
    return added.ok() ? FromFiles(lone->files, lone->form) : added.error();
  }
  const Result<io::SideFiles> other = io::SideFiles::Open(tokenizer);
  if (!other.ok()) return other.error();
  const Result<TokenizerForm> form = ChooseTokenizerForm(*other);
  if (!form.ok()) return form.error();
  Result<TokenizerFiles> files = ReadTokenizerFiles(*other, *form);
  if (!files.ok()) return files.error();
  const Status added = AddModelConfigs(*model, *files);
  return added.ok() ? FromFiles(*files, *form) : added.error();
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromFiles(const TokenizerFiles& files,
                                                        TokenizerForm form) {
  const Result<TokenizerSettings> settings = ParseTokenizerSettings(files);
  if (!settings.ok()) return settings.error();
  Result<TokenizerParts> parts = ParseForm(files, form, *settings);
  if (!parts.ok()) return parts.error();
  const Status applied = ApplyTokenizerSettings(*settings, files, *parts);
  if (!applied.ok()) return applied.error();
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(*std::move(parts)));
  const Status indexed = tokenizer->IndexAddedTokens();
  if (!indexed.ok()) return indexed.error();
  return tokenizer;
}

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::move(parts)), special_(parts_.spellings.size(), false) {
  for (size_t id = 0; id < parts_.spellings.size(); ++id) {
    ids_.emplace(parts_.spellings[id], static_cast<int32_t>(id));
  }
}

Status Tokenizer::IndexAddedTokens() {
  std::vector<AddedToken> plain;
  std::vector<AddedToken> normalized;
  for (AddedToken token : parts_.added) {
    special_[static_cast<size_t>(token.id)] = token.special;
    if (!token.normalized) {
      plain.push_back(std::move(token));
      continue;
    }
    RegexSteps steps(token.content.size());
    Result<NormalizedText> content = Normalize(parts_.normalizers, token.content, steps);
    if (!content.ok()) return content.error();
    if (content->text.empty()) {
      return MakeError("{}: the normalizer leaves nothing of added token {}", parts_.source,
                       io::Quote(token.content));
    }
    token.content = std::move(content->text);
    normalized.push_back(std::move(token));
  }
  matcher_ = AddedTokenMatcher(std::move(plain));
  trusted_matcher_ = AddedTokenMatcher(parts_.added);
  normalized_matcher_ = AddedTokenMatcher(std::move(normalized));
  return {};
}

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view text,
                                               const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  if (options.add_bos) ids = start_ids();
  const Status encoded = EncodeText(text, true, options.parse_special, ids);
  if (!encoded.ok()) return encoded.error();
  return ids;
}

Result<std::vector<int32_t>> Tokenizer::EncodeParts(std::span<const TextPart> parts,
                                                    bool add_bos) const {
  std::vector<int32_t> ids;
  if (add_bos) ids = start_ids();
  std::string run;  // plain text since the last special token
  bool at_start = true;
  for (const TextPart& part : parts) {
    if (!part.trusted) {
      run += part.text;
      continue;
    }
    for (const TextSegment& segment : trusted_matcher_.Split(part.text, true)) {
      if (!segment.IsToken()) {
        run += segment.text;
        continue;
      }
      const Status encoded = EncodeText(run, at_start, false, ids);
      if (!encoded.ok()) return encoded.error();
      run.clear();
      ids.push_back(segment.id);
      at_start = false;
    }
  }
  const Status encoded = EncodeText(run, at_start, false, ids);
  if (!encoded.ok()) return encoded.error();
  return ids;
}

Status Tokenizer::EncodeText(std::string_view text, bool at_start, bool parse_special,
                             std::vector<int32_t>& ids) const {
  ATOM_CHECK(text.size() <= kMaxTextBytes, "a text of {} bytes", text.size());
  RegexSteps steps(text.size());
  for (const TextSegment& segment : matcher_.Split(text, parse_special)) {
    if (segment.IsToken()) {
      ids.push_back(segment.id);
      continue;
    }
    const bool first = at_start && segment.text.data() == text.data();
    const Status encoded = EncodeRun(segment.text, first, parse_special, steps, ids);
    if (!encoded.ok()) return encoded;
  }
  return {};
}

Status Tokenizer::EncodeRun(std::string_view run, bool at_start, bool parse_special,
                            RegexSteps& steps, std::vector<int32_t>& ids) const {
  NormalizedText normalized;
  std::string_view text = run;
  if (!parts_.normalizers.empty()) {
    Result<NormalizedText> result = Normalize(parts_.normalizers, run, steps);
    if (!result.ok()) return result.error();
    normalized = *std::move(result);
    text = normalized.text;
  }
  for (const TextSegment& segment : normalized_matcher_.Split(text, parse_special)) {
    if (segment.IsToken()) {
      ids.push_back(segment.id);
      continue;
    }
    const bool first = at_start && normalized.keeps_start && segment.text.data() == text.data();
    const Status encoded = parts_.encoder->Encode(segment.text, first, steps, ids);
    if (!encoded.ok()) return encoded;
  }
  return {};
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool keep_special) const {
  if (!ids.empty() && bos_id() && ids.front() == *bos_id()) ids = ids.subspan(1);
  std::string text;
  bool at_start = parts_.strips_space;
  for (const int32_t id : ids) {
    if (!HasId(id) || (!keep_special && IsSpecial(id))) continue;
    std::string_view bytes = parts_.bytes[static_cast<size_t>(id)];
    if (at_start && !IsSpecial(id) && bytes.starts_with(' ')) bytes.remove_prefix(1);
    at_start = false;
    text += bytes;
  }
  return text;
}

std::string Tokenizer::TokenBytes(int32_t id) const {
  return HasId(id) ? parts_.bytes[static_cast<size_t>(id)] : std::string();
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return HasId(id) && special_[static_cast<size_t>(id)];
}

std::optional<int32_t> Tokenizer::FindToken(std::string_view piece) const {
  const auto found = ids_.find(std::string(piece));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace atom::tokenizer
