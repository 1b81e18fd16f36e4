#include "atom/artifact/writer.h"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atom/artifact/reader.h"
#include "atom/io/checksum.h"

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kLayers = 3;

HostLayer LayerOf(int64_t layer, int bits) {
  TinyLayers random(static_cast<uint64_t>(100 + layer));
  if (bits == 4) return random.Packed(TinyShape());
  return bits == 8 ? random.Packed8(TinyShape()) : random.Dense(TinyShape(), true);
}

// A whole run, as the pipeline does it, that stops after `steps` steps (< 0: never), as a kill
// would stop it: the writer is destroyed, nothing else happens. Returns what went wrong, or "".
std::string Quantize(const fs::path& source, const fs::path& out, int bits = 4, int steps = -1,
                     const json& identity = {{"recipe", "tiny"}}) {
  const OpenedCheckpoint checkpoint(source);
  const auto stop = [&] { return steps >= 0 && steps-- == 0; };
  Result<ArtifactWriter> writer = ArtifactWriter::Open(out, identity, kLayers);
  if (!writer.ok()) return writer.error().message;
  const QuantizationConfig config = TinyConfig(kLayers, TinyRecipe(bits));
  if (stop()) return "";
  if (Status status = writer->WriteState("calibration", "0123"); !status.ok()) {
    return status.error().message;
  }
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    if (layer < writer->finished_layers()) {
      const Result<HostLayer> host = writer->ReadLayer(layer, TinyShape(), config);
      if (!host.ok()) return host.error().message;
      if (Stored(*host) != Stored(LayerOf(layer, bits))) return "a resumed layer differs";
      continue;
    }
    if (stop()) return "";
    if (Status status = writer->WriteLayer(layer, LayerOf(layer, bits)); !status.ok()) {
      return status.error().message;
    }
  }
  if (stop()) return "";
  const Status status = writer->Finish(checkpoint.Source(), config, {{"errors", {0.25, 0.5, 1.0}}});
  return status.ok() ? "" : status.error().message;
}

class WriterTest : public testing::Test {
 protected:
  void SetUp() override { WriteTinyCheckpoint(source_, kLayers); }

  // Files that an uninterrupted run makes.
  std::map<std::string, std::string> Golden(int bits = 4) {
    const fs::path out = folder_ / "golden";
    EXPECT_EQ(Quantize(source_, out, bits), "");
    std::map<std::string, std::string> files = FolderBytes(out);
    fs::remove_all(out);
    return files;
  }

  TempFolder folder_;
  const fs::path source_ = folder_ / "source";
  const fs::path out_ = folder_ / "out";
  const fs::path partial_ = folder_ / "out.partial";
};

TEST_F(WriterTest, AnArtifactIsReadBackBitForBit) {
  for (const int bits : {3, 4, 8}) {
    ASSERT_EQ(Quantize(source_, out_, bits), "");
    EXPECT_FALSE(fs::exists(partial_));
    const Result<io::Checkpoint> artifact = io::Checkpoint::Open(out_);
    ASSERT_TRUE(artifact.ok()) << artifact.error().message;
    ASSERT_TRUE(VerifyChecksums(*artifact).ok());
    const std::string name = out_.string();
    const json& config_json = artifact->config();
    EXPECT_EQ(config_json["architectures"], json{"LlamaForCausalLM"});
    const auto config = ParseQuantizationConfig(config_json["quantization_config"], kLayers, "c");
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(*config, TinyConfig(kLayers, TinyRecipe(bits)));
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const Result<HostLayer> host =
          ReadLayer(io::SafetensorsSource(artifact->shards(), name), layer, TinyShape(), &*config);
      ASSERT_TRUE(host.ok()) << host.error().message;
      EXPECT_EQ(Stored(*host), Stored(LayerOf(layer, bits)));
    }
    fs::remove_all(out_);
  }
}

