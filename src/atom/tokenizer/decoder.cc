#include "atom/tokenizer/decoder.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/byte_alphabet.h"
#include "atom/tokenizer/pre_tokenizer_json.h"
#include "atom/tokenizer/step_list.h"
#include "atom/tokenizer/token_list.h"

namespace atom::tokenizer {
namespace {

using io::Json;

// What has been read so far.
struct Reading {
  std::vector<Decoder::Step> steps;
  bool strips_space = false;
  bool fused = false;  // what comes works on the whole text
};

Status RefuseAfterFuse(const Reading& reading, const std::string& source) {
  if (!reading.fused) return {};
  return MakeError(
      "{}: comes after Fuse, expected before it, where it works on each token by itself", source);
}

Status ParseFromAlphabet(const Json&, const std::string& source, Reading& reading) {
  reading.steps.emplace_back(Decoder::FromAlphabet{});
  return RefuseAfterFuse(reading, source);
}

Status ParseByteFallback(const Json&, const std::string& source, Reading& reading) {
  reading.steps.emplace_back(Decoder::FromByteToken{});
  return RefuseAfterFuse(reading, source);
}

Status ParseFuse(const Json&, const std::string&, Reading& reading) {
  reading.fused = true;
  return {};
}

Status ParseReplace(const Json& step, const std::string& source, Reading& reading) {
  Result<TextPattern> pattern = TextPattern::Parse(step, source);
  if (!pattern.ok()) return pattern.error();
  Result<std::string> content = io::RequireString(step, "content", source);
  if (!content.ok()) return content.error();
  reading.steps.emplace_back(Decoder::Replace{*std::move(pattern), *std::move(content)});
  return RefuseAfterFuse(reading, source);
}

Status ParseMetaspaceDecoder(const Json& step, const std::string& source, Reading& reading) {
  const Result<std::string> replacement = io::RequireString(step, "replacement", source);
  if (!replacement.ok()) return replacement.error();
  if (replacement->empty()) return MakeError("{}: field 'replacement' is empty", source);
  const Result<MetaspacePrefix> prefix = ParseMetaspacePrefix(step, source);
  if (!prefix.ok()) return prefix.error();
  reading.steps.emplace_back(Decoder::Replace{TextPattern(*replacement), " "});
  if (*prefix != MetaspacePrefix::kNever) reading.strips_space = true;
  return RefuseAfterFuse(reading, source);
}

Status ParseStrip(const Json& step, const std::string& source, Reading& reading) {
  const Result<std::string> character = io::RequireString(step, "content", source);
  if (!character.ok()) return character.error();
  if (character->empty()) return MakeError("{}: field 'content' is empty", source);
  const Result<int64_t> start = io::RequireInt(step, "start", source);
  if (!start.ok()) return start.error();
  const Result<int64_t> stop = io::RequireInt(step, "stop", source);
  if (!stop.ok()) return stop.error();
  if (!reading.fused) {
    reading.steps.emplace_back(Decoder::Strip{*character, *start, *stop});
    return {};
  }
  if (*start == 0 && *stop == 0) return {};
  if (*character == " " && *start == 1 && *stop == 0 && !reading.strips_space) {
    reading.strips_space = true;
    return {};
  }
  return MakeError(
      "{}: takes up to {} of {} from the start and {} from the end of a text, expected "
      "one space from the start, the only form known",
      source, *start, io::Quote(*character), *stop);
}

struct Row {
  std::string_view type;
  Status (*parse)(const Json& step, const std::string& source, Reading& reading);
};
constexpr std::array<Row, 6> kRows = {{
    {"ByteLevel", ParseFromAlphabet},
    {"ByteFallback", ParseByteFallback},
    {"Replace", ParseReplace},
    {"Metaspace", ParseMetaspaceDecoder},
    {"Strip", ParseStrip},
    {"Fuse", ParseFuse},
}};

// ---- one step on one token

std::string StripCharacters(const Decoder::Strip& strip, std::string_view token) {
  for (int64_t i = 0; i < strip.start && token.starts_with(strip.character); ++i) {
    token.remove_prefix(strip.character.size());
  }
  for (int64_t i = 0; i < strip.stop && token.ends_with(strip.character); ++i) {
    token.remove_suffix(strip.character.size());
  }
  return std::string(token);
}

Result<std::string> ReplaceMatches(const Decoder::Replace& replace, const std::string& token,
                                   RegexSteps& budget) {
  std::vector<RegexMatch> matches;
  const Status found = replace.pattern.FindAll(token, budget, matches);
  if (!found.ok()) return found.error();
  std::string replaced;
  size_t pos = 0;
  for (const RegexMatch& match : matches) {
    replaced.append(token, pos, match.begin - pos).append(replace.content);
    pos = match.end;
    if (replaced.size() > kMaxTokenBytes) {
      return MakeError("the decoder makes more than {} bytes of token {}", kMaxTokenBytes,
                       io::Quote(token));
    }
  }
  return replaced.append(token, pos);
}

}  // namespace

Result<Decoder> Decoder::Parse(const Json& step, const std::string& source) {
  const auto list = FlattenSteps(step, "decoders", source);
  if (!list.ok()) return list.error();
  Reading reading;
  for (const TypedStep& one : *list) {
    const Result<const Row*> row = FindStep(kRows, one.type, source);
    if (!row.ok()) return row.error();
    const Status parsed = (*row)->parse(*one.json, fmt::format("{} {}", source, one.type), reading);
    if (!parsed.ok()) return parsed.error();
  }
  return Decoder(std::move(reading.steps), reading.strips_space);
}

Decoder Decoder::Undoing(const std::vector<Normalizer>& normalizers,
                         const std::vector<PreTokenizer>& pre_tokenizers, bool byte_fallback) {
  const auto writes = [](const std::string& text) { return text.find(kMetaspace) != text.npos; };
  std::string space;  // how it is written
  bool strips_space = false;
  for (const Normalizer& normalizer : normalizers) {
    if (const auto* prepend = std::get_if<Normalizer::Prepend>(&normalizer.step())) {
      if (writes(prepend->text)) strips_space = true;
    }
    if (const auto* replace = std::get_if<Normalizer::Replace>(&normalizer.step())) {
      if (writes(replace->content)) space = kMetaspace;
    }
  }
  std::vector<Step> steps;
  for (const PreTokenizer& step : pre_tokenizers) {
    if (std::holds_alternative<ByteLevel>(step)) steps.emplace_back(FromAlphabet{});
    if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
      space = metaspace->replacement;
      strips_space = strips_space || metaspace->prefix != MetaspacePrefix::kNever;
    }
  }
  if (byte_fallback) steps.emplace_back(FromByteToken{});
  if (!space.empty()) steps.emplace_back(Replace{TextPattern(space), " "});
  return Decoder(std::move(steps), strips_space);
}

Result<std::string> Decoder::BytesOf(std::string_view spelling, RegexSteps& budget) const {
  std::string bytes(spelling);
  for (const Step& step : steps_) {
    if (std::holds_alternative<FromAlphabet>(step)) {
      if (std::optional<std::string> raw = FromByteAlphabet(bytes)) bytes = *std::move(raw);
    } else if (std::holds_alternative<FromByteToken>(step)) {
      // Bytes are no text any more: what follows has no say about them.
      if (const std::optional<uint8_t> byte = ByteOfToken(bytes)) {
        return std::string(1, static_cast<char>(*byte));
      }
    } else if (const auto* replace = std::get_if<Replace>(&step)) {
      Result<std::string> replaced = ReplaceMatches(*replace, bytes, budget);
      if (!replaced.ok()) return replaced;
      bytes = *std::move(replaced);
    } else {
      bytes = StripCharacters(std::get<Strip>(step), bytes);
    }
  }
  return bytes;
}

}  // namespace atom::tokenizer
