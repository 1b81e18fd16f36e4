#include "atom/server/constraint.h"

namespace atom::server {

OrApiError<std::vector<std::unique_ptr<engine::TokenConstraint>>> MakeConstraints(
    const ResponseFormat& format, const ServedModel&, int64_t count) {
  if (format.kind != FormatKind::kText) {
    return ApiError{.message = "response_format: only text is supported",
                    .param = "response_format"};
  }
  return std::vector<std::unique_ptr<engine::TokenConstraint>>(static_cast<size_t>(count));
}

}  // namespace atom::server