TEST_F(WriterTest, TheFolderHoldsWhatTheFormatSays) {
  const auto files = Golden();
  std::vector<std::string> names;
  for (const auto& [name, bytes] : files) names.push_back(name);
  EXPECT_THAT(names, testing::UnorderedElementsAre(
                         "config.json", "generation_config.json", "tokenizer.json",
                         "quantize_report.json", "model.safetensors.index.json",
                         "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                         "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"));
  EXPECT_EQ(files.at("quantize_report.json"), "{\n  \"errors\": [0.25,0.5,1.0]\n}\n");

  const json index = json::parse(files.at("model.safetensors.index.json"));
  const auto& weight_map = index["weight_map"];
  EXPECT_EQ(weight_map["model.layers.0.permutation.o"], "model-00001-of-00004.safetensors");
  EXPECT_EQ(weight_map["model.layers.2.mlp.down_proj.codes8"], "model-00003-of-00004.safetensors");
  EXPECT_EQ(weight_map["model.embed_tokens.weight"], "model-00004-of-00004.safetensors");
  EXPECT_EQ(weight_map["lm_head.weight"], "model-00004-of-00004.safetensors");
  int64_t bytes = 2 * 32 * 20 * 2 + 20 * 4;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const HostLayer host = LayerOf(layer, 4);  // the tensors view it
    for (const io::NamedTensor& tensor : LayerTensors(host, layer)) {
      bytes += tensor.tensor.bytes();
    }
  }
  EXPECT_EQ(index["metadata"]["total_size"], bytes);
  EXPECT_EQ(index["metadata"]["checksums"].size(), 4u);
  for (const auto& [shard, checksum] : index["metadata"]["checksums"].items()) {
    EXPECT_EQ(checksum, io::ChecksumOf(files.at(shard)));
  }
}

TEST_F(WriterTest, EmbeddingNormAndHeadKeepTheirBytes) {
  ASSERT_EQ(Quantize(source_, out_), "");
  const Result<io::Checkpoint> before = io::Checkpoint::Open(source_);
  const Result<io::Checkpoint> after = io::Checkpoint::Open(out_);
  ASSERT_TRUE(before.ok() && after.ok());
  const std::map<std::string, Shape> shapes = {{"model.embed_tokens.weight", {32, 20}},
                                               {"model.norm.weight", {20}},
                                               {"lm_head.weight", {32, 20}}};
  for (const auto& [name, shape] : shapes) {
    const TensorView a = *before->Tensor(name, shape);
    const TensorView b = *after->Tensor(name, shape);
    EXPECT_EQ(a.dtype, b.dtype);
    EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())), 0) << name;
  }
}

TEST_F(WriterTest, ATiedHeadIsNotStored) {
  const fs::path tied = folder_ / "tied";
  WriteTinyCheckpoint(tied, kLayers, true);
  ASSERT_EQ(Quantize(tied, out_), "");
  EXPECT_FALSE(io::Checkpoint::Open(out_)->Has("lm_head.weight"));
  EXPECT_TRUE(io::Checkpoint::Open(out_)->Has("model.embed_tokens.weight"));
}

TEST_F(WriterTest, DamagedShardsAreNamed) {
  ASSERT_EQ(Quantize(source_, out_), "");
  const fs::path shard = out_ / "model-00002-of-00004.safetensors";
  std::string bytes = FileBytes(shard);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  PutFile(shard, bytes);
  const Result<io::Checkpoint> artifact = io::Checkpoint::Open(out_);
  ASSERT_TRUE(artifact.ok()) << artifact.error().message;
  const Status status = VerifyChecksums(*artifact);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message,
              HasSubstr("model-00002-of-00004.safetensors: has the checksum " +
                        io::ChecksumOf(bytes) + ", expected '"));
}

TEST_F(WriterTest, ChecksumsOfOtherIndexes) {
  ASSERT_EQ(Quantize(source_, out_), "");
  EXPECT_TRUE(VerifyChecksums(*io::Checkpoint::Open(source_)).ok());  // no index at all
  const fs::path path = out_ / "model.safetensors.index.json";
  json index = json::parse(FileBytes(path));
  const auto error = [&] {
    PutFile(path, index.dump());
    const Status status = VerifyChecksums(*io::Checkpoint::Open(out_));
    return status.ok() ? "" : status.error().message;
  };
  index["metadata"]["checksums"].erase("model-00003-of-00004.safetensors");
  EXPECT_THAT(error(), HasSubstr("model-00003-of-00004.safetensors: has no checksum in"));
  index["metadata"]["checksums"]["model-00003-of-00004.safetensors"] = 5;
  EXPECT_THAT(error(),
              HasSubstr("the checksum of 'model-00003-of-00004.safetensors' is the number"));
  index["metadata"]["checksums"] = {"x"};
  EXPECT_THAT(error(), HasSubstr("'checksums' is an array, expected an object"));
  index["metadata"].erase("checksums");
  EXPECT_EQ(error(), "");
  index.erase("metadata");
  EXPECT_EQ(error(), "");
}

