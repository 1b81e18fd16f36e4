#include "atom/io/json.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "atom/io/descriptor.h"
#include "atom/io/lfs_pointer.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

// Builds the document from the parser's events, with the checks that nlohmann's own builder lacks.
// The parser keeps its own stack, so depth costs memory only, and that is limited here.
class LimitedBuilder final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool start_object(size_t) override { return Open(Json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    Json& object = *open_.back();
    if (object.contains(name)) {
      return Fail("the key " + Quote(name) + " appears twice in one object");
    }
    slot_ = &object[name];
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error …"
    std::string_view reason = error.what();
    for (const std::string_view prefix : {"] ", "parse error at "}) {
      const size_t found = reason.find(prefix);
      if (found != std::string_view::npos) reason.remove_prefix(found + prefix.size());
    }
    return Fail(fmt::format("not valid JSON at byte {}: {}", position, Printable(reason)));
  }

  Json TakeDocument() { return std::move(root_); }
  const std::string& failure() const { return failure_; }

 private:
  // The reason quotes the input: without its quotes, but one line and bounded.
  static std::string Printable(std::string_view reason) {
    constexpr size_t kLongest = 200;
    const std::string quoted = Quote(reason, kLongest);
    return quoted.substr(1, quoted.size() - 2);
  }

  Json* Place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool Add(Json value) {
    Place(std::move(value));
    return true;
  }
  bool Open(Json value) {
    if (open_.size() == static_cast<size_t>(kMaxJsonDepth)) {
      return Fail(fmt::format("JSON nested deeper than {} levels", kMaxJsonDepth));
    }
    open_.push_back(Place(std::move(value)));
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }
  bool Fail(std::string message) {
    failure_ = std::move(message);
    return false;
  }

  Json root_;
  std::vector<Json*> open_;  // from the root to the innermost open container
  Json* slot_ = nullptr;     // the member whose key was read last
  std::string failure_;
};

}  // namespace

Result<Json> ParseJson(std::string_view text, const std::string& source_name) {
  if (text.size() > static_cast<size_t>(kMaxJsonBytes)) {
    return MakeError("{}: {} bytes of JSON, expected at most {}", source_name, text.size(),
                     kMaxJsonBytes);
  }
  LimitedBuilder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return MakeError("{}: {}", source_name, builder.failure());
  }
  return builder.TakeDocument();
}

Result<Json> ReadJsonFile(const std::filesystem::path& path) {
  Result<std::string> text = ReadFile(path, kMaxJsonBytes);
  if (!text.ok()) return text.error();
  return ParseJson(*text, path.string());
}

Result<std::string> ReadFile(const std::filesystem::path& path, int64_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!file.valid() || fstat(file.get(), &info) != 0) {
    return MakeError("{}: cannot be read: {}", path.string(), std::strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    return MakeError("{}: is a folder, expected a file", path.string());
  }
  // A pipe has no size: read until the end, one byte past the limit at most.
  std::string text;
  constexpr size_t kChunk = size_t{1} << 20;
  while (true) {
    const size_t filled = text.size();
    const size_t left = static_cast<size_t>(max_bytes) + 1 - filled;
    text.resize(filled + std::min(kChunk, left));
    const ssize_t got = read(file.get(), text.data() + filled, text.size() - filled);
    text.resize(filled + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return MakeError("{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) break;
    if (text.size() > static_cast<size_t>(max_bytes)) {
      return MakeError("{}: is longer than {} bytes, the most that is read", path.string(),
                       max_bytes);
    }
  }
  if (Status s = RefuseLfsPointer(text, path.string()); !s.ok()) return s.error();
  return text;
}

std::string DumpJson(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string DescribeJson(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "the string " + Quote(json.get_ref<const std::string&>());
    case Json::value_t::boolean:
      return json.get<bool>() ? "true" : "false";
    default:
      return "the number " + json.dump();
  }
}

}  // namespace atom::io
