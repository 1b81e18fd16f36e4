// A Jinja template, in the language that Hugging Face's chat templates are written in, and its
// sandbox. Compile reads the program once; Render runs it on some data.
//
// Promises: the text that Jinja2 gives in Hugging Face's environment, or an error, never another
// text: what is not known is refused by name. A template reaches nothing but its data; limits hold
// whatever it does; what it writes tells which of its bytes a user wrote. A Template never changes:
// any number of threads may render it.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "atom/chat/jinja/data.h"
#include "atom/chat/jinja/marked_text.h"
#include "atom/chat/jinja/render_state.h"
#include "atom/core/result.h"

namespace atom::chat::jinja {

/// Bytes of a template's source; those in use are below 20,000.
inline constexpr size_t kMaxSourceBytes = size_t{1} << 20;

struct RenderOptions {
  Limits limits;
  std::optional<std::tm> now = std::nullopt;  ///< without it strftime_now is not defined
};

class Template {
 public:
  /// `source` is what errors call the template: "FILE: line 3: the filter 'x' is not supported".
  static Result<Template> Compile(std::string_view text, const std::string& source);

  /// The entries of `context` are the template's variables.
  Result<MarkedText> Render(const Data::Dict& context, const RenderOptions& options = {}) const;

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

 private:
  struct Program;  // syntax.h stays out of here
  explicit Template(std::unique_ptr<const Program> program);

  std::unique_ptr<const Program> program_;
};

}  // namespace atom::chat::jinja
