#include "atom/io/dataset.h"

#include <cstdlib>
#include <gmock/gmock.h>

#include "atom/io/checksum.h"

#include "temp_folder.h"

namespace atom::io {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const Result<Dataset>& loaded) {
  if (loaded.ok()) return "no error";
  ExpectOneSentence(loaded.error().message);
  return loaded.error().message;
}

class DatasetTest : public ::testing::Test {
 protected:
  TempFolder folder_;
  DataFolders folders_{{folder_.path()}};
};

TEST_F(DatasetTest, WikitextRowsAsHuggingFaceHasThem) {
  folder_.Write("wikitext2/wiki.test.raw", " \n = T = \n \n text . \n");
  const Result<Dataset> joined = LoadEvalDataset("wikitext2", folders_);
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  // Rows "", " = T = \n", "", " text . \n".
  EXPECT_EQ(joined->text, "\n\n = T = \n\n\n\n\n text . \n");
  EXPECT_EQ(joined->name, "wikitext2");
  EXPECT_EQ(joined->file, folder_ / "wikitext2/wiki.test.raw");
  EXPECT_TRUE(joined->documents.empty());

  const Result<Dataset> raw = LoadEvalDataset("wikitext2-raw", folders_);
  ASSERT_TRUE(raw.ok());
  EXPECT_EQ(raw->text, " \n = T = \n \n text . \n");
  EXPECT_EQ(raw->name, "wikitext2-raw");
}

TEST_F(DatasetTest, CalibrationHasFilesOfItsOwn) {
  folder_.Write("wikitext2/wiki.test.raw", "test\n");
  folder_.Write("wikitext2/wiki.train.1mb.raw", " a \n b \n c cut");
  const Result<Dataset> train = LoadCalibrationDataset("wikitext2", folders_);
  ASSERT_TRUE(train.ok());
  EXPECT_EQ(train->text, " a \n\n\n b \n\n\n c cut");
  folder_.Write("ptb/ptb.train.txt", " x \n");
  EXPECT_EQ(LoadCalibrationDataset("ptb", folders_)->text, "x");
}

TEST_F(DatasetTest, TheWholeFileOfThePublishedProtocolGoesBeforeAnExcerpt) {
  folder_.Write("wikitext2/wiki.train.1mb.raw", "excerpt");
  folder_.Write("c4/c4-sample-200.jsonl", "{\"text\":\"sample\"}\n");
  const auto found = [&](const char* name, DataUse use) {
    return FindText(name, use, folders_).value();
  };
  EXPECT_EQ(found("wikitext2", DataUse::kCalibration).published_file, "wiki.train.raw");
  EXPECT_EQ(found("c4", DataUse::kEvaluation).published_file, "c4-validation.00000-of-00008.json");
  TempFolder second;  // of the folders the last
  folders_.folders.push_back(second.path());
  second.Write("wikitext2/wiki.train.raw", "whole");
  second.Write("c4-validation.00000-of-00008.json", "{\"text\":\"validation\"}\n");
  second.Write("c4/c4-train.00000-of-01024.json", "{\"text\":\"train\"}\n");
  EXPECT_EQ(found("wikitext2", DataUse::kCalibration).published_file, "");
  EXPECT_EQ(found("c4", DataUse::kEvaluation).published_file, "");
  EXPECT_EQ(LoadCalibrationDataset("wikitext2", folders_)->text, "whole");
  EXPECT_EQ(LoadCalibrationDataset("wikitext2-raw", folders_)->text, "whole");
  EXPECT_THAT(LoadEvalDataset("c4", folders_)->documents, ElementsAre("validation"));
  EXPECT_THAT(LoadCalibrationDataset("c4", folders_)->documents, ElementsAre("train"));
  EXPECT_EQ(LoadEvalDataset("c4-joined", folders_)->text, "sample") << "has a text of its own";
}

TEST_F(DatasetTest, FindingATextReadsNothing) {
  folder_.Write("wiki.test.raw", "\xff not UTF-8");
  EXPECT_EQ(FindText("wikitext2", DataUse::kEvaluation, folders_)->file, folder_ / "wiki.test.raw");
  EXPECT_EQ(FindText("wikitext2", DataUse::kEvaluation, folders_)->published_file, "");
  EXPECT_FALSE(LoadEvalDataset("wikitext2", folders_).ok());
  EXPECT_THAT(FindText("ptb", DataUse::kEvaluation, folders_).error().message,
              HasSubstr("not distributed"));
  EXPECT_FALSE(FindText("/nonexistent", DataUse::kEvaluation, folders_).ok());
}

