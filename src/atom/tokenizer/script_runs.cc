#include "atom/tokenizer/script_runs.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <oniguruma.h>
#include <string_view>

#include "atom/core/check.h"
#include "atom/tokenizer/oniguruma.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

// Unicode 14's, but for Common, Inherited and Unknown.
constexpr auto kScripts = std::to_array<std::string_view>({"Common",
                                                           "Inherited",
                                                           "Adlam",
                                                           "Ahom",
                                                           "Anatolian_Hieroglyphs",
                                                           "Arabic",
                                                           "Armenian",
                                                           "Avestan",
                                                           "Balinese",
                                                           "Bamum",
                                                           "Bassa_Vah",
                                                           "Batak",
                                                           "Bengali",
                                                           "Bhaiksuki",
                                                           "Bopomofo",
                                                           "Brahmi",
                                                           "Braille",
                                                           "Buginese",
                                                           "Buhid",
                                                           "Canadian_Aboriginal",
                                                           "Carian",
                                                           "Caucasian_Albanian",
                                                           "Chakma",
                                                           "Cham",
                                                           "Cherokee",
                                                           "Chorasmian",
                                                           "Coptic",
                                                           "Cuneiform",
                                                           "Cypriot",
                                                           "Cypro_Minoan",
                                                           "Cyrillic",
                                                           "Deseret",
                                                           "Devanagari",
                                                           "Dives_Akuru",
                                                           "Dogra",
                                                           "Duployan",
                                                           "Egyptian_Hieroglyphs",
                                                           "Elbasan",
                                                           "Elymaic",
                                                           "Ethiopic",
                                                           "Georgian",
                                                           "Glagolitic",
                                                           "Gothic",
                                                           "Grantha",
                                                           "Greek",
                                                           "Gujarati",
                                                           "Gunjala_Gondi",
                                                           "Gurmukhi",
                                                           "Han",
                                                           "Hangul",
                                                           "Hanifi_Rohingya",
                                                           "Hanunoo",
                                                           "Hatran",
                                                           "Hebrew",
                                                           "Hiragana",
                                                           "Imperial_Aramaic",
                                                           "Inscriptional_Pahlavi",
                                                           "Inscriptional_Parthian",
                                                           "Javanese",
                                                           "Kaithi",
                                                           "Kannada",
                                                           "Katakana",
                                                           "Kayah_Li",
                                                           "Kharoshthi",
                                                           "Khitan_Small_Script",
                                                           "Khmer",
                                                           "Khojki",
                                                           "Khudawadi",
                                                           "Lao",
                                                           "Latin",
                                                           "Lepcha",
                                                           "Limbu",
                                                           "Linear_A",
                                                           "Linear_B",
                                                           "Lisu",
                                                           "Lycian",
                                                           "Lydian",
                                                           "Mahajani",
                                                           "Makasar",
                                                           "Malayalam",
                                                           "Mandaic",
                                                           "Manichaean",
                                                           "Marchen",
                                                           "Masaram_Gondi",
                                                           "Medefaidrin",
                                                           "Meetei_Mayek",
                                                           "Mende_Kikakui",
                                                           "Meroitic_Cursive",
                                                           "Meroitic_Hieroglyphs",
                                                           "Miao",
                                                           "Modi",
                                                           "Mongolian",
                                                           "Mro",
                                                           "Multani",
                                                           "Myanmar",
                                                           "Nabataean",
                                                           "Nandinagari",
                                                           "New_Tai_Lue",
                                                           "Newa",
                                                           "Nko",
                                                           "Nushu",
                                                           "Nyiakeng_Puachue_Hmong",
                                                           "Ogham",
                                                           "Ol_Chiki",
                                                           "Old_Hungarian",
                                                           "Old_Italic",
                                                           "Old_North_Arabian",
                                                           "Old_Permic",
                                                           "Old_Persian",
                                                           "Old_Sogdian",
                                                           "Old_South_Arabian",
                                                           "Old_Turkic",
                                                           "Old_Uyghur",
                                                           "Oriya",
                                                           "Osage",
                                                           "Osmanya",
                                                           "Pahawh_Hmong",
                                                           "Palmyrene",
                                                           "Pau_Cin_Hau",
                                                           "Phags_Pa",
                                                           "Phoenician",
                                                           "Psalter_Pahlavi",
                                                           "Rejang",
                                                           "Runic",
                                                           "Samaritan",
                                                           "Saurashtra",
                                                           "Sharada",
                                                           "Shavian",
                                                           "Siddham",
                                                           "SignWriting",
                                                           "Sinhala",
                                                           "Sogdian",
                                                           "Sora_Sompeng",
                                                           "Soyombo",
                                                           "Sundanese",
                                                           "Syloti_Nagri",
                                                           "Syriac",
                                                           "Tagalog",
                                                           "Tagbanwa",
                                                           "Tai_Le",
                                                           "Tai_Tham",
                                                           "Tai_Viet",
                                                           "Takri",
                                                           "Tamil",
                                                           "Tangsa",
                                                           "Tangut",
                                                           "Telugu",
                                                           "Thaana",
                                                           "Thai",
                                                           "Tibetan",
                                                           "Tifinagh",
                                                           "Tirhuta",
                                                           "Toto",
                                                           "Ugaritic",
                                                           "Vai",
                                                           "Vithkuqi",
                                                           "Wancho",
                                                           "Warang_Citi",
                                                           "Yezidi",
                                                           "Yi",
                                                           "Zanabazar_Square"});
