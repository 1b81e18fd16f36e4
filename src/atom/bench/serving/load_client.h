// Sends a load to a server over HTTP and watches its answers come: one thread, a connection a
// request. The only file that knows the network library.
//
// Promises: every request that was begun gives one record, whatever the server does.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "atom/bench/serving/completion_record.h"
#include "atom/bench/serving/load_plan.h"
#include "atom/bench/serving/service_url.h"
#include "atom/core/result.h"

namespace atom::bench {

struct LoadTarget {
  ServiceUrl url;
  std::string api_key;             ///< empty: none
  double silence_seconds = 600.0;  ///< without a byte, after which a request has failed
};

/// The body of GET `path`; an Error for anything but status 200.
Result<std::string> Fetch(const LoadTarget& target, const std::string& path);

/// POSTs make_body(index) to /v1/completions for each request of the plan, when it is due. Asks
/// `interrupted` now and then; once it says so, nothing begins and what is under way is aborted.
std::vector<CompletionRecord> RunLoad(const LoadTarget& target, const LoadPlan& plan,
                                      const std::function<std::string(size_t index)>& make_body,
                                      const std::function<bool()>& interrupted);

}  // namespace atom::bench
