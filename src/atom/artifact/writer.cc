#include "atom/artifact/writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "atom/artifact/layer_tensors.h"
#include "atom/artifact/partial_folder.h"
#include "atom/artifact/reader.h"
#include "atom/artifact/shard_index.h"
#include "atom/io/atomic_file.h"
#include "atom/io/checksum.h"
#include "atom/io/json.h"
#include "atom/io/safetensors.h"

namespace atom::artifact {
namespace {

namespace fs = std::filesystem;
using io::Json;

constexpr std::string_view kReportFile = "quantize_report.json";

Status CheckOutput(const fs::path& out) {
  std::error_code failed;
  if (fs::exists(fs::symlink_status(out, failed))) {
    return MakeError("{}: exists already, expected a new name: remove it, or choose another output",
                     out.string());
  }
  const fs::path parent = out.has_parent_path() ? out.parent_path() : fs::path(".");
  if (!fs::is_directory(parent, failed)) {
    return MakeError("{}: cannot be written: there is no folder {}", out.string(), parent.string());
  }
  return {};
}

// Counts up when the same input comes to give other bytes. Not the program's version: a release
// that changes no arithmetic goes on with what the one before it has begun.
constexpr int kBytesVersion = 1;

// The identity as it stands in the file: everything that the shards' bytes depend on.
std::string IdentityText(const Json& identity, int64_t layers) {
  const Json whole = {{"format_version", QuantizationConfig::kFormatVersion},
                      {"bytes_version", kBytesVersion},
                      {"layers", layers},
                      {"run", identity}};
  return io::DumpJson(whole, 2) + "\n";  // keys sorted: the same content is the same text
}

}  // namespace

struct ArtifactWriter::State {
  fs::path out;
  PartialFolder partial;
  int64_t layers;
  int64_t finished = 0;
  bool closed = false;  // after Finish or Abandon

  int64_t shards() const { return layers + 1; }  // the last holds embedding, norm and lm_head
  std::string ShardOf(int64_t layer) const { return ShardName(layer + 1, shards()); }
  std::string HeadShard() const { return ShardName(shards(), shards()); }
  fs::path PathOf(const std::string& file) const { return partial.model() / file; }

  // Recorded, present, and byte for byte what was recorded.
  bool IsFinished(int64_t layer) const {
    const std::string shard = ShardOf(layer);
    const auto recorded = partial.checksums().find(shard);
    if (recorded == partial.checksums().end()) return false;
    const Result<std::string> checksum = io::ChecksumOfFile(PathOf(shard));
    return checksum.ok() && *checksum == recorded->second &&
           io::SafetensorsFile::Open(PathOf(shard)).ok();
  }