TEST_F(WriterTest, ResumesToTheSameBytesWhereverItStopped) {
  for (const int bits : {3, 4}) {
    const auto golden = Golden(bits);
    for (int steps = 0; steps <= kLayers + 1; ++steps) {
      ASSERT_EQ(Quantize(source_, out_, bits, steps), "");
      EXPECT_FALSE(fs::exists(out_));
      ASSERT_TRUE(fs::exists(partial_));
      ASSERT_EQ(Quantize(source_, out_, bits), "") << steps;
      EXPECT_EQ(FolderBytes(out_), golden) << steps;
      EXPECT_FALSE(fs::exists(partial_));
      fs::remove_all(out_);
    }
  }
}

TEST_F(WriterTest, CountsTheFinishedLayers) {
  for (int layers = 0; layers <= kLayers; ++layers) {
    ASSERT_EQ(Quantize(source_, out_, 4, layers + 1), "");
    const auto writer = ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    EXPECT_TRUE(writer->resumed());
    EXPECT_EQ(writer->finished_layers(), layers);
    EXPECT_EQ(writer->ReadState("calibration").value(), "0123");
    EXPECT_EQ(writer->ReadState("other").value(), std::nullopt);
    fs::remove_all(partial_);
  }
}

TEST_F(WriterTest, ResumesWhatAFailedFinishLeft) {
  const auto golden = Golden();
  const std::string good = FileBytes(source_ / "model.safetensors");
  std::string bad = good;
  // The last element of lm_head becomes infinity: Finish fails after the layers.
  bad[bad.size() - 2] = '\0';
  bad[bad.size() - 1] = '\x7c';
  PutFile(source_ / "model.safetensors", bad);
  EXPECT_THAT(Quantize(source_, out_),
              HasSubstr("tensor 'lm_head.weight': element [31, 19] is inf"));
  EXPECT_TRUE(fs::exists(partial_));
  PutFile(source_ / "model.safetensors", good);
  fs::create_directory(source_ / "NOTICE");  // cannot be read as a file
  EXPECT_THAT(Quantize(source_, out_), HasSubstr("NOTICE"));
  EXPECT_FALSE(fs::exists(out_));
  fs::remove(source_ / "NOTICE");
  ASSERT_EQ(Quantize(source_, out_), "");
  EXPECT_EQ(FolderBytes(out_), golden);
}

TEST_F(WriterTest, DamagedPartialShardsAreWrittenAgain) {
  const auto golden = Golden();
  ASSERT_EQ(Quantize(source_, out_, 4, kLayers + 1), "");
  const fs::path shard = partial_ / "model" / "model-00002-of-00004.safetensors";
  std::string bytes = FileBytes(shard);
  bytes.back() = static_cast<char>(bytes.back() ^ 0x40);
  PutFile(shard, bytes);
  PutFile(partial_ / "model" / ".model-00002-of-00004.safetensors.1-0.partial", "half");
  PutFile(partial_ / ".state-x.bin.1-0.partial", "half");
  {
    const auto writer = ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    EXPECT_EQ(writer->finished_layers(), 1);
    EXPECT_EQ(FolderBytes(partial_ / "model").size(), 1u);
    EXPECT_FALSE(fs::exists(partial_ / ".state-x.bin.1-0.partial"));
  }
  ASSERT_EQ(Quantize(source_, out_), "");
  EXPECT_EQ(FolderBytes(out_), golden);
}

TEST_F(WriterTest, AnotherIdentityIsRefusedByWhatDiffersAndRestartDiscardsIt) {
  ASSERT_EQ(Quantize(source_, out_, 4, 3), "");
  const auto before = FolderBytes(partial_);
  const auto other = ArtifactWriter::Open(out_, {{"recipe", "other"}}, kLayers);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().message,
            partial_.string() +
                ": holds an unfinished run of atom quantize with /run/recipe of \"tiny\", expected "
                "\"other\"; finish that run as it was begun, choose another output, or discard it "
                "with --restart");
  const auto more = ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers + 1);
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("/layers of 3, expected 4"));
  for (const char* broken : {"", "{", "[1, 2]", "\xff"}) {
    PutFile(partial_ / "identity.json", broken);
    EXPECT_FALSE(ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers).ok()) << broken;
  }
  PutFile(partial_ / "identity.json", before.at("identity.json"));
  EXPECT_EQ(FolderBytes(partial_), before) << "a refusal touches nothing";
  {
    const auto writer = ArtifactWriter::Open(out_, {{"recipe", "other"}}, kLayers, true);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    EXPECT_FALSE(writer->resumed());
    EXPECT_EQ(writer->finished_layers(), 0);
    EXPECT_EQ(writer->ReadState("calibration").value(), std::nullopt);
    EXPECT_TRUE(FolderBytes(partial_ / "model").empty());
  }
  EXPECT_TRUE(ArtifactWriter::Open(out_, {{"recipe", "other"}}, kLayers)->resumed());
}

