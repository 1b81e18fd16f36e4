#include "atom/chat/jinja/interpreter.h"

#include <algorithm>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/filters.h"
#include "atom/chat/jinja/functions.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {

void Interpreter::SetContext(const Data::Dict& context) {
  for (const auto& [name, value] : context) {
    if (!run_.Step()) return;
    context_.variables.emplace_back(name.bytes(), Import(value));
  }
  top_.around = &context_;
}

Value Interpreter::Import(const Data& data) {
  const RenderState::Nest nest(run_);
  if (!run_.Step()) return Undefined();
  const Data::Variant& value = data.value();
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean;
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<MarkedText>(&value)) {
    return run_.NewPiece(*text, 0, text->size());
  }
  if (const auto* items = std::get_if<Data::List>(&value)) {
    List* list = run_.NewList();
    for (const Data& item : *items) {
      if (!run_.Push(*list, Import(item))) break;
    }
    return list;
  }
  if (const auto* entries = std::get_if<Data::Dict>(&value)) {
    Dict* dict = run_.NewDict();
    for (const auto& [key, item] : *entries) {
      if (!run_.Push(*dict, run_.NewPiece(key, 0, key.size()), Import(item))) break;
    }
    return dict;
  }
  return None();
}

MarkedText Interpreter::Execute(const Body& body) {
  MarkedText output;
  out_ = &output;
  ExecuteBody(body);
  return output;
}

Interpreter::Flow Interpreter::ExecuteBody(const Body& body) {
  Flow flow = Flow::kNext;
  for (size_t i = 0; i < body.size() && flow == Flow::kNext && run_.ok(); ++i) {
    flow = ExecuteStatement(*body[i]);
  }
  return flow;
}

Interpreter::Flow Interpreter::ExecuteStatement(const Statement& statement) {
  const RenderState::Nest nest(run_);
  run_.set_line(statement.line);
  if (!run_.Step()) return Flow::kNext;
  return std::visit([&](const auto& node) { return Execute(node); }, statement.node);
}

void Interpreter::Write(const MarkedText& text) {
  const auto most = static_cast<size_t>(run_.limits().output_bytes);
  if (text.size() > most || out_->size() > most - text.size()) {
    run_.Fail("the template writes more than {} bytes", most);
  }
  if (run_.ok()) run_.Append(*out_, text);
}