  Result<ShardIndex> Index() const {
    ShardIndex index;
    for (int64_t shard = 1; shard <= shards(); ++shard) {
      const std::string name = ShardName(shard, shards());
      const Result<io::SafetensorsFile> file = io::SafetensorsFile::Open(PathOf(name));
      if (!file.ok()) return file.error();
      index.Add(name, *file, partial.checksums().at(name));
    }
    return index;
  }
};

ArtifactWriter::ArtifactWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArtifactWriter::ArtifactWriter(ArtifactWriter&&) noexcept = default;
ArtifactWriter& ArtifactWriter::operator=(ArtifactWriter&&) noexcept = default;
ArtifactWriter::~ArtifactWriter() = default;

Result<ArtifactWriter> ArtifactWriter::Open(const fs::path& path, const Json& identity,
                                            int64_t layers, bool restart) {
  const fs::path out = path.has_filename() ? path : path.parent_path();  // "OUT/" is "OUT"
  fs::path folder = out;
  folder += ".partial";
  if (Status status = CheckOutput(out); !status.ok()) {
    PartialFolder::RemoveLeftover(folder);
    return status.error();
  }
  Result<PartialFolder> partial = PartialFolder::Acquire(
      folder, IdentityText(identity, layers),
      restart ? PartialFolder::Left::kDiscard : PartialFolder::Left::kResume);
  if (!partial.ok()) return partial.error();
  if (Status status = CheckOutput(out); !status.ok()) {  // another process has just finished it
    partial->Remove();
    return status.error();
  }
  auto state = std::make_unique<State>(State{out, *std::move(partial), layers});
  while (state->finished < layers && state->IsFinished(state->finished)) ++state->finished;
  Status kept = state->partial.KeepShards(state->finished, state->shards());
  if (!kept.ok()) return kept.error();
  return ArtifactWriter(std::move(state));
}

int64_t ArtifactWriter::finished_layers() const { return state_->finished; }
bool ArtifactWriter::resumed() const { return state_->partial.resumed(); }

Status ArtifactWriter::WriteLayer(int64_t layer, const HostLayer& host) {
  ATOM_CHECK(!state_->closed && layer == state_->finished && layer < state_->layers,
             "layer {} after {} of {}", layer, state_->finished, state_->layers);
  const std::string shard = state_->ShardOf(layer);
  const Result<std::string> checksum =
      io::WriteSafetensors(state_->PathOf(shard), LayerTensors(host, layer), {{"format", "pt"}});
  if (!checksum.ok()) return checksum.error();
  if (Status status = state_->partial.RecordChecksum(shard, *checksum); !status.ok()) return status;
  ++state_->finished;
  return {};
}

Result<HostLayer> ArtifactWriter::ReadLayer(int64_t layer, const LayerShape& shape,
                                            const QuantizationConfig& config) const {
  ATOM_CHECK(0 <= layer && layer < state_->finished, "layer {} of {} finished", layer,
             state_->finished);
  const fs::path path = state_->PathOf(state_->ShardOf(layer));
  const Result<io::SafetensorsFile> file = io::SafetensorsFile::Open(path);
  if (!file.ok()) return file.error();
  const std::string name = path.string();
  Result<HostLayer> host =
      artifact::ReadLayer(io::SafetensorsSource(std::span(&*file, 1), name), layer, shape, &config);
  if (!host.ok()) return host;
  for (HostLinear& linear : host->linears) {
    if (linear.packed()) {
      linear.weight = quant::QuantizedMatrix(std::get<PackedMatrix>(linear.weight).view);
    } else {
      linear.weight = std::get<DenseMatrix>(linear.weight).Copy();
    }
  }
  if (host->router) host->router = host->router->Copy();
  return host;
}

Status ArtifactWriter::WriteState(const std::string& name, const std::string& bytes) {
  return state_->partial.WriteState(name, bytes);
}

Result<std::optional<std::string>> ArtifactWriter::ReadState(const std::string& name) const {
  return state_->partial.ReadState(name);
}

Status ArtifactWriter::Finish(const SourceModel& source, const QuantizationConfig& config,
                              const Json& report) {
  State& state = *state_;
  ATOM_CHECK(!state.closed && state.finished == state.layers, "finish after {} of {} layers",
             state.finished, state.layers);
  const fs::path model = state.partial.model();
  const Result<std::string> checksum = WriteHeadShard(source, state.PathOf(state.HeadShard()));
  if (!checksum.ok()) return checksum.error();
  Status status = state.partial.RecordChecksum(state.HeadShard(), *checksum);
  if (status.ok()) status = CopySideFiles(source.files.side_files(), model);
  if (status.ok()) status = WriteConfig(source.files, config, model / kConfigFile);
  if (status.ok()) status = io::WriteFileAtomically(model / kReportFile, PrettyJson(report));
  if (!status.ok()) return status;
  const Result<ShardIndex> index = state.Index();
  if (!index.ok()) return index.error();
  status = io::WriteFileAtomically(model / kIndexFile, PrettyJson(ToJson(*index)));
  if (status.ok()) status = CheckOutput(state.out);
  // All is synced: up to this rename a kill leaves a run to resume, after it a whole artifact.
  if (status.ok()) status = io::RenameDirectory(model, state.out);
  if (!status.ok()) return status;
  Abandon();
  return {};
}

void ArtifactWriter::Abandon() {
  if (!state_->closed) state_->partial.Remove();
  state_->closed = true;
}

}  // namespace atom::artifact