TEST_F(WriterTest, AnIdentityThatCannotBeReadIsAnError) {
  ASSERT_EQ(Quantize(source_, out_, 4, 3), "");
  fs::remove(partial_ / "identity.json");
  fs::create_directory(partial_ / "identity.json");  // root reads what others may not
  const auto writer = ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers);
  ASSERT_FALSE(writer.ok());
  EXPECT_THAT(writer.error().message, HasSubstr("--restart"));
  EXPECT_FALSE(FolderBytes(partial_ / "model").empty());
}

TEST_F(WriterTest, TheOrderOfIdentityKeysDoesNotMatter) {
  { auto writer = ArtifactWriter::Open(out_, json::parse(R"({"a": 1, "b": [2]})"), kLayers); }
  EXPECT_TRUE(ArtifactWriter::Open(out_, json::parse(R"({"b": [2], "a": 1})"), kLayers)->resumed());
}

TEST_F(WriterTest, OnlyOneProcessWrites) {
  Result<ArtifactWriter> first = ArtifactWriter::Open(out_, {}, kLayers);
  ASSERT_TRUE(first.ok());
  const Result<ArtifactWriter> second = ArtifactWriter::Open(out_, {}, kLayers);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, partial_.string() + ": another atom quantize is writing here");
  first->Abandon();
  EXPECT_FALSE(fs::exists(partial_));
  EXPECT_TRUE(ArtifactWriter::Open(out_, {}, kLayers).ok());
}

TEST_F(WriterTest, NothingIsOverwritten) {
  ASSERT_EQ(Quantize(source_, out_), "");
  EXPECT_EQ(Quantize(source_, out_),
            out_.string() +
                ": exists already, expected a new name: remove it, or choose "
                "another output");
  EXPECT_FALSE(fs::exists(partial_));
  EXPECT_THAT(Quantize(source_, folder_ / "absent" / "out"), HasSubstr("there is no folder"));
  PutFile(folder_ / "file.partial", "mine");
  EXPECT_THAT(Quantize(source_, folder_ / "file"), HasSubstr("file.partial: is not a folder"));
  fs::create_directory(folder_ / "mine.partial");
  PutFile(folder_ / "mine.partial" / "thesis.txt", "years of work");
  EXPECT_THAT(Quantize(source_, folder_ / "mine"), HasSubstr("mine.partial: holds other files"));
  EXPECT_EQ(FileBytes(folder_ / "mine.partial" / "thesis.txt"), "years of work");
}

TEST_F(WriterTest, AFolderThatAppearsDuringTheRunIsNotOverwritten) {
  ASSERT_EQ(Quantize(source_, out_, 4, kLayers + 1), "");
  const OpenedCheckpoint checkpoint(source_);
  auto writer = ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers);
  ASSERT_TRUE(writer.ok());
  fs::create_directory(out_);
  EXPECT_THAT(writer->Finish(checkpoint.Source(), TinyConfig(kLayers), {}).error().message,
              HasSubstr("exists already"));
  fs::remove(out_);
  EXPECT_TRUE(writer->Finish(checkpoint.Source(), TinyConfig(kLayers), {}).ok());
  EXPECT_FALSE(fs::exists(partial_));
}

TEST_F(WriterTest, ATrailingSlashMeansTheSameFolder) {
  ASSERT_EQ(Quantize(source_, out_.string() + "/"), "");
  EXPECT_TRUE(fs::exists(out_ / "config.json"));
}

TEST_F(WriterTest, AKillAfterTheRenameLeavesAWholeArtifactAndIsCleanedUp) {
  const auto golden = Golden();
  ASSERT_EQ(Quantize(source_, out_, 4, 2), "");
  const auto left = FolderBytes(partial_);
  fs::remove_all(partial_);
  ASSERT_EQ(Quantize(source_, out_), "");
  fs::create_directory(partial_);  // as it was at the rename: without model/
  for (const auto& [name, bytes] : left) {
    if (name.find('/') == std::string::npos) PutFile(partial_ / name, bytes);
  }
  ASSERT_TRUE(fs::exists(partial_ / "lock"));
  EXPECT_THAT(Quantize(source_, out_), HasSubstr("exists already"));
  EXPECT_FALSE(fs::exists(partial_));
  EXPECT_EQ(FolderBytes(out_), golden);
}

