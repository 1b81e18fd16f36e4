// Texts for evaluation and calibration, by name or by file. The names are those of the published
// protocol; what each of them is, row by row:
//
//   name           evaluation                             calibration
//   wikitext2      the rows of wiki.test.raw, joined      the rows of wiki.train.1mb.raw, joined
//   wikitext2-raw  wiki.test.raw as it is                 wiki.train.1mb.raw as it is
//   ptb            the sentences of ptb.valid.txt, joined the sentences of ptb.train.txt, joined
//   c4             the documents of c4-sample-200.jsonl   the same documents
//   c4-joined      c4-sample-200.jsonl, joined            those of c4-calib-200.jsonl, joined
//   c4-calib       the documents of c4-calib-200.jsonl, joined (both)
//
// Some of these files are excerpts. Where a folder has what the published protocol reads, that goes
// before them: wiki.train.raw for calibration; for c4, an object a line as allenai/c4 has them,
// c4-validation.00000-of-00008.json for evaluation and c4-train.00000-of-01024.json.
//
// "Joined" is with "\n\n". A row of WikiText is a line with its newline, or the empty string for a
// blank line, as Hugging Face's loader has it; the excerpt of the train split holds no blank lines.
// A sentence of PTB is a line without the spaces around it. PTB is not distributed.
// Anything else is the path of a file, read byte for byte; for calibration, one named .jsonl has a
// JSON object a line: {"text": ...}, joined, or {"messages": [{"role": ..., "content": ...}]}, a
// chat.
//
// A data set is one text, or a list of documents (c4) that the caller samples as published, L being
// the tokens of a window and a document's tokens counting its BOS:
//   PythonRandom random(seed); for each window: draw document = RandInt(0, documents − 1) until one
//   has more than L tokens (the published loop accepts exactly L too, and then fails), and
//   start = RandInt(0, tokens − L − 1).
// Evaluation takes 256 windows with seed 0 and concatenates them. The caller must first make sure
// that some document is long enough, or it draws forever.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"

namespace atom::io {

/// One message of a chat.
struct ChatTurn {
  std::string role;
  std::string content;
};

/// One text, a list of documents, or a list of chats; the other two are empty.
struct Dataset {
  std::string name;            ///< the name asked for, or the file's name without folders
  std::filesystem::path file;  ///< where it was read from
  std::string text;
  std::vector<std::string> documents;
  std::vector<std::vector<ChatTurn>> chats = {};
};

/// Folders in which names are looked up, the first that has the file wins. A folder holds the files
/// directly or in wikitext2/, ptb/ and c4/.
struct DataFolders {
  std::vector<std::filesystem::path> folders;
};

/// `data_flag` (--data DIR, may be empty), then $ATOM_DATA, then the installed folder: the
/// compile-time ATOM_DATA_DIR where defined, and beside the program, `share/atom/data` or
/// `data` in the folders above it, which finds both an installation and a build inside the source
/// tree. Folders that do not exist are kept: messages list where was looked.
DataFolders FindDataFolders(const std::filesystem::path& data_flag);

/// A file that a data folder may have, as it is or in `subfolder`.
struct DataFile {
  std::string_view dataset;  ///< what messages call it
  std::string_view subfolder;
  std::string_view file;
  std::string_view distributed;  ///< what to say when it is absent
};
Result<std::filesystem::path> FindDataFile(const DataFile& wanted, const DataFolders& folders);

enum class DataUse { kEvaluation, kCalibration };

/// Where a text lies.
struct FoundText {
  std::filesystem::path file;
  /// What the published protocol reads instead, where this is an excerpt or a sample; else empty.
  std::string published_file = {};
};
/// Reads nothing. Errors: a name whose file is in none of the folders; neither name nor file.
Result<FoundText> FindText(std::string_view name_or_file, DataUse use, const DataFolders& folders);

/// `name_or_file` is a name from the table or else a path ("./c4" for a file called c4). Text is
/// passed through as it is, NUL too; a file that is empty or not UTF-8 is an Error.
Result<Dataset> LoadEvalDataset(std::string_view name_or_file, const DataFolders& folders);
Result<Dataset> LoadCalibrationDataset(std::string_view name_or_file, const DataFolders& folders);

}  // namespace atom::io
