// The report of `atom eval --compare` as one HTML file: tables and plots, light and dark, nothing
// loaded from elsewhere and no script.
#pragma once

#include <string>

#include "atom/eval/compare_report.h"

namespace atom::eval {

std::string ComparePage(const CompareReport& report);

}  // namespace atom::eval
