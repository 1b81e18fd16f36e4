#!/usr/bin/env python3
"""Makes tests/golden/chat: what Jinja2 writes for chat templates and for small pieces of templates.

    python3 -m venv DIR && DIR/bin/pip install jinja2 && DIR/bin/python tools/make_chat_golden.py

The environment is that of Hugging Face's apply_chat_template: immutable sandbox, trim_blocks,
lstrip_blocks, loop controls, the generation tag, tojson without HTML escapes, raise_exception,
strftime_now (here with a clock that stands still, as the tests give it).
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/chat"
NOW = datetime.datetime(2024, 7, 26, 13, 5, 9)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather <now> & \"here\", in °C",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "A city"},
        "days": {"type": "integer", "minimum": 1, "default": None, "fine": 0.5, "real": True}}}}}
OTHER_TOOL = {"type": "function", "function": {"name": "stop", "parameters": {}, "return": "x"}}
CALL = {"id": "abcdefgh1", "type": "function", "function": {
    "name": "get_weather", "arguments": {"city": "Zürich \"HB\"", "days": 2}}}


def m(role, content, **more):
    return {"role": role, "content": content, **more}


CONVERSATIONS = {
    "one turn": {"messages": [m("user", "Hi there")]},
    "blanks": {"messages": [m("user", "  Hi\n\n"), m("assistant", " Hello \n"), m("user", "\tx ")]},
    "system": {"messages": [m("system", " Be brief. "), m("user", "Hi"), m("assistant", "Hello"),
                            m("user", "Bye <|eot_id|> {{ x }} 日本 🦙")]},
    "no prompt": {"messages": [m("user", "Hi"), m("assistant", "Hello")],
                  "add_generation_prompt": False},
    "wrong order": {"messages": [m("assistant", "Hi"), m("user", "Hello")]},
    "unknown role": {"messages": [m("critic", "Hi")]},
    "tools": {"messages": [m("system", "Be brief."), m("user", "Weather?")],
              "tools": [TOOL, OTHER_TOOL]},
    "tool call": {"messages": [m("user", "Weather?"), m("assistant", "", tool_calls=[CALL]),
                               m("tool", "23 °C", tool_call_id="abcdefgh1"),
                               m("tool", "rain", tool_call_id="abcdefgh1"),
                               m("assistant", "Warm."), m("user", "Thanks")], "tools": [TOOL]},
    "two calls": {"messages": [m("user", "Weather?"), m("assistant", "Look:", tool_calls=[CALL, CALL])]},
    "bad call": {"messages": [m("user", "x"), m("assistant", "", tool_calls=[{**CALL, "id": "1"}])]},
    "builtin tools": {"messages": [m("user", "x"), m("assistant", "", tool_calls=[
        {"function": {"name": "search", "arguments": {"query": "a", "lang": "b"}}}]),
        m("ipython", {"result": [1, 2]})], "builtin_tools": ["search", "code_interpreter"],
        "tools_in_user_message": False, "date_string": "1 Jan 2025", "tools": [TOOL]},
    "no messages": {"messages": []},
}

CONTEXT = {
    "s": "Hello, World", "blank": "  x y\n", "empty": "", "u": "naïve Ünïcödé 日本🦙", "n": 7, "f": 2.5,
    "t": True, "none": None, "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "d": {"b": 1, "a": [1, "x"]},
    "quote": "it's \"so\" \\ \n\t\x01\u00ad",
    "m": [m("system", "S"), m("user", "U1"), m("assistant", "A1", tool_calls=[]), m("user", "U2")],
    "nested": {"a": {"b": [10, {"c": "deep"}]}, "items": "shadowed", "get": 1},
    "html": "<a href='x'>&\"</a>", "lines": "one\n  two\n\nthree",
}

EXPRESSIONS = r"""
1 + 2 * 3 - 4 // 3
2 ** 3 ** 2
-2 ** 2
7 // 2, -7 // 2, 7 % -3, -7 % 3, 7.5 // 2, -7.5 % 2
1 / 2, 4 / 2, 1e16, 1e-5, 0.1 + 0.2, 123456789012345678.0, 1.0, 1_000, 100000000000000000000000.0
10 / 0
true + 1, true == 1, 1 == 1.0, none == false
1 < 2 < 3, 1 < 2 > 3, 'a' < 'b', [1, 2] < [1, 3]
1 < 'a'
'a' + 1
'a' ~ 1 ~ none ~ 2.0 ~ true ~ missing
'a' * 3, 2 * 'ab', 'x' * -1, [1] * 2
[1] + [2], (1, 2) + (3,)
[1] + (2,)
not true or true and false
not 1 == 2
1 if false
1 if true else 2, 1 if none else 2 if 0 else 3
'b' in d, 'z' not in d, 3 in l, 'ell' in s, '' in s, 5 in missing
1 in 'a'
1 in 5
s[0], s[-1], s[1:4], s[:-3], s[::-1], s[::2], s[-3:], s[10:2], s[5:1:-1], s[100:]
u[1], u[2:7], u[::-1], u|length
l[0], l[-1], l[5], l[1:], l[::-1], l[-2:10]
0x1F, 0XfF, 0o17, 0b101, 0x_ff, 0b1_0, 0_0, 1e400, -1e400, 1e-400, 1.5_0, 1e1_0, 0x7FFFFFFFFFFFFFFF
l[1, 2] is defined, {(1, 2): 'p'}[1, 2], l[] is defined, s[0, 1] is defined, l[0x1], l.0x1, l[:], l[::], l[1::1]
n if true else 99999999999999999999, n if true else 0xFFFFFFFFFFFFFFFF
l[::0]
d.b, d['a'], d.missing, d['missing'], d.a[1], d.a.0, nested.a.b[1].c
d.missing.more
missing.more
missing[0]
missing + 1
missing
missing == other, missing is defined, missing is undefined, not missing, missing|length, missing|list
missing()
-missing
nested['items'], nested['get'], nested.items is string
d.items is defined, d.items is callable, d.update is defined
none.x, none['x'], n.x, s.x, s['x'], l.x, l['x']
s.upper(), s.lower(), s.title(), s.capitalize(), 'hello wORLD-x y2k'.title()
blank.strip() ~ '|' ~ blank.lstrip() ~ '|' ~ blank.rstrip() ~ '|' ~ 'xxabxx'.strip('x') ~ 'abcabc'.rstrip('bc')
s.split(), s.split(','), s.split('l', 1), ' a  b c '.split(), ' a  b c '.split(none, 1), ''.split(), ''.split(',')
'a,b,c'.rsplit(',', 1), 'a,b'.rsplit(','), 'aXXXb'.rsplit('XX', 1), 'abc'.rsplit(',', 2)
s.split('')
s.startswith('Hell'), s.endswith(('d', 'x')), s.startswith('x'), s.startswith(['H'])
s.startswith(('x', 'H'))
s.replace('l', 'L'), s.replace('l', 'L', 1), 'abc'.replace('', '-'), ''.replace('', 'x'), 'aaa'.replace('aa', 'b')
s.replace('l')
s.find('o'), s.find('z'), u.find('日'), s.count('l'), s.count(''), s.index('W')
s.index('z')
', '.join(words), ''.join([]), '-'.join('abc')
', '.join(l)
'abc'.removeprefix('ab'), 'abc'.removesuffix('bc'), 'abc'.removeprefix('x')
'AB'.isupper(), 'aB1'.islower(), '12'.isdigit(), ' \t'.isspace(), ''.isspace()
lines.splitlines(), 'a\r\nb\rc\n'.splitlines()
d.items()|list, d.keys()|list, d.values()|list, d.get('b'), d.get('z'), d.get('z', 5), d.get('z', default=5)
d.items()|length, d.keys()[0] is defined
l.append(4)
d.update({})
d.pop('b')
l.index(1), l.count(3)
l.index(9)
s.__class__, l.__len__, d.__init__ is defined
s.__class__.__mro__
s|upper, s|lower, s|title, s|capitalize, 'it\'s a-b (c) [d] <e> {f}'|title
blank|trim, 'xxax'|trim('x'), none|trim, 5|trim
s|length, l|count, d|length, u|length
5|length
l|join, l|join(', '), m|join('-', attribute='role'), words|join(d='|')
l|first, l|last, s|first, u|last, []|first is defined, d|first, d|last
missing|default('x'), none|default('x'), ''|default('x', true), none|d('y', boolean=true), missing|default
'12'|int, ' 12 '|int, '1.9'|int, 'x'|int, 'x'|int(5), 3.9|int, -3.9|int, none|int, true|int, 'ff'|int(base=16), '0x1f'|int(0, 16), '1_0'|int, '+3'|int, '-3'|int
'1.5'|float, 'x'|float, 3|float, 'x'|float(1.0), '1e3'|float, 'inf'|float, ' 2 '|float
2.5|round, 3.5|round, 2.567|round(2), 2.567|round(1, 'floor'), 2.1|round(0, 'ceil'), 5|round, 1.005|round(2)
-3|abs, 3.5|abs, -2.5|abs
'a'|abs
l|sort, words|sort, words|sort(case_sensitive=true), words|sort(reverse=true), m|map(attribute='content')|sort(reverse=true)
m|sort(attribute='role')|map(attribute='content')|join(',')
[1, 'a']|sort
words|unique|list, [1, 1.0, true, 2]|unique|list
d|dictsort, d|dictsort(reverse=true), {'B': 1, 'a': 2}|dictsort, {'B': 1, 'a': 2}|dictsort(true)
d|items|list, missing|items|list
5|items|list
l|reverse|list, s|reverse
l|sum, m|map(attribute='content')|map('length')|sum, [[1], [2]]|sum(start=[])
l|min, l|max, words|max, []|max is defined
s|list, d|list, l|list, 'ab'|list
l|string, d|string, 1.0|string, none|string
m|map(attribute='role')|list, m|map('length')|list, words|map('upper')|join, d.a|map('string')|list, m|map(attribute='x', default='?')|list
m|map(attribute='x')|list|length
words|map('nothing')|list
m|selectattr('role', 'equalto', 'user')|map(attribute='content')|list, m|selectattr('tool_calls', 'defined')|list|length
m|rejectattr('role', 'in', ['user', 'system'])|map(attribute='content')|join
m|selectattr('tool_calls')|list, l|select|list, l|select('odd')|list, l|reject('gt', 1)|list, words|select('equalto', 'a')|list
l|select('nothing')|list
(m|selectattr('role', 'equalto', 'nobody')) is iterable, true if m|selectattr('role', 'equalto', 'nobody') else false
d|tojson, l|tojson, quote|tojson, u|tojson, html|tojson, none|tojson, 1.5|tojson, true|tojson
nested|tojson(indent=2)
{}|tojson(indent=2), []|tojson(indent=4), [[], {}]|tojson(indent=1)
d|tojson(separators=(',', ':')), {'b': 1, 'a': 2}|tojson(sort_keys=true), u|tojson(ensure_ascii=true)
{1: 2, none: 3, true: 4, 1.5: 5}|tojson, (1, 2)|tojson
missing|tojson
d.items()|tojson
lines|indent, lines|indent(2, true), lines|indent(2, blank=true), lines|indent('> '), ''|indent(2, true), 'a\n'|indent(2)
'a-b-a'|replace('a', 'x'), 'a-b-a'|replace('a', 'x', 1), 112|replace(1, 2)
n is number, f is number, t is number, t is boolean, n is integer, t is integer, f is float, s is string
d is mapping, l is mapping, l is iterable, s is iterable, n is iterable, none is iterable, missing is iterable
l is sequence, s is sequence, d is sequence, n is sequence, d.items() is sequence, missing is sequence
none is none, missing is none, t is true, 1 is true, false is false, t is sameas true, none is sameas none
n is odd, n is even, 8 is divisibleby 4, 8 is divisibleby(3), n is eq 7, n is ne(7), n is gt 3, n is lt 3, 3 is in l
n is not odd, s is not string, missing is not defined
n is odd is even
s is upper, 'ABC' is upper, 'abc' is lower
n is nothing
n|nothing
nothing(1)
range(3)|list, range(1, 4)|list, range(5, 0, -2)|list, range(0)|list, range(3)[1], range(3)|length
range(1, 2, 0)
range(100001)|length
dict(a=1, b=2), dict(d, c=3).c, dict()
namespace(a=1).a, namespace(d).b, namespace().x is defined
[1, 'a', none, true, 1.5, [2], {'k': 'v'}, (1,), ()], quote, [quote]
{'a': 1, 'a': 2}, {1: 'x'}[1], {'x': 1}.x
'a' 'b', "a'b", 'a"b', 'tab\there', 'new\nline', '\x41\u00e9\101', 'back\\slash', 'odd \q'
[u], ['\u200b', '\x7f', '\xa0']
(1, 2)[0], (1), (1,), ()
1,
[1, 2,], {'a': 1,}
html, (html|length), '{{ x }}', '%}'
html|e
html|safe
html|escape
'x' if 'a' in 'abc' and not ('z' in 'abc') else 'y'
s|upper|lower|replace('l', '')|length
-1|abs, (-1)|abs, 2 + -3|abs
strftime_now('%d %b %Y'), strftime_now('%Y-%m-%d %H:%M:%S')
raise_exception('no')
loop is defined
5.unknown is defined
d[[1]]
'a'.swapcase is defined
{[1]: 2}
1 ==
(1
]
'open
"""

TEMPLATES = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n", "  {% if true %}x{% endif %}  \n", "x {%- if true %} y {%- endif %} z",
    "x {%- if true -%} y {%- endif -%} z", "a\n  {%+ if true %}\nb{% endif %}", "a {% if true +%}\nb{% endif %}",
    "{{ 1 }}\n{{ 2 }}\n", "{{ 1 -}}\n\n {{ 2 }}", "a\n\n{{- 1 }}", "{# c #}\nx", "a {#- c -#} b", "  {# c #}  x", "a\n  {# c #}\nb",
    "{#\n multi\n #}\nx", "{% raw %}{{ x }} {% if %}{% endraw %}!", "a {%- raw -%} b {%- endraw -%} c", "\n{% raw %}\nx\n{% endraw %}\ny",
    "{{ '}}' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}}}", "{ x } {- %", "a\r\nb\rc\n", "a\n\n", "\n", "", "x\n{{ '' }}\n",
    "{%if n%}x{%endif%}", "{%- if n -%}\n x\n{%- endif -%}", "{{- s -}}", "\t{% set x = 1 %}\t{{ x }}", "{%set x=1%}\n\n{{x}}",
    "{% for i in l %}{{ i }},{% endfor %}", "{% for i in l %}\n{{ i }}\n{% endfor %}\n", "{% for i in [] %}x{% else %}none{% endfor %}",
    "{% for i in missing %}x{% else %}none{% endfor %}", "{% for i in none %}x{% endfor %}", "{% for c in 'añb' %}{{ c }}.{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in [[1, 2], (3, 4)] %}{{ a }}{{ b }} {% endfor %}",
    "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}",
    "{% for i in l if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}", "{% for i in l if i > 5 %}x{% else %}none{% endfor %}",
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for i in l %}{% for j in l %}{{ loop.depth }}{{ loop.index }} {% endfor %}{{ loop.depth0 }};{% endfor %}",
    "{% for i in l %}{% set outer = loop %}{% for j in l %}{{ outer.index }}{% endfor %}{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{% if j == 1 %}{% break %}{% endif %}{{ j }}{% endfor %}-{% endfor %}",
    "{% break %}", "{% set x = 0 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set d.x = 1 %}", "{% set ns.x = 1 %}",
    "{% if n == 7 %}{% set y = 'in' %}{% endif %}{{ y }}", "{% if false %}{% set y = 1 %}{% endif %}{{ y is defined }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set (a, b) = [3, 4] %}{{ a }}{{ b }}", "{% set t = 1, 2 %}{{ t }}", "{% set x %}\n a {{ n }}\n{% endset %}[{{ x }}]",
    "{% set x %}{% set inner = 1 %}{{ inner }}{% endset %}{{ x }}{{ inner is defined }}",
    "{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, c=3) }}|{{ f(b=5, a=4) }}|{{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f() %}{{ g }}{% endmacro %}{% set g = 5 %}{{ f() }}",
    "{% macro f() %}{{ i is defined }}{{ n }}{% endmacro %}{% for i in l %}{{ f() }}{% endfor %}", "{% macro f() %}{% set g = 1 %}{{ g }}{% endmacro %}{{ f() }}{{ g is defined }}",
    "{% macro f(x) %}\n  [{{ x }}]\n{% endmacro %}{{ f('a')|trim }}{{ f('b')|upper }}", "{{ f() }}{% macro f() %}{% endmacro %}", "{% macro f() %}x{% endmacro f %}{{ f() is string }}",
    "{% macro f(a, b=a) %}{{ b }}{% endmacro %}{{ f(3) }}",
    "{% generation %}\n{{ s }}\n{% endgeneration %}\n!", "{% for x in m %}{% if x.role == 'assistant' %}{% generation %}{{ x.content }}{% endgeneration %}{% endif %}{% endfor %}",
    "{% if empty %}a{% elif none %}b{% elif l %}c{% else %}d{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% if missing.x %}a{% endif %}", "{% if [] or {} or '' or 0 or 0.0 %}a{% else %}b{% endif %}",
    "{% set g = m|map(attribute='role') %}{% for x in g %}{{ x }} {% endfor %}{% for x in g %}again{% endfor %}", "{% set g = m|map(attribute='role') %}{{ g|first }}{{ g|list }}",
    "{% set v = d.values() %}{% for x in v %}{{ x }}{% endfor %}{% for x in v %}{{ x }}{% endfor %}", "{{ (m|map(attribute='role'))|length }}", "{{ (m|map(attribute='role'))|last }}",
    "{% for x in m[::-1] %}{{ x.content }}{% endfor %}", "{% for x in m|reverse %}{{ x.content }}{% endfor %}", "{% set m = m[1:] %}{{ m|length }}", "{{ loop }}", "{% for i in l %}{% endfor %}{{ i is defined }}{{ loop is defined }}",
    "{% for loop in l %}{{ loop }}{% endfor %}", "{% for i in l -%}\n  {{ i }}\n{%- endfor %}", "{% for i in 1, 2 %}{{ i }}{% endfor %}",
    "{% if n is defined and n is not none and n > 3 %}y{% endif %}", "{{ m[-1].content if m[-1].role == 'user' else '' }}", "{{ m[loop_index|default(0)].role }}",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% if %}{% endif %}", "{% if n %}", "{% endif %}", "{% for i l %}{% endfor %}", "{{ n", "{% if n", "{# x", "{{ }}", "{% raw %}x", "{{ n }",
    "{% unknown %}", "{{ n ! }}", "{% set true = 1 %}", "{% set x %}", "{% else %}", "{% if n %}{% else %}{% elif n %}{% endif %}", "{% for i in l %}{{ i }}{% else %}{% endif %}",
    "{{ namespace() }}" if False else "{{ namespace is defined }}", "{{ range is callable }}{{ strftime_now is defined }}", "{% set x = {'a': l} %}{{ x.a[0] }}{{ x['a'][1:] }}",
    "{{ d.items()|map('first')|list }}", "{{ dict(d.items()|list) if false else 1 }}", "{%- set a = 'x' -%} {{- a ~ '\n' -}} \n y", "{{ '\n' }}\n", "  {{ '' -}}  x", "{% if true %}  {% endif %}x", "\n  {%- if true %}\n  a\n  {%- endif %}\n",
]


def attempt(env, source, context):
    try:
        return {"expected": env.from_string(source).render(**context)}
    except Exception:  # noqa: BLE001: whatever goes wrong, Jinja2 gives no text
        return {"error": True}


def write(name, data):
    text = json.dumps(data, ensure_ascii=False, indent=1)
    (FOLDER / name).write_text(text + "\n", encoding="utf-8")
    cases = data["cases"]
    print(f"{name}: {len(cases)} cases, {sum('error' in case for case in cases)} of them errors")


def main():
    env = environment()
    cases = []
    for path in sorted((FOLDER / "templates").glob("*.jinja")):
        for name, conversation in CONVERSATIONS.items():
            context = {"tools": None, "documents": None, "add_generation_prompt": True,
                       "bos_token": "<s>", "eos_token": "</s>", **conversation}
            cases.append({"template": path.name, "name": name, "context": context,
                          **attempt(env, path.read_text(encoding="utf-8"), context)})
    write("models.json", {"cases": cases})
    sources = ["{{ " + line + " }}" for line in EXPRESSIONS.splitlines() if line] + TEMPLATES
    write("snippets.json", {"context": CONTEXT, "cases": [
        {"source": source, **attempt(env, source, CONTEXT)} for source in sources]})


if __name__ == "__main__":
    main()