TEST_F(DatasetTest, PtbSentencesAreStripped) {
  folder_.Write("ptb.valid.txt", " one <unk> two \n three \n");  // directly in the folder
  const Result<Dataset> ptb = LoadEvalDataset("ptb", folders_);
  ASSERT_TRUE(ptb.ok());
  EXPECT_EQ(ptb->text, "one <unk> two\n\nthree");
}

TEST_F(DatasetTest, C4IsAListOfDocuments) {
  folder_.Write("c4/c4-sample-200.jsonl",
                "{\"text\":\"first\\nline\",\"url\":\"u\"}\n\n{\"text\":\"\\u00e9\"}");
  const Result<Dataset> c4 = LoadEvalDataset("c4", folders_);
  ASSERT_TRUE(c4.ok()) << c4.error().message;
  EXPECT_THAT(c4->documents, ElementsAre("first\nline", "é"));
  EXPECT_EQ(c4->text, "");
  folder_.Write("c4/c4-calib-200.jsonl", "{\"text\":\"x\"}\n{\"text\":\"y\"}\n");
  EXPECT_EQ(LoadEvalDataset("c4-joined", folders_)->text, "first\nline\n\n\u00e9");
  EXPECT_TRUE(LoadEvalDataset("c4-joined", folders_)->documents.empty());
  EXPECT_EQ(LoadCalibrationDataset("c4-joined", folders_)->text, "x\n\ny");
  folder_.Write("c4/c4-sample-200.jsonl", "{\"text\":\"a\"}\n{\"txt\":\"b\"}\n");
  EXPECT_THAT(ErrorOf(LoadEvalDataset("c4", folders_)),
              HasSubstr("jsonl: line 2: field 'text' is missing"));
  folder_.Write("c4/c4-sample-200.jsonl", "\n \n");
  EXPECT_THAT(ErrorOf(LoadEvalDataset("c4", folders_)), HasSubstr("nothing but blank lines"));
}

TEST_F(DatasetTest, AFileIsReadAsItIs) {
  const std::string bytes("no\0t é text\r\n\n", 15);
  const fs::path path = folder_.Write("sub/my.txt", bytes);
  for (const auto& load : {LoadEvalDataset, LoadCalibrationDataset}) {
    const Result<Dataset> loaded = load(path.string(), folders_);
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ(loaded->text, bytes);
    EXPECT_EQ(loaded->name, "my.txt");
    EXPECT_EQ(loaded->file, path);
  }
}

TEST_F(DatasetTest, TextIsUtf8OrItsEncodingIsNamed) {
  const auto error_of = [&](std::string_view bytes) {
    const std::string path = folder_.Write("text", bytes).string();
    const std::string error = ErrorOf(LoadEvalDataset(path, folders_));
    EXPECT_EQ(ErrorOf(LoadCalibrationDataset(path, folders_)), error);
    return error;
  };
  const auto wide = [](std::string_view text, std::string mark, bool little) {
    for (const char c : text) mark += little ? std::string{c, '\0'} : std::string{'\0', c};
    return mark;
  };
  const std::string_view text = "The quick brown fox jumps over the lazy dog.";
  EXPECT_THAT(error_of(wide(text, "\xff\xfe", true)), HasSubstr("is UTF-16, expected UTF-8"));
  EXPECT_THAT(error_of(wide(text, "\xfe\xff", false)), HasSubstr("is UTF-16, expected UTF-8"));
  EXPECT_THAT(error_of(wide(text, "", true)), HasSubstr("is UTF-16, expected UTF-8"));
  EXPECT_THAT(error_of(wide(text, "", false)), HasSubstr("is UTF-16, expected UTF-8"));
  EXPECT_THAT(error_of(std::string("\xff\xfe\0\0T\0\0\0", 8)), HasSubstr("is UTF-32"));
  std::string four;
  std::string cyrillic;  // a letter beyond Latin, д, in front of each of them
  for (const char c : text) {
    four += std::string{'\0', '\0', '\0', c};
    cyrillic += std::string{'\x04', '4', '\0', c};
  }
  EXPECT_THAT(error_of(four), HasSubstr("is UTF-32, expected UTF-8"));
  EXPECT_THAT(error_of(four.substr(3)), HasSubstr("is UTF-32, expected UTF-8"));
  EXPECT_THAT(error_of(cyrillic), HasSubstr("is UTF-16, expected UTF-8"));
  EXPECT_THAT(error_of("\x1f\x8b\x08 and so on"), HasSubstr("is compressed (gzip)"));
  EXPECT_THAT(error_of("PAR1 and so on"), HasSubstr("is a Parquet file"));
  EXPECT_THAT(error_of("caf\xe9 au lait"),
              AllOf(HasSubstr("byte 0xe9 at offset 3"), HasSubstr("Latin-1")));
  EXPECT_THAT(error_of("cut in the middle of \xe2\x82"), HasSubstr("offset 21"));
  EXPECT_TRUE(LoadEvalDataset(folder_.Write("ok", "café € 😀").string(), folders_).ok());
}

