#include "atom/chat/jinja/template.h"

#include <utility>
#include <vector>

#include "atom/chat/jinja/interpreter.h"
#include "atom/chat/jinja/lexer.h"
#include "atom/chat/jinja/parser.h"
#include "atom/chat/jinja/syntax.h"

namespace atom::chat::jinja {

struct Template::Program {
  std::string source;
  Body body;
};

Template::Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::Compile(std::string_view text, const std::string& source) {
  if (text.size() > kMaxSourceBytes) {
    return MakeError("{}: a template of {} bytes, expected at most {}", source, text.size(),
                     kMaxSourceBytes);
  }
  Result<std::vector<Token>> tokens = Tokenize(text);
  if (!tokens.ok()) return MakeError("{}: {}", source, tokens.error().message);
  Result<Body> body = Parse(*std::move(tokens));
  if (!body.ok()) return MakeError("{}: {}", source, body.error().message);
  return Template(std::make_unique<const Program>(Program{source, *std::move(body)}));
}

Result<MarkedText> Template::Render(const Data::Dict& context, const RenderOptions& options) const {
  RenderState run(options.limits);
  Interpreter interpreter(run, options.now ? &*options.now : nullptr);
  interpreter.SetContext(context);
  MarkedText output = interpreter.Execute(program_->body);
  if (!run.ok()) return MakeError("{}: {}", program_->source, run.status().error().message);
  return output;
}

}  // namespace atom::chat::jinja
