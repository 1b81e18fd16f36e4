// Templates and pieces of templates, with the text that Jinja2 writes for them in Hugging Face's
// environment, or the fact that it writes none: tests/golden/chat, made by
// tools/make_chat_golden.py.
#include <ctime>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/chat/jinja/template.h"

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::chat::jinja {
namespace {

using tokenizer::ReadAll;

using OrderedJson = nlohmann::ordered_json;

const std::filesystem::path kGolden = std::filesystem::path(ATOM_SOURCE_DIR) / "tests/golden/chat";

// When make_chat_golden.py runs: 2024-07-26 13:05:09, a Friday.
RenderOptions AtNoon() {
  std::tm now = {};
  now.tm_year = 124;
  now.tm_mon = 6;
  now.tm_mday = 26;
  now.tm_hour = 13;
  now.tm_min = 5;
  now.tm_sec = 9;
  now.tm_wday = 5;
  now.tm_yday = 207;
  return {.limits = {}, .now = now};
}

Data::Dict ContextOf(const OrderedJson& json, Origin origin) {
  const Result<Data> data = Data::FromJson(json.dump(), "context", origin);
  EXPECT_TRUE(data.ok()) << data.error().message;
  return std::get<Data::Dict>(data->value());
}

// The text, or "error: …".
std::string Rendered(const std::string& source, const Data::Dict& context) {
  const Result<Template> made = Template::Compile(source, "t");
  if (!made.ok()) return "error: " + made.error().message;
  const Result<MarkedText> text = made->Render(context, AtNoon());
  return text.ok() ? text->bytes() : "error: " + text.error().message;
}

void Check(const OrderedJson& golden, const std::string& found, const std::string& what) {
  if (golden.contains("error")) {
    EXPECT_EQ(found.substr(0, 10), "error: t: ") << what;
  } else {
    EXPECT_EQ(found, golden["expected"].get<std::string>()) << what;
  }
}

TEST(JinjaGolden, SnippetsGiveTheTextOfJinja2) {
  const OrderedJson golden = OrderedJson::parse(ReadAll(kGolden / "snippets.json"));
  const Data::Dict context = ContextOf(golden["context"], Origin::kUser);
  ASSERT_GT(golden["cases"].size(), 250u);
  for (const OrderedJson& each : golden["cases"]) {
    const auto source = each["source"].get<std::string>();
    Check(each, Rendered(source, context), source);
  }
}

TEST(JinjaGolden, ModelsTemplatesGiveTheTextOfJinja2) {
  const OrderedJson golden = OrderedJson::parse(ReadAll(kGolden / "models.json"));
  ASSERT_GT(golden["cases"].size(), 100u);
  for (const OrderedJson& each : golden["cases"]) {
    const auto name = each["template"].get<std::string>();
    const std::string source = ReadAll(kGolden / "templates" / name);
    const Data::Dict context = ContextOf(each["context"], Origin::kTemplate);
    Check(each, Rendered(source, context), name + ": " + each["name"].get<std::string>());
  }
}

}  // namespace
}  // namespace atom::chat::jinja