constexpr int kAnyScript = -1;
constexpr int kCommon = 0;

struct Range {
  OnigCodePoint first;
  OnigCodePoint last;
  int script;  // index in kScripts
};

int IndexOf(std::string_view script) {
  return static_cast<int>(std::find(kScripts.begin(), kScripts.end(), script) - kScripts.begin());
}

// All characters that have a script, in order.
std::vector<Range> ReadRanges() {
  InitializeOniguruma();
  std::vector<Range> ranges;
  OnigEncodingType* const encoding = ONIG_ENCODING_UTF8;
  for (size_t i = 0; i < kScripts.size(); ++i) {
    std::string name(kScripts[i]);
    auto* const begin = reinterpret_cast<OnigUChar*>(name.data());
    const int ctype = encoding->property_name_to_ctype(encoding, begin, begin + name.size());
    ATOM_CHECK(ctype > 0, "Oniguruma has no script {}", name);
    OnigCodePoint single_byte_end = 0;
    const OnigCodePoint* list = nullptr;
    const int found =
        encoding->get_ctype_code_range(static_cast<OnigCtype>(ctype), &single_byte_end, &list);
    ATOM_CHECK(found == 0 && list != nullptr, "Oniguruma has no ranges of script {}", name);
    for (OnigCodePoint r = 0; r < list[0]; ++r) {
      ranges.push_back({list[1 + 2 * r], list[2 + 2 * r], static_cast<int>(i)});
    }
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  return ranges;
}

// As Hugging Face's step sees it, which follows SentencePiece: Japanese is one script.
int ScriptOf(const Utf8Char& character) {
  static const std::vector<Range> ranges = ReadRanges();
  static const int han = IndexOf("Han");
  static const int hiragana = IndexOf("Hiragana");
  static const int katakana = IndexOf("Katakana");
  static const int devanagari = IndexOf("Devanagari");
  constexpr char32_t kLongVowelMark = 0x30FC;
  if (character.status != Utf8Status::kValid || character.code == ' ') return kAnyScript;
  if (character.code == kLongVowelMark) return han;
  // Whose script has changed since the version of Unicode that Hugging Face has.
  if (character.code == 0x589 || character.code == 0x61C) return kCommon;
  if (character.code == 0x953 || character.code == 0x954) return devanagari;
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), character.code,
                       [](char32_t code, const Range& range) { return code < range.first; });
  if (after == ranges.begin() || character.code > std::prev(after)->last) return kAnyScript;
  const int script = std::prev(after)->script;
  return script == hiragana || script == katakana ? han : script;
}

}  // namespace

void CutAtScripts(const Word& word, WordList& list) {
  const std::string_view text = word.text;
  size_t begin = std::string_view::npos;
  int last = kAnyScript;
  const auto add = [&](size_t end) {
    if (begin == std::string_view::npos) return;
    list.words.push_back({text.substr(begin, end - begin), word.first && begin == 0});
  };
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char character = NextChar(text, pos);
    const int script = ScriptOf(character);
    if (script != kAnyScript && script != last) {
      add(pos);
      begin = pos;
      last = script;
    }
    pos += character.length;
  }
  add(text.size());
}

}  // namespace atom::tokenizer
