"""Lines to compare tokenizers on: many scripts, code, emoji, long digits, blanks; always the same.

Characters are of blocks that were full before any of the libraries' versions of Unicode.
"""

import random

SENTENCES = (
    "The quick brown fox jumps over the lazy dog, isn't it? I've seen WE'LL they'D.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich; Übergröße, naïve façade.",
    "Voix ambiguë d'un cœur qui au zéphyr préfère les jattes de kiwis — l'été, où ça ?",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, ¿añoraba a su cachorro?",
    "Pchnąć w tę łódź jeża lub ośm skrzyń fig. Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Съешь ещё этих мягких французских булок, да выпей же чаю. Їжак, ґанок, ўсё.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Άλφα βήτα γάμμα, ΑΣΤΗΡ.",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה. שָׁלוֹם עֲלֵיכֶם",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق. ٣٤٥ السَّلامُ",
    "यह एक परीक्षण वाक्य है जिसमें कई अक्षर हैं। १२३ क्षत्रिय ज्ञान",
    "আমি বাংলায় গান গাই, আমি বাংলার গান গাই। ৪৫৬",
    "இது தமிழில் ஒரு சோதனை வாக்கியம். ఇది తెలుగు వాక్యం. ಇದು ಕನ್ನಡ. ഇത് മലയാളം",
    "ประเทศไทยมีภาษาและวัฒนธรรมที่หลากหลาย ๑๒๓ ພາສາລາວ",
    "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。「你好」，他说：『再见』！",
    "いろはにほへと ちりぬるを。カタカナとひらがな、漢字も混ぜて書きます。コンピューター",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. 한글 漢字",
    "Bầu trời xanh thẳm, tiếng Việt có dấu đầy đủ. Ẩn ẩm ướt ường",
    "ქართული ენა. Հայերեն լեզու։ አማርኛ ቋንቋ ነው። မြန်မာဘာသာ ខ្មែរ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒎𝒂𝒕𝒉 ∑∫√∞≠≤≥ ½ ¾ Ⅷ ² ³ ⁴ ₅ ① ⑫ ㈱ ㎏ ﬁ ﬂ",
    "😀😃😄 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 ☃️ ✨🐎🚀 e\u0301 a\u0308\u0323 \u200b\u200d\ufeff",
    "def f(x: int) -> str:\n    return f\"{x!r:>10}\"  # comment\n\n\n\tif x == 0: pass",
    "for (int i = 0; i < n; ++i) { std::cout << a[i] << \"\\n\"; } // HTTPServer2Request camelCase",
    "SELECT * FROM \"t\" WHERE id='x''y' AND n>=1e-10; -- 0xDEADBEEF 1_000_000",
    "{\"key\": [1, 2.5, -3e+7, null, true], \"ключ\": \"значение\", \"path\": \"C:\\\\dir\\\\x\"}",
    "<html lang=\"en\"><body class='a b'>&nbsp;&amp;</body></html> https://example.com/a?b=c&d=%20#e",
    "12345678901234567890 3.14159265358979 1,234,567.89 2024-01-31T23:59:59Z +49 (170) 123-4567",
    "--==>> ***bold*** ___ ~~~ ``` ### |a|b| $x^2$ \\alpha @user #tag ... !!! ??? ;;; ::: <<< >>>",
    "'tis 's 't 're 've 'm 'll 'd 'S 'T 'RE 'VE 'M 'LL 'D don't DON'T Don’t it's IT'S",
)
BLANKS = (" ", "  ", "   ", "    ", "\t", "\t\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2003",
          "\x0b", "\x0c", "\x85", "\u2028")
RANGES = ((0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x373), (0x391, 0x3A1), (0x400, 0x4FF), (0x5D0, 0x5EA),
          (0x620, 0x669), (0x904, 0x939), (0xE01, 0xE30), (0x2010, 0x2027), (0x2150, 0x2188), (0x1F600, 0x1F64F),
          (0x3001, 0x3029), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x300, 0x34E), (0x20000, 0x2A6D6))


def pieces(rng):
    parts = []
    for _ in range(rng.randint(1, 4)):
        sentence = rng.choice(SENTENCES)
        begin = rng.randrange(len(sentence))
        parts.append(sentence[begin:begin + rng.randint(1, 25)])
    return rng.choice(("", " ", "\n", "  ")).join(parts)


def characters(rng):
    text = ""
    for _ in range(rng.randint(1, 12)):
        low, high = rng.choice(RANGES)
        text += "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))
        text += rng.choice((" ", "", "  ", "\n"))
    return text


def words(rng):
    text = rng.choice(("",) + BLANKS)
    for _ in range(rng.randint(1, 6)):
        text += rng.choice(rng.choice(SENTENCES).split()) + rng.choice(BLANKS) * rng.randint(1, 3)
    return text


def numbers(rng):
    return " ".join(str(rng.randrange(10 ** rng.randint(1, 25))) + rng.choice(("", "%", ".5", ",", "kg", "°"))
                    for _ in range(rng.randint(1, 4)))


def cases(rng):
    text = ""
    for _ in range(rng.randint(1, 10)):
        text += "".join(rng.choice("abcdeABCDE'éßΩж") for _ in range(rng.randint(1, 6)))
        text += rng.choice((" ", "", "'s", "'LL", ".", "\n", "--", "_", "/", "()", "1"))
    return text


def lines(count, seed=7):
    """`count` texts, at least 250; the fixed ones come first."""
    rng = random.Random(seed)
    found = list(SENTENCES)
    found += ["", "a", " a", "  a", "a ", "a  ", " \n a", "\n\n\n"]
    found += [blank * n for blank in BLANKS for n in (1, 2, 3, 5, 17)]
    found += ["1" * n for n in range(1, 33)] + [" " * n + "x" for n in range(1, 33)] + ["=" * n for n in range(1, 20)]
    while len(found) < count:
        found.append(rng.choice((pieces, characters, words, numbers, cases))(rng))
    return found[:count]
