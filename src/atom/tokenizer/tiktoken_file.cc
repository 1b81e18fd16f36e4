#include "atom/tokenizer/tiktoken_file.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

#include "atom/io/quote.h"
#include "atom/tokenizer/base64.h"
#include "atom/tokenizer/bpe_assembly.h"
#include "atom/tokenizer/rank_merges.h"

namespace atom::tokenizer {
namespace {

constexpr int kLlama3Specials = 256;
constexpr std::string_view kLlama3Bos = "<|begin_of_text|>";
constexpr std::string_view kLlama3EndOfText = "<|end_of_text|>";
constexpr std::string_view kLlama3EndOfTurn = "<|eot_id|>";

struct Rank {
  std::string token;
  int64_t id;
};

std::optional<Rank> ParseRank(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::optional<std::string> token = DecodeBase64(line.substr(0, space));
  const std::string_view digits = line.substr(space + 1);
  int64_t id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  const bool is_number = error == std::errc() && end == digits.data() + digits.size();
  if (!token || token->empty() || !is_number) return std::nullopt;
  return Rank{*std::move(token), id};
}

std::string_view TakeLine(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Status ReadRanks(std::string_view bytes, const std::string& source, TokenList& tokens) {
  for (int64_t line_number = 1; !bytes.empty(); ++line_number) {
    const std::string_view line = TakeLine(bytes);
    if (line.empty()) continue;
    const std::optional<Rank> rank = ParseRank(line);
    if (!rank) {
      return MakeError("{}: line {} is {}, expected a token in base64, a space and its rank",
                       source, line_number, io::Quote(line));
    }
    const Status added = tokens.Add(rank->id, rank->token);
    if (!added.ok()) return added.error();
  }
  return {};
}

// The order in which Meta's reference code numbers them: the named ones lie between reserved ones.
std::string Llama3Special(int index) {
  switch (index) {
    case 0:
      return std::string(kLlama3Bos);
    case 1:
      return std::string(kLlama3EndOfText);
    case 6:
      return "<|start_header_id|>";
    case 7:
      return "<|end_header_id|>";
    case 9:
      return std::string(kLlama3EndOfTurn);
    default:
      return fmt::format("<|reserved_special_token_{}|>",
                         index < 6 ? index - 2 : (index == 8 ? 4 : index - 5));
  }
}

void AppendLlama3Specials(BpeIngredients& ingredients) {
  for (int i = 0; i < kLlama3Specials; ++i) {
    AddedToken token;
    token.id = static_cast<int32_t>(ingredients.spellings.size());
    token.content = Llama3Special(i);
    ingredients.spellings.push_back(token.content);
    ingredients.added.push_back(std::move(token));
  }
}

}  // namespace

bool LooksLikeTiktoken(std::string_view bytes) { return ParseRank(TakeLine(bytes)).has_value(); }

Result<TokenizerParts> ParseTiktoken(std::string_view bytes, bool llama3_specials,
                                     const std::string& source) {
  TokenList tokens(source);
  const Status read = ReadRanks(bytes, source, tokens);
  if (!read.ok()) return read.error();
  Result<std::vector<std::string>> ranks = tokens.Finish();
  if (!ranks.ok()) return ranks.error();

  BpeIngredients ingredients;
  ingredients.source = source;
  ingredients.merges = MergesOfRanks(*ranks, 0);
  ingredients.spellings = *std::move(ranks);
  ingredients.ignore_merges = true;
  const auto first_special = static_cast<int32_t>(ingredients.spellings.size());
  if (llama3_specials) AppendLlama3Specials(ingredients);
  Result<TokenizerParts> parts =
      AssembleByteLevel(std::move(ingredients), ByteSpelling::kRaw, {SplitPattern::kLlama3});
  if (!parts.ok()) return parts;
  parts->kind = "tiktoken";
  parts->adds_bos = true;
  if (llama3_specials) {
    parts->bos_id = first_special;
    parts->eos_ids = {first_special + 1, first_special + 9};
  }
  return parts;
}

}  // namespace atom::tokenizer
