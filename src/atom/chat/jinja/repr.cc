#include "atom/chat/jinja/repr.h"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utf8proc.h>
#include <vector>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/numbers.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {
namespace {

// Whether Python's repr writes it as it is.
bool IsPrintable(const tokenizer::Utf8Char& c) {
  if (c.code < 0x80) return c.code >= 0x20 && c.code != 0x7F;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c.code))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string ReprEscape(char32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto number = static_cast<uint32_t>(code);
  if (number <= 0xFF) return fmt::format("\\x{:02x}", number);
  return number <= 0xFFFF ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number);
}

std::string JsonEscape(char32_t code) {
  constexpr std::string_view kCodes = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetters = "\"\\bfnrt";
  const auto number = static_cast<uint32_t>(code);
  const size_t found = number < 0x80 ? kCodes.find(static_cast<char>(code)) : kCodes.npos;
  if (found != kCodes.npos) return fmt::format("\\{}", kLetters[found]);
  if (number <= 0xFFFF) return fmt::format("\\u{:04x}", number);
  const uint32_t rest = number - 0x10000;
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
}

// Appends `text`, with what `escape` gives (if not "") for a character in place of it.
template <class Escape>
void WriteEscaped(RenderState& run, const MarkedText& text, Escape escape, MarkedText& to) {
  size_t begin = 0;  // of what is written as it is
  for (size_t pos = 0; pos < text.size() && run.ok();) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(text.bytes(), pos);
    const std::string escaped = escape(c);
    if (!escaped.empty()) {
      run.Append(to, text, begin, pos - begin);
      run.Append(to, escaped, text.OriginAt(pos));
      begin = pos + c.length;
    }
    pos += c.length;
  }
  run.Append(to, text, begin);
}

void WriteReprOfText(RenderState& run, const MarkedText& text, MarkedText& to) {
  const std::string& bytes = text.bytes();
  const bool double_quotes = bytes.find('\'') != bytes.npos && bytes.find('"') == bytes.npos;
  const std::string_view quote = double_quotes ? "\"" : "'";
  run.Append(to, quote);
  WriteEscaped(
      run, text,
      [&](const tokenizer::Utf8Char& c) -> std::string {
        if (c.code == '\\' || c.code == static_cast<char32_t>(quote[0])) {
          return fmt::format("\\{}", static_cast<char>(c.code));
        }
        return IsPrintable(c) ? "" : ReprEscape(c.code);
      },
      to);
  run.Append(to, quote);
}

