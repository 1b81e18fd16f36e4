// The bytes of a model's files that make a tokenizer, read before any of them is parsed: what
// follows needs no file system, so tests and fuzzing hand in bytes of their own.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/side_files.h"

namespace atom::tokenizer {

/// In the order in which Tokenizer::Load looks for them.
enum class TokenizerForm {
  kTokenizerJson,
  kTokenizerModel,  ///< SentencePiece, or tiktoken ranks
  kTekkenJson,
  kVocabJson,  ///< with merges.txt
};

struct TokenizerFiles {
  std::string directory;  ///< for the errors' sentences only
  std::string main_path;  ///< likewise, of the form's own file where it has another name
  std::optional<std::string> tokenizer_json;
  std::optional<std::string> tokenizer_model;
  std::optional<std::string> tekken_json;
  std::optional<std::string> vocab_json;
  std::optional<std::string> merges_txt;
  std::optional<std::string> added_tokens_json;
  std::optional<std::string> tokenizer_config_json;
  std::optional<std::string> config_json;
  std::optional<std::string> generation_config_json;

  /// The path of one of them, which starts the sentences about it.
  std::string Source(std::string_view file_name) const;
};

/// The form whose file is called `file_name`; an Error that lists them if none is.
Result<TokenizerForm> FindTokenizerForm(std::string_view file_name);

/// The first form that the model has; an Error if it has none.
Result<TokenizerForm> ChooseTokenizerForm(const io::SideFiles& model);

/// What `form` needs and the files beside it. Those beside it may be absent.
Result<TokenizerFiles> ReadTokenizerFiles(const io::SideFiles& model, TokenizerForm form);

/// A tokenizer's file by itself, with what lies beside it. One of another name than the forms have
/// is told by its content: JSON is a tokenizer.json or tekken.json, all else a tokenizer.model.
struct LoneTokenizer {
  TokenizerForm form;
  TokenizerFiles files;
};
Result<LoneTokenizer> ReadTokenizerFile(const std::filesystem::path& file);

/// config.json and generation_config.json, which name the ends of texts, of `model` where `files`
/// has neither.
Status AddModelConfigs(const io::SideFiles& model, TokenizerFiles& files);

}  // namespace atom::tokenizer
