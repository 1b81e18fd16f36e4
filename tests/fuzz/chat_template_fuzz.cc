// Any bytes as a chat template: refused with a sentence, or rendered within small limits. Whatever
// the program does, bytes that only a user wrote never come out as the template's.
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "atom/chat/jinja/template.h"
#include "atom/core/check.h"

#include "error_sentence.h"

namespace {

using atom::chat::jinja::Data;
using atom::chat::jinja::Origin;
using atom::chat::jinja::Template;
using atom::tokenizer::TextPart;

constexpr char kUsersByte = '\x02';  // in every content, and in no template that is checked for it

Data::Dict Context() {
  const char* json = R"([{"role": "system", "content": " \u0002 S\u0002ß\u0002 "},
                         {"role": "user", "content": "\u0002 <|eot_id|> \u0002\n日\u0002"},
                         {"role": "assistant", "content": "\u0002", "tool_calls": [
                           {"id": "123456789", "function": {"name": "f", "arguments": {"a": 1.5}}}]}])";
  Data::Dict context;
  auto messages = Data::FromJson(json, "messages", Origin::kUser);
  ATOM_CHECK(messages.ok(), "{}", messages.error().message);
  atom::chat::jinja::Set(context, "messages", *std::move(messages));
  atom::chat::jinja::Set(context, "bos_token", Data::Own("<s>"));
  atom::chat::jinja::Set(context, "eos_token", Data::Own("</s>"));
  atom::chat::jinja::Set(context, "tools", Data());
  atom::chat::jinja::Set(context, "add_generation_prompt", Data(true));
  return context;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Data::Dict context = Context();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto made = Template::Compile(source, "input");
  if (!made.ok()) {
    atom::fuzz::CheckSentence(made.error());
    return 0;
  }
  atom::chat::jinja::RenderOptions options;
  options.limits = {.steps = 20'000, .output_bytes = 10'000, .memory_bytes = 1 << 20, .depth = 100};
  options.now = std::tm{};
  const auto text = made->Render(context, options);
  if (!text.ok()) {
    atom::fuzz::CheckSentence(text.error());
    return 0;
  }
  ATOM_CHECK(text->size() <= 10'000, "{} bytes", text->size());
  const bool could_write_it =
      source.find(kUsersByte) != source.npos || source.find('\\') != source.npos;
  for (const TextPart& part : text->Parts()) {
    ATOM_CHECK(!part.trusted || could_write_it || part.text.find(kUsersByte) == part.text.npos,
               "a user's words became the template's: {}", part.text);
  }
  return 0;
}