void WriteReprOfList(RenderState& run, const List& list, MarkedText& to) {
  if (list.kind != ListKind::kList && list.kind != ListKind::kTuple) {
    run.Fail("{} cannot be written; the filter 'list' makes a list of it", Name(list.kind));
  }
  const bool tuple = list.kind == ListKind::kTuple;
  run.Append(to, tuple ? "(" : "[");
  for (size_t i = 0; i < list.items.size() && run.Step(); ++i) {
    if (i > 0) run.Append(to, ", ");
    WriteRepr(run, list.items[i], to);
  }
  run.Append(to, !tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
}

class JsonWriter {
 public:
  JsonWriter(RenderState& run, const JsonStyle& style, MarkedText& to)
      : run_(run), style_(style), to_(to) {}

  void Write(const Value& value) {
    const RenderState::Nest nest(run_);
    if (!run_.Step()) return;
    if (const MarkedText* text = AsText(value)) return WriteString(*text);
    if (const List* list = AsList(value)) return WriteList(*list);
    const Dict* dict = AsDict(value);
    if (dict != nullptr && !dict->is_namespace) return WriteDict(*dict);
    run_.Append(to_, Scalar(value));
  }

 private:
  std::string Scalar(const Value& value) {
    if (Is<None>(value)) return "null";
    if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
    if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
    if (const auto* real = std::get_if<double>(&value)) {
      const std::string text = FormatDouble(*real);
      return text == "nan"    ? "NaN"
             : text == "inf"  ? "Infinity"
             : text == "-inf" ? "-Infinity"
                              : text;
    }
    run_.Fail("{} has no form in JSON", TypeName(value));
    return {};
  }

  void WriteString(const MarkedText& text) {
    run_.Append(to_, "\"");
    WriteEscaped(
        run_, text,
        [&](const tokenizer::Utf8Char& c) -> std::string {
          const bool plain = c.code >= 0x20 && c.code != '"' && c.code != '\\' &&
                             (c.code < 0x7F || !style_.ascii_only || c.code == 0x7F);
          return plain ? "" : JsonEscape(c.code);
        },
        to_);
    run_.Append(to_, "\"");
  }

  void NewLine() {
    if (style_.indent == nullptr) return;
    run_.Append(to_, "\n");
    for (int i = 0; i < level_; ++i) run_.Append(to_, *style_.indent);
  }

  template <class Each>
  void WriteAll(std::string_view brackets, size_t count, Each each) {
    run_.Append(to_, brackets.substr(0, 1));
    ++level_;
    for (size_t i = 0; i < count && run_.Step(); ++i) {
      if (i > 0) run_.Append(to_, style_.item_separator);
      NewLine();
      each(i);
    }
    --level_;
    if (count > 0) NewLine();
    run_.Append(to_, brackets.substr(1));
  }

  void WriteList(const List& list) {
    if (list.kind != ListKind::kList && list.kind != ListKind::kTuple) {
      run_.Fail("{} has no form in JSON", Name(list.kind));
    }
    WriteAll("[]", list.items.size(), [&](size_t i) { Write(list.items[i]); });
  }

  void WriteDict(const Dict& dict) {
    std::vector<const std::pair<Value, Value>*> entries;
    if (!run_.ReserveTimes(dict.entries.size(), sizeof entries[0])) return;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sorts_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return Less(run_, a->first, b->first);
      });
    }
    WriteAll("{}", entries.size(), [&](size_t i) {
      const MarkedText* key = AsText(entries[i]->first);
      if (key != nullptr) {
        WriteString(*key);
      } else {
        run_.Append(to_, fmt::format("\"{}\"", Scalar(entries[i]->first)));
      }
      run_.Append(to_, style_.key_separator);
      Write(entries[i]->second);
    });
  }

  RenderState& run_;
  const JsonStyle& style_;
  MarkedText& to_;
  int level_ = 0;
};

}  // namespace

void WriteRepr(RenderState& run, const Value& value, MarkedText& to) {
  const RenderState::Nest nest(run);
  if (!run.Step()) return;
  const Dict* dict = AsDict(value);
  if (const MarkedText* text = AsText(value)) {
    WriteReprOfText(run, *text, to);
  } else if (const List* list = AsList(value)) {
    WriteReprOfList(run, *list, to);
  } else if (dict != nullptr && !dict->is_namespace) {
    run.Append(to, "{");
    for (size_t i = 0; i < dict->entries.size() && run.Step(); ++i) {
      if (i > 0) run.Append(to, ", ");
      WriteRepr(run, dict->entries[i].first, to);
      run.Append(to, ": ");
      WriteRepr(run, dict->entries[i].second, to);
    }
    run.Append(to, "}");
  } else if (Is<Undefined>(value)) {
    run.Append(to, "Undefined");
  } else if (Is<None>(value)) {
    run.Append(to, "None");
  } else if (const auto* boolean = std::get_if<bool>(&value)) {
    run.Append(to, *boolean ? "True" : "False");
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    run.Append(to, std::to_string(*integer));
  } else if (const auto* real = std::get_if<double>(&value)) {
    run.Append(to, FormatDouble(*real));
  } else {
    run.Fail("{} cannot be written", TypeName(value));
  }
}

void WriteJson(RenderState& run, const Value& value, const JsonStyle& style, MarkedText& to) {
  JsonWriter(run, style, to).Write(value);
}

}  // namespace atom::chat::jinja
