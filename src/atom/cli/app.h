// The command line: sub-commands, exit codes.
//
//   0 done · 1 an error in the input, said in one sentence on stderr · 2 wrong flags
#pragma once

namespace atom::cli {

int Run(int argc, char** argv);

}  // namespace atom::cli