Interpreter::Flow Interpreter::Execute(const TextStatement& text) {
  Write(text.text);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Execute(const OutputStatement& output) {
  const auto* filter = std::get_if<FilterExpression>(&output.value->node);
  const bool is_markup = filter != nullptr && filter->filter->is_markup;
  Write(*ToText(run_, is_markup ? EvaluateFilter(*filter) : Evaluate(*output.value)));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Execute(const UnsupportedStatement& statement) {
  run_.Fail("{}", statement.what);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Execute(const IfStatement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    if (IsTrue(Evaluate(*condition))) return ExecuteBody(body);
    if (!run_.ok()) return Flow::kNext;
  }
  return ExecuteBody(statement.otherwise);
}

// Those for which the loop's condition holds.
const List* Interpreter::LoopItems(const ForStatement& loop) {
  const List* items = ToItems(run_, Evaluate(*loop.items));
  if (!loop.condition) return items;
  List* chosen = run_.NewList();
  Scope inner{scope_, {}};
  Scope* const outer = std::exchange(scope_, &inner);
  for (const Value& item : items->items) {
    if (!run_.Step()) break;
    Assign(loop.target, item);
    if (IsTrue(Evaluate(*loop.condition))) run_.Push(*chosen, item);
  }
  scope_ = outer;
  return chosen;
}

Interpreter::Flow Interpreter::Execute(const ForStatement& statement) {
  Loop* loop = run_.NewLoop({LoopItems(statement), 0});
  const size_t count = loop->items->items.size();
  if (count == 0 && run_.ok()) {
    Scope inner{scope_, {}};
    Scope* const outer = std::exchange(scope_, &inner);
    const Flow flow = ExecuteBody(statement.otherwise);
    scope_ = outer;
    return flow;
  }
  Scope* const outer = scope_;
  Flow flow = Flow::kNext;
  for (size_t i = 0; i < count && flow != Flow::kBreak && run_.Step(); ++i) {
    Scope inner{outer, {}};
    scope_ = &inner;
    loop->index = i;
    SetVariable("loop", loop);
    Assign(statement.target, loop->items->items[i]);
    flow = ExecuteBody(statement.body);
  }
  scope_ = outer;
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Execute(const SetStatement& statement) {
  Assign(statement.target, Evaluate(*statement.value));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Execute(const SetBlockStatement& statement) {
  MarkedText caught;
  Scope inner{scope_, {}};
  Scope* const outer = std::exchange(scope_, &inner);
  MarkedText* const out = std::exchange(out_, &caught);
  const Flow flow = ExecuteBody(statement.body);
  out_ = out;
  scope_ = outer;
  if (flow == Flow::kNext) Assign(statement.target, run_.NewText(std::move(caught)));
  return flow;
}

Interpreter::Flow Interpreter::Execute(const MacroStatement& macro) {
  SetVariable(macro.name, &macro);
  return Flow::kNext;
}

Value Interpreter::Call(const Value& callee, const CallArguments& arguments) {
  if (const auto* function = std::get_if<const FunctionRow*>(&callee)) {
    return (*function)->call(run_, arguments, now_);
  }
  if (const auto* macro = std::get_if<const MacroStatement*>(&callee)) {
    return CallMacro(**macro, arguments);
  }
  return run_.Fail("{} cannot be called", TypeName(callee));
}

// A macro sees its parameters and what stands outside of all blocks.
Value Interpreter::CallMacro(const MacroStatement& macro, const CallArguments& arguments) {
  if (arguments.positional.size() > macro.parameters.size()) {
    return run_.Fail("the macro {} is given {} arguments, expected at most {}",
                     io::Quote(macro.name), arguments.positional.size(), macro.parameters.size());
  }
  for (const auto& [name, value] : arguments.named) {
    const auto is = [&, wanted = name](const auto& each) { return each.name == wanted; };
    const auto found = std::find_if(macro.parameters.begin(), macro.parameters.end(), is);
    const auto place = static_cast<size_t>(found - macro.parameters.begin());
    if (found == macro.parameters.end() || place < arguments.positional.size()) {
      return run_.Fail("the macro {} has no place for the argument {}", io::Quote(macro.name),
                       io::Quote(name));
    }
  }
  MarkedText caught;
  Scope inner{&top_, {}};
  Scope* const outer = std::exchange(scope_, &inner);
  MarkedText* const out = std::exchange(out_, &caught);
  for (size_t i = 0; i < macro.parameters.size() && run_.ok(); ++i) {
    const MacroStatement::Parameter& parameter = macro.parameters[i];
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& each) { return each.first == parameter.name; });
    Value value = Undefined{parameter.name};
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else if (named != arguments.named.end()) {
      value = named->second;
    } else if (parameter.otherwise) {
      value = Evaluate(*parameter.otherwise);
    }
    SetVariable(parameter.name, value);
  }
  ExecuteBody(macro.body);
  out_ = out;
  scope_ = outer;
  return run_.NewText(std::move(caught));
}

void Interpreter::Assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value* holder = FindVariable(target.names[0]);
    Dict* dict = holder == nullptr ? nullptr : AsDict(*holder);
    if (dict == nullptr || !dict->is_namespace) {
      run_.Fail("{} of {} is set, which is no namespace", io::Quote(target.attribute),
                io::Quote(target.names[0]));
      return;
    }
    Set(run_, *dict, run_.NewText(target.attribute), value);
    return;
  }
  if (!target.is_tuple) return SetVariable(target.names[0], value);
  const List* items = ToItems(run_, value);
  if (run_.ok() && items->items.size() != target.names.size()) {
    run_.Fail("{} variables are set to {} values", target.names.size(), items->items.size());
  }
  for (size_t i = 0; i < target.names.size() && run_.ok(); ++i) {
    SetVariable(target.names[i], items->items[i]);
  }
}

void Interpreter::SetVariable(std::string_view name, const Value& value) {
  auto& variables = scope_->variables;
  if (!run_.Scan(variables.size() * 8)) return;
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const auto& each) { return each.first == name; });
  if (found != variables.end()) {
    found->second = value;
  } else {
    variables.emplace_back(name, value);
  }
}

const Value* Interpreter::FindVariable(std::string_view name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->around) {
    if (!run_.Scan(scope->variables.size() * 8)) return nullptr;
    for (const auto& [each, value] : scope->variables) {
      if (each == name) return &value;
    }
  }
  return nullptr;
}

}  // namespace atom::chat::jinja
