// The tokenizer keys of a GGUF file as the files that the same tokenizer has in a Hugging Face
// folder. Byte-level BPE ("gpt2"): how text is cut into words is known by the name in
// tokenizer.ggml.pre, and other names are refused: words nearly right give ids that look fluent.
// SentencePiece's BPE ("llama"): pieces and scores make the tokenizer.model that they are of.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/gguf/gguf_file.h"
#include "atom/io/json.h"

namespace atom::io {

/// Whether its tokenizer is a tokenizer.model, not a tokenizer.json.
bool HasSentencePiece(const GgufFile& file);

/// tokenizer.model. REQUIRES: HasSentencePiece.
Result<std::string> GgufSentencePiece(const GgufFile& file);

/// tokenizer.json: vocabulary, merges, added tokens, pre-tokenizer.
Result<Json> GgufTokenizerJson(const GgufFile& file);

/// tokenizer_config.json: bos, eos, unk and pad token, whether a bos is added, the chat template.
Result<Json> GgufTokenizerConfig(const GgufFile& file);

}  // namespace atom::io
