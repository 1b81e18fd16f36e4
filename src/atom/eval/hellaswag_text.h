// HellaSwag's texts as the published evaluation reads them: contexts put together from two parts,
// and without the marks of the WikiHow pages that some of them come from.
#pragma once

#include <string>
#include <string_view>

namespace atom::eval {

/// Without space around it; " [title]" ends a sentence, other [brackets] go, and of each two spaces
/// one.
std::string CleanHellaswag(std::string_view text);

/// "Activity: first part. Second part in lower case", cleaned.
std::string HellaswagContext(std::string_view activity, std::string_view first,
                             std::string_view second);

}  // namespace atom::eval
