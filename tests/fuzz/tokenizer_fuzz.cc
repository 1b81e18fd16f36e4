// Fuzzes every reader of tokenizer files, and the tokenizer that comes out of what they accept.
// Input: one byte that chooses the form, then the form's files with a zero byte between them; the
// files' last bytes also serve as a text to encode. A refused file is fine; a crash, a hang or an
// id out of range is not.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "atom/chat/chat_template.h"
#include "atom/core/check.h"
#include "atom/tokenizer/stream_decoder.h"
#include "atom/tokenizer/tokenizer.h"

namespace {

using atom::tokenizer::Tokenizer;
using atom::tokenizer::TokenizerFiles;
using atom::tokenizer::TokenizerForm;

// Everything up to the next zero byte.
std::string TakeFile(std::string_view& rest) {
  const size_t end = std::min(rest.find('\0'), rest.size());
  std::string file(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return file;
}

TokenizerForm SplitFiles(uint8_t choice, std::string_view rest, TokenizerFiles& files) {
  files.directory = "fuzz";
  switch (choice % 4) {
    case 0:
      files.tokenizer_json = TakeFile(rest);
      return TokenizerForm::kTokenizerJson;
    case 1:
      files.tokenizer_model = std::string(rest);  // has zero bytes of its own
      return TokenizerForm::kTokenizerModel;
    case 2:
      files.vocab_json = TakeFile(rest);
      files.merges_txt = TakeFile(rest);
      return TokenizerForm::kVocabJson;
    default:
      files.tokenizer_json = TakeFile(rest);
      files.tokenizer_config_json = TakeFile(rest);
      files.generation_config_json = TakeFile(rest);
      files.added_tokens_json = TakeFile(rest);
      return TokenizerForm::kTokenizerJson;
  }
}

void EncodeAndDecode(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto ids = tokenizer.Encode(text, {.parse_special = parse_special});
  if (!ids.ok()) return;
  atom::tokenizer::StreamDecoder stream(tokenizer, {.at_start = true});
  for (const int32_t id : *ids) {
    ATOM_CHECK(id >= 0 && id < tokenizer.vocab_size(), "id {}", id);
    stream.Push(id);
  }
  stream.Finish();
  tokenizer.Decode(*ids, parse_special);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  TokenizerFiles files;
  const TokenizerForm form = SplitFiles(data[0], rest, files);
  const auto tokenizer = Tokenizer::FromFiles(files, form);
  if (!tokenizer.ok()) {
    ATOM_CHECK(!tokenizer.error().message.empty() &&
                   tokenizer.error().message.find('\n') == std::string::npos,
               "'{}' is not one sentence", tokenizer.error().message);
    return 0;
  }
  const std::string_view tail = rest.substr(rest.size() - std::min<size_t>(rest.size(), 48));
  for (const std::string_view text :
       {std::string_view("Hello  <s>w\xC3\xB6rld\n\xFF 123's \xF0\x9F\xA6\x99"), tail}) {
    EncodeAndDecode(**tokenizer, text, false);
    EncodeAndDecode(**tokenizer, text, true);
  }
  const std::array<atom::chat::ChatMessage, 1> chat = {{{"user", std::string(tail)}}};
  const auto chatml = atom::chat::ChatTemplate::FromName("chatml");
  if (chatml.ok()) static_cast<void>(chatml->Render(**tokenizer, chat).ok());
  return 0;
}
