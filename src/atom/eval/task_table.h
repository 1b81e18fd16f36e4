// The tasks that `atom eval --tasks` knows, and their items from files with a JSON
// object a line. A task is given as a name, whose file is looked for in the data folders (as it is
// or in zeroshot/), or as NAME=FILE.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/eval/choice_item.h"
#include "atom/io/dataset.h"

namespace atom::eval {

struct TaskItems {
  std::string task;
  bool has_acc_norm = false;  ///< whether lm-evaluation-harness reports acc_norm
  bool single = false;        ///< whether an item is one continuation, not a choice
  std::filesystem::path file;
  std::vector<ChoiceItem> items;
};

/// The names of the table, separated by commas.
std::string KnownTasks();

struct TaskOptions {
  int64_t limit = 0;  ///< at most the first so many items; 0: all
  /// Solved items in front of each (few_shot.h): those of TASK.train.jsonl, or of the file with
  /// ".train" before its extension; where there is none, others of the items themselves.
  int64_t shots = 0;
};
/// Errors name file, line and field.
Result<TaskItems> LoadTask(std::string_view name_or_pair, const io::DataFolders& folders,
                           const TaskOptions& options);

}  // namespace atom::eval
