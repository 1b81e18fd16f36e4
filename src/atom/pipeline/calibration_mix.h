// Calibration on several texts, each with a share of the windows: what `--calib` says.
//
//   --calib wikitext2:1,c4-calib:1,chats.jsonl:0.5
//
// Windows are dealt one by one to the text that is furthest behind its share, so that any number of
// first windows mixes the texts as all of them do. Each text draws its own windows with the one
// seed: they are the first of those that it would give alone.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/dataset.h"
#include "atom/pipeline/calibration.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::pipeline {

struct MixPart {
  std::string name;    ///< of a data set, or a file
  double share = 1.0;  ///< above 0
};

/// "name[:share],…". What follows a colon and is no number belongs to the name.
/// Errors: a share that is not above 0; an empty name.
Result<std::vector<MixPart>> ParseMix(std::string_view flag);

/// How many of `samples` windows each part gets, as a list: the part of window 0, 1, ….
std::vector<size_t> DealWindows(const std::vector<MixPart>& parts, int64_t samples);

/// The texts looked up, tokenized, and dealt from. Chats are rendered by the template of
/// `model_dir`, one behind the other.
/// Errors: an unknown name; a text shorter than a window; a text that would get no window.
Result<Calibration> LoadCalibration(const std::vector<MixPart>& parts,
                                    const io::DataFolders& folders,
                                    const tokenizer::Tokenizer& tokenizer,
                                    const std::filesystem::path& model_dir,
                                    const CalibrationOptions& options);

}  // namespace atom::pipeline