TEST_F(DatasetTest, Refusals) {
  EXPECT_THAT(ErrorOf(LoadEvalDataset("wikitext3", folders_)),
              AllOf(HasSubstr("'wikitext3': no such data set and no such file"),
                    HasSubstr("wikitext2, wikitext2-raw, ptb, c4")));
  EXPECT_THAT(ErrorOf(LoadEvalDataset("", folders_)), HasSubstr("no such data set"));
  EXPECT_THAT(ErrorOf(LoadEvalDataset(folder_.path().string(), folders_)),
              AllOf(HasSubstr("is a folder"), HasSubstr("wikitext2-raw")));
  EXPECT_THAT(ErrorOf(LoadEvalDataset(folder_.Write("e", "").string(), folders_)),
              HasSubstr("is empty"));
}

TEST_F(DatasetTest, AMissingPtbSaysWhereToPutIt) {
  EXPECT_THAT(ErrorOf(LoadEvalDataset("ptb", folders_)),
              AllOf(HasSubstr((folder_ / "ptb/ptb.valid.txt").string()),
                    HasSubstr("not distributed"), HasSubstr("put Mikolov's preprocessed file")));
  EXPECT_THAT(ErrorOf(LoadEvalDataset("wikitext2", DataFolders{})),
              HasSubstr("there is no data folder"));
}

TEST_F(DatasetTest, TheFirstFolderWins) {
  const TempFolder second;
  second.Write("ptb/ptb.valid.txt", "second");
  DataFolders both{{folder_.path(), second.path()}};
  EXPECT_EQ(LoadEvalDataset("ptb", both)->text, "second");
  folder_.Write("ptb.valid.txt", "first");
  EXPECT_EQ(LoadEvalDataset("ptb", both)->text, "first");
}

TEST(FindDataFoldersTest, FlagThenVariable) {
  setenv("ATOM_DATA", "/from/variable", 1);
  const DataFolders both = FindDataFolders("/from/flag");
  ASSERT_GE(both.folders.size(), 2u);
  EXPECT_EQ(both.folders[0], "/from/flag");
  EXPECT_EQ(both.folders[1], "/from/variable");
  unsetenv("ATOM_DATA");
  for (const fs::path& folder : FindDataFolders("").folders) {
    EXPECT_NE(folder, "/from/variable");
    EXPECT_FALSE(folder.empty());
  }
}

TEST(DistributedDataTest, IsComplete) {
  const DataFolders folders{{ATOM_SOURCE_DIR "/data"}};
  const Result<Dataset> test = LoadEvalDataset("wikitext2-raw", folders);
  ASSERT_TRUE(test.ok()) << test.error().message;
  EXPECT_EQ(test->text.size(), 1290590u);
  // 4,358 rows; joining adds two bytes between rows, and each of the 1,467 blank rows loses " \n".
  const Result<Dataset> joined = LoadEvalDataset("wikitext2", folders);
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->text.size(), 1290590u + 2 * 4357 - 2 * 1467);
  EXPECT_EQ(ChecksumOf(joined->text), "5204451d9e91a1312a9a3cd76784e2f9") << "as Python joins it";
  EXPECT_EQ(LoadCalibrationDataset("wikitext2-raw", folders)->text.size(), 1000000u);
  EXPECT_EQ(LoadEvalDataset("c4", folders)->documents.size(), 200u);
  EXPECT_TRUE(fs::exists(folders.folders[0] / "books/books.valid.txt"));
  EXPECT_TRUE(fs::exists(folders.folders[0] / "books/books.calib.txt"));
}

}  // namespace
}  // namespace atom::io
