// The multiple-choice tasks that `atom eval --tasks` knows, and their items from files with a JSON
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
  std::filesystem::path file;
  std::vector<ChoiceItem> items;
};

/// The names of the table, separated by commas.
std::string KnownTasks();

/// `limit`: at most the first so many items; 0: all. Errors name file, line and field.
Result<TaskItems> LoadTask(std::string_view name_or_pair, const io::DataFolders& folders,
                           int64_t limit);

}  // namespace atom::eval
