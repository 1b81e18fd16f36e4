#include "atom/io/atomic_file.h"

#include <csignal>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "temp_folder.h"

namespace atom::io {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(AtomicFileTest, AppearsWholeAtCommit) {
  const TempFolder folder;
  Result<AtomicFile> file = AtomicFile::Create(folder / "out");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->Write("first ").ok());
  EXPECT_TRUE(file->Write("second").ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  EXPECT_TRUE(file->Commit().ok());
  EXPECT_EQ(Slurp(folder / "out"), "first second");
  EXPECT_THAT(Names(folder.path()), UnorderedElementsAre("out"));
}

TEST(AtomicFileTest, WithoutCommitTheOldFileStays) {
  const TempFolder folder;
  folder.Write("out", "old");
  {
    Result<AtomicFile> file = AtomicFile::Create(folder / "out");
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(file->Write("new").ok());
    const AtomicFile moved = *std::move(file);  // only the last owner cleans up
  }
  EXPECT_EQ(Slurp(folder / "out"), "old");
  EXPECT_THAT(Names(folder.path()), UnorderedElementsAre("out"));
}

TEST(AtomicFileTest, TwoWritersDoNotDisturbEachOther) {
  const TempFolder folder;
  Result<AtomicFile> a = AtomicFile::Create(folder / "out");
  Result<AtomicFile> b = AtomicFile::Create(folder / "out");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_TRUE(a->Write("a").ok());
  EXPECT_TRUE(b->Write("b").ok());
  EXPECT_TRUE(b->Commit().ok());
  EXPECT_TRUE(a->Commit().ok());
  EXPECT_EQ(Slurp(folder / "out"), "a");
  EXPECT_THAT(Names(folder.path()), UnorderedElementsAre("out"));
}

TEST(AtomicFileTest, HonoursTheUmaskAndFollowsLinks) {
  const TempFolder folder;
  folder.Write("real/file", "old");
  std::filesystem::create_symlink("real/file", folder / "link");
  ASSERT_TRUE(WriteFileAtomically(folder / "link", "new").ok());
  EXPECT_EQ(Slurp(folder / "real/file"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));

  const mode_t before = umask(027);
  ASSERT_TRUE(WriteFileAtomically(folder / "f", "x").ok());
  umask(before);
  struct stat info {};
  ASSERT_EQ(stat((folder / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(AtomicFileTest, FollowsALinkToAnotherFileSystem) {
  const TempFolder here;
  std::string there = "/dev/shm/atom_io_XXXXXX";
  if (mkdtemp(there.data()) == nullptr) GTEST_SKIP() << "there is no /dev/shm";
  struct stat a {};
  struct stat b {};
  ASSERT_EQ(stat(here.path().c_str(), &a), 0);
  ASSERT_EQ(stat(there.c_str(), &b), 0);
  const std::filesystem::path target = std::filesystem::path(there) / "file";
  std::ofstream(target) << "old";
  std::filesystem::create_symlink(target, here / "link");
  const Status written = WriteFileAtomically(here / "link", "new");
  EXPECT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(Slurp(target), "new");
  std::filesystem::remove_all(there);
  if (a.st_dev == b.st_dev) GTEST_SKIP() << "the temporary folder is on the same file system";
}

TEST(AtomicFileTest, Refusals) {
  const TempFolder folder;
  EXPECT_THAT(WriteFileAtomically(folder / "absent/out", "x").error().message,
              HasSubstr("No such file or directory"));
  EXPECT_THAT(WriteFileAtomically(folder.path(), "x").error().message, HasSubstr("is a folder"));
  EXPECT_THAT(WriteFileAtomically(folder / "", "x").error().message, HasSubstr("is a folder"));
  EXPECT_THAT(WriteFileAtomically("/dev/null", "x").error().message,
              HasSubstr("a device or a pipe"));
}

// A full disk, as far as a test can make one: a limit on the size of files.
TEST(AtomicFileTest, AFailedWriteLeavesNothing) {
  const TempFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = WriteFileAtomically(folder / "out", std::string(2000, 'x'));
    const bool right =
        !status.ok() &&
        status.error().message == (folder / "out").string() + ": cannot be written: File too large";
    _exit(right ? 0 : 1);
  }
  int outcome = 0;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  EXPECT_EQ(outcome, 0);
  EXPECT_THAT(Names(folder.path()), UnorderedElementsAre());
}

TEST(RenameDirectoryTest, MovesIntoAFreePlaceOnly) {
  const TempFolder folder;
  folder.Write("out.partial/a", "1");
  ASSERT_TRUE(RenameDirectory(folder / "out.partial", folder / "out/").ok());
  EXPECT_EQ(Slurp(folder / "out/a"), "1");
  EXPECT_FALSE(std::filesystem::exists(folder / "out.partial"));

  folder.Write("second/b", "2");
  const Status taken = RenameDirectory(folder / "second", folder / "out");
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("not empty"));
  EXPECT_EQ(Slurp(folder / "out/a"), "1");
  EXPECT_EQ(Slurp(folder / "second/b"), "2");
  EXPECT_FALSE(RenameDirectory(folder / "absent", folder / "x").ok());
  EXPECT_FALSE(SyncDirectory(folder / "absent").ok());
}

TEST(AtomicFileDeathTest, NoWriteAfterCommit) {
  const TempFolder folder;
  Result<AtomicFile> file = AtomicFile::Create(folder / "out");
  ASSERT_TRUE(file.ok() && file->Commit().ok());
  EXPECT_DEATH((void)file->Write("x"), "after Commit");
  EXPECT_DEATH((void)file->Commit(), "second Commit");
}

}  // namespace
}  // namespace atom::io