// Starts a run in a child process and kills it as it enters or leaves its `stops`-th system call:
// what is on the disk changes nowhere else. Returns how far it came, fewer than `stops` where it
// ended by itself; nullopt where processes may not be traced.
std::optional<int> RunUntilSystemCall(const fs::path& source, const fs::path& out, int stops) {
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
    raise(SIGSTOP);
    _exit(Quantize(source, out).empty() ? 0 : 1);
  }
  int status = 0;
  for (int stop = 0; stop <= stops; ++stop) {
    if (waitpid(child, &status, 0) != child) return std::nullopt;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return std::nullopt;
    if (!WIFSTOPPED(status)) {
      EXPECT_EQ(status, 0);
      return stop - 1;
    }
    if (stop < stops) ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return stops;
}

TEST_F(WriterTest, KilledAtAnySystemCallItResumesToTheSameBytes) {
  const auto golden = Golden();
  constexpr int kStep = 17;  // odd: entries and exits in turn
  int stops = 0;
  for (bool killed = true; killed; stops += kStep) {
    const std::optional<int> came = RunUntilSystemCall(source_, out_, stops);
    if (!came) GTEST_SKIP() << "this system does not let a test trace its child";
    killed = *came == stops;
    const bool whole = fs::exists(out_);
    ASSERT_EQ(whole ? "" : Quantize(source_, out_), "") << "killed at " << stops;
    ASSERT_EQ(FolderBytes(out_), golden) << "killed at " << stops;
    (void)ArtifactWriter::Open(out_, {}, kLayers);  // cleans up what a late kill left
    ASSERT_FALSE(fs::exists(partial_)) << "killed at " << stops;
    fs::remove_all(out_);
  }
  EXPECT_GT(stops, 100);
}

// Runs that resume are killed too, wherever they are; no clock decides.
TEST_F(WriterTest, KilledAgainAndAgainItResumesToTheSameBytes) {
  const auto golden = Golden();
  const std::optional<int> whole_run =
      RunUntilSystemCall(source_, out_, std::numeric_limits<int>::max());
  if (!whole_run) GTEST_SKIP() << "this system does not let a test trace its child";
  fs::remove_all(out_);
  Rng rng(3);
  int resumed = 0;
  for (int round = 0; round < 10; ++round) {
    for (int kills = 0; kills < 4 && !fs::exists(out_); ++kills) {
      resumed += fs::exists(partial_ / "model") ? 1 : 0;
      const int stops = static_cast<int>(rng.Below(1 + *whole_run));
      ASSERT_TRUE(RunUntilSystemCall(source_, out_, stops));
    }
    ASSERT_EQ(fs::exists(out_) ? "" : Quantize(source_, out_), "");
    EXPECT_EQ(FolderBytes(out_), golden);
    (void)ArtifactWriter::Open(out_, {}, kLayers);  // cleans up what a late kill left
    EXPECT_FALSE(fs::exists(partial_));
    fs::remove_all(out_);
  }
  EXPECT_GT(resumed, 0) << "no run was killed twice";
}

TEST_F(WriterTest, AFullDiskIsASentenceAndTheRunResumes) {
  const auto golden = Golden();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // A limit on file sizes stands in for a full disk: the same failing write.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{3000, 3000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const std::string error = Quantize(source_, out_);
    const bool named = error.find(
                           "model-00001-of-00004.safetensors: cannot be written: File too "
                           "large") != std::string::npos;
    _exit(named ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(FolderBytes(partial_ / "model").empty());
  ASSERT_EQ(Quantize(source_, out_), "");
  EXPECT_EQ(FolderBytes(out_), golden);
}

TEST_F(WriterTest, AbandonLeavesNothing) {
  ASSERT_EQ(Quantize(source_, out_, 4, 3), "");
  auto writer = ArtifactWriter::Open(out_, {{"recipe", "tiny"}}, kLayers);
  ASSERT_TRUE(writer.ok());
  writer->Abandon();
  EXPECT_FALSE(fs::exists(partial_));
  EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace atom::artifact
