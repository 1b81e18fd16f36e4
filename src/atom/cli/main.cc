// The program `atom`: one sub-command a file, each parses flags, calls the library, prints.
#include "atom/cli/app.h"

int main(int argc, char** argv) { return atom::cli::Run(argc, argv); }
