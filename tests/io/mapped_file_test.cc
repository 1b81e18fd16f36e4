#include "atom/io/mapped_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "temp_folder.h"

namespace atom::io {
namespace {

using ::testing::HasSubstr;

std::string Text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string ErrorOf(const std::filesystem::path& path) {
  const Result<MappedFile> mapped = MappedFile::Open(path);
  if (mapped.ok()) return "no error";
  ExpectOneSentence(mapped.error().message);
  EXPECT_THAT(mapped.error().message, HasSubstr(path.string()));
  return mapped.error().message;
}

TEST(MappedFileTest, HoldsTheBytesAndSurvivesMoves) {
  const TempFolder folder;
  const std::string bytes = std::string(5000, 'x') + std::string("\0y", 2);
  Result<MappedFile> opened = MappedFile::Open(folder.Write("f", bytes));
  ASSERT_TRUE(opened.ok());
  const std::byte* data = opened->bytes().data();
  MappedFile moved = *std::move(opened);
  EXPECT_EQ(Text(moved), bytes);
  EXPECT_EQ(moved.bytes().data(), data);

  Result<MappedFile> other = MappedFile::Open(folder.Write("g", "other"));
  ASSERT_TRUE(other.ok());
  moved = *std::move(other);
  EXPECT_EQ(Text(moved), "other");
}

TEST(MappedFileTest, Refusals) {
  const TempFolder folder;
  EXPECT_THAT(ErrorOf(folder / "absent"), HasSubstr("No such file"));
  EXPECT_THAT(ErrorOf(folder.path()), HasSubstr("is a folder"));
  EXPECT_THAT(ErrorOf(folder.Write("empty", "")), HasSubstr("is empty"));
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(ErrorOf(folder / "pipe"), HasSubstr("a device or a pipe"));
}

TEST(MappedFileTest, RefusesWhatMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "the superuser may read everything";
  const TempFolder folder;
  const auto path = folder.Write("f", "secret");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_THAT(ErrorOf(path), HasSubstr("Permission denied"));
}

TEST(MappedFileTest, ReleasedPagesAreReadAgain) {
  const TempFolder folder;
  std::string bytes(100'000, 'x');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 % 251);
  const Result<MappedFile> mapped = MappedFile::Open(folder.Write("f", bytes));
  ASSERT_TRUE(mapped.ok());
  EXPECT_EQ(Text(*mapped), bytes);
  for (const auto& [begin, size] :
       {std::pair<size_t, size_t>{0, 100'000}, {5000, 50'001}, {3, 9}}) {
    mapped->ReadAhead(mapped->bytes().subspan(begin, size));
    mapped->ReleasePages(mapped->bytes().subspan(begin, size));
    EXPECT_EQ(Text(*mapped), bytes);
  }
}

TEST(MappedFileTest, NoticesThatTheFileChanged) {
  const TempFolder folder;
  const auto path = folder.Write("f", std::string(10000, 'x'));
  const Result<MappedFile> mapped = MappedFile::Open(path);
  ASSERT_TRUE(mapped.ok());
  EXPECT_TRUE(mapped->CheckUnchanged().ok());
  std::filesystem::resize_file(path, 9000);
  const Status truncated = mapped->CheckUnchanged();
  ASSERT_FALSE(truncated.ok());
  EXPECT_EQ(truncated.error().message,
            path.string() + ": has 9000 bytes now, but had 10000 when it was opened");
  std::filesystem::resize_file(path, 10000);
  std::filesystem::last_write_time(
      path, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  ASSERT_FALSE(mapped->CheckUnchanged().ok());
  EXPECT_THAT(mapped->CheckUnchanged().error().message, HasSubstr("was modified"));
}

}  // namespace
}  // namespace atom::io
