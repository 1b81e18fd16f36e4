// The tests: `value is name(arguments)`.
#pragma once

#include <string_view>

#include "atom/chat/jinja/builtin.h"

namespace atom::chat::jinja {

struct TestRow {
  std::string_view name;
  Signature signature;
  bool (*holds)(RenderState& run, const Value& subject, const Bound& arguments);
};

/// nullptr if there is none.
const TestRow* FindTest(std::string_view name);

bool ApplyTest(RenderState& run, const TestRow& test, const Value& subject,
               const CallArguments& arguments);

}  // namespace atom::chat::jinja
