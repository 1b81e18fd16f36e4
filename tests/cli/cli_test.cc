// The program as a user meets it: exit codes, sentences, JSON, interruption.
#include <chrono>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "atom/bench/serving/load_client.h"
#include "atom/bench/serving/server_process.h"

#include "tests/cli/program.h"
#include "tests/tiny_model.h"

namespace atom::cli {
namespace {

/// Without output.
pid_t StartShell(const std::string& command) {
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  return child;
}

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(model());
    tests::WriteTinyModel({}, model());
    tests::WriteText(text(), tests::TinyText(4000));
  }
  std::filesystem::path model() const { return folder_ / "model"; }
  std::filesystem::path text() const { return folder_ / "text.txt"; }

  Outcome Atom(const std::string& arguments) const {
    return RunProgram("", arguments, folder_ / "stderr");
  }

  std::string QuantizeArguments(const std::string& out) const {
    return fmt::format("quantize {} -o {} --calib {} --samples 6 --seqlen 96 --threads 2",
                       model().string(), (folder_ / out).string(), text().string());
  }

  tests::TemporaryFolder folder_;
};

TEST_F(CliTest, EveryCommandHasHelp) {
  for (const char* command :
       {"", "quantize", "eval", "ablate", "generate", "chat", "tokenize", "inspect", "bench",
        "bench gemm", "bench attention", "bench rows", "bench model", "bench serve",
        "bench serving-recipes", "bench serving-trace", "bench tokenizer"}) {
    const Outcome run = Atom(std::string(command) + " --help");
    EXPECT_EQ(run.exit_code, 0) << command;
    EXPECT_NE(run.out.find("Usage"), std::string::npos) << command;
  }
  const Outcome version = Atom("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_NE(version.out.find("kernels: "), std::string::npos);
}

TEST_F(CliTest, WrongFlagsExitWithTwo) {
  for (const char* arguments : {"",
                                "nonsense",
                                "eval",
                                "eval --nonsense x",
                                "eval x --windows -3",
                                "eval x --tasks piqa --limit -1",
                                "generate x --prompt y --top-p 7",
                                "bench",
                                "bench nonsense",
                                "bench gemm --m 0",
                                "bench gemm --rounds 0",
                                "bench rows --seconds -1",
                                "bench model --layers -1",
                                "bench serve --url http://a --start b",
                                "bench serve --trace x --published",
                                "bench serve --rate 1 --concurrency 2",
                                "bench serving-recipes --batches 0",
                                "bench serving-recipes --budgets 2XB",
                                "bench serving-recipes --memory 2XB",
                                "bench serving-trace",
                                "generate x -p y --memory 0.5q",
                                "generate x -p y --speculate twice",
                                "generate x -p y --speculate-tokens 16"}) {
    const Outcome run = Atom(arguments);
    EXPECT_EQ(run.exit_code, 2) << arguments;
    EXPECT_NE(run.err.find("atom: "), std::string::npos) << arguments;
  }
  for (const char* arguments :
       {"eval x --dtype f", "eval x --weight-dtype f", "bench model --lm-head f"}) {
    const Outcome run = Atom(arguments);
    EXPECT_EQ(run.exit_code, 2) << arguments;
    EXPECT_NE(run.err.find(": expected fp32, bf16 or fp16, found 'f'"), std::string::npos)
        << run.err;
  }
}

TEST_F(CliTest, WrongInputsGetOneSentence) {
  const std::string dir = model().string();
  ExpectOneSentence(Atom("eval /nonexistent --ppl x"), "/nonexistent");
  ExpectOneSentence(Atom("inspect " + text().string()), "text.txt");
  ExpectOneSentence(Atom("eval " + dir + " --ppl nonsense"), "nonsense");
  ExpectOneSentence(Atom("eval " + dir + " --ppl " + text().string() + " --backend tpu"), "tpu");
  ExpectOneSentence(Atom(QuantizeArguments("q") + " --recipe nonsense"), "nonsense");
  ExpectOneSentence(Atom("ablate " + dir + " --rows nonsense"), "nonsense");
  ExpectOneSentence(Atom("ablate " + dir + " --rows two-level"), "kv-int4");  // of the longer one
  ExpectOneSentence(Atom("eval " + dir + " --ppl " + text().string() + " --windows 1,2"),
                    "found 2");
  ExpectOneSentence(Atom("tokenize " + dir + " /nonexistent.txt"), "/nonexistent.txt");
}

TEST_F(CliTest, BenchWritesRowsOrASentence) {
  const std::string gemm = "bench gemm --quick --m 2 --nk 64x256 ";
  ExpectOneSentence(Atom(gemm + "--kernels w2a2"), "w4a16");
  ExpectOneSentence(Atom(gemm + "--nk 64"), "expected NxK");
  ExpectOneSentence(Atom("bench model --quick llama-9"), "tinyllama-1.1b");
  ExpectOneSentence(Atom("bench attention --backend tpu"), "tpu");
  ExpectOneSentence(Atom(gemm + "--ablation"), "--backend cuda");
  ExpectOneSentence(Atom("bench attention --backend cuda --depths 512"), "--cases");
  ExpectOneSentence(Atom("bench rows --backend cpu"), "--backend cuda");
  // Where there is a GPU, it is the kernel that is unknown.
  ExpectOneSentence(Atom("bench gemm --backend cuda --kernels w2a2"), "");

  const Outcome run = Atom(gemm + "--kernels w4a4,f32 --threads 1 --json -");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto report = nlohmann::json::parse(run.out);
  ASSERT_EQ(report.at("rows").size(), 2u);
  EXPECT_EQ(report.at("rows")[0].at("kernel"), "w4a4");
  EXPECT_EQ(report.at("rows")[0].at("threads"), 1);
  EXPECT_GT(report.at("ceilings").at("dram").get<double>(), 0.0);

  const std::string json = (folder_ / "rows.json").string();
  const Outcome table = Atom("bench model --quick --repeats 1 --tests pp8,tg2 --layers 1 " +
                             model().string() + " --json " + json);
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_NE(table.out.find("1/2"), std::string::npos) << table.out;
  EXPECT_EQ(nlohmann::json::parse(ReadAll(json)).at("rows").size(), 2u);
}

TEST_F(CliTest, BenchOfServingWritesRowsOrASentence) {
  ExpectOneSentence(Atom("bench serve --concurrency 1"), "--start");
  ExpectOneSentence(Atom("bench serve --url ftp://x --concurrency 1"), "ftp://x");
  ExpectOneSentence(Atom("bench serve --url http://127.0.0.1:1 --concurrency 1"), "127.0.0.1:1");
  ExpectOneSentence(Atom("bench serve --url http://a --trace " + text().string()), "TIMESTAMP");
  ExpectOneSentence(Atom("bench serve --start /nonexistent --concurrency 1"), "/nonexistent");
  ExpectOneSentence(Atom("bench serving-recipes llama-9"), "tinyllama-1.1b");

  const std::string json = (folder_ / "rows.json").string();
  const std::string svg = (folder_ / "rows.svg").string();
  const Outcome run = Atom("bench serving-recipes --quick --seconds 0.05 --max-length 64 " +
                           model().string() + " --recipes none,atom-w4a4 --batches 2 --budgets " +
                           "1KiB --json " + json + " --plot " + svg);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("random weights"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("does not fit"), std::string::npos) << run.out;
  EXPECT_EQ(nlohmann::json::parse(ReadAll(json)).at("rows").size(), 6u);
  EXPECT_NE(ReadAll(svg).find("Throughput at equal batches"), std::string::npos);

  const std::string more = "bench serving-recipes --quick --seconds 0 --steps 1 --max-length 64 " +
                           model().string() + " --recipes none --batches 2,3 ";
  const Outcome resumed = Atom(more + "--resume --json " + json);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(nlohmann::json::parse(ReadAll(json)).at("rows").size(), 7u);
  EXPECT_EQ(resumed.out.find("batch 2"), std::string::npos) << resumed.out;
  EXPECT_NE(resumed.out.find("batch 3"), std::string::npos) << resumed.out;
  ExpectOneSentence(Atom(more + "--resume"), "--json");
  ExpectOneSentence(Atom(more + "--lengths 5"), "1000/1000");
  ExpectOneSentence(Atom(more + "--rules first"), "reserved or demand");
}

TEST_F(CliTest, BenchOfATraceWritesItsTrials) {
  const std::string trace = (folder_ / "trace.csv").string();
  tests::WriteText(trace,
                   "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.00,20,4\n"
                   "2023-11-16 18:15:46.05,30,5\n");
  const std::string json = (folder_ / "trials.json").string();
  const std::string bench = "bench serving-trace --quick " + model().string() +
                            " --recipes atom-w4a4 --trials 1 --seconds 0.1 --trace ";
  const Outcome run = Atom(bench + trace + " --slo-ttft 60000 --slo-itl 60000 --json " + json);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto rows = nlohmann::json::parse(ReadAll(json)).at("rows");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("completed"), 2);
  EXPECT_EQ(rows[0].at("holds"), true);
  ExpectOneSentence(Atom(bench + text().string()), "TIMESTAMP");
  ExpectOneSentence(Atom(bench + trace + " --memory 2KiB"), "expected at least");
}

TEST_F(CliTest, BenchStartsAServerAndEndsIt) {
  const std::string json = (folder_ / "serve.json").string();
  const std::string svg = (folder_ / "serve.svg").string();
  const Outcome run = Atom("bench serve --start " + model().string() +
                           " --serve-flags --threads,2 --fixed 100,50 --context 40 --concurrency 2"
                           " --requests 5 --slo-itl 100000 --json " +
                           json + " --plot " + svg);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("5 of 5 requests completed"), std::string::npos) << run.out;
  const auto report = nlohmann::json::parse(ReadAll(json));
  EXPECT_EQ(report.at("model"), "model");
  EXPECT_EQ(report.at("cut"), 5);
  EXPECT_EQ(report.at("prompt_tokens"), 5 * 1);  // what 39 tokens of output leave of 40
  EXPECT_EQ(report.at("output_tokens"), 5 * 39);
  EXPECT_EQ(report.at("good"), 5);
  EXPECT_NE(ReadAll(svg).find("Latencies of model"), std::string::npos);
  const std::string url = report.at("url");
  ExpectOneSentence(Atom("bench serve --concurrency 1 --url " + url), "refused");
}

TEST_F(CliTest, AnInterruptedBenchOfServingKeepsWhatItHas) {
  const Result<bench::ServerProcess> server = bench::ServerProcess::Start(
      {ATOM_PROGRAM, "serve", model().string(), "--port", "0", "--threads", "2", "--no-log"});
  ASSERT_TRUE(server.ok()) << server.error().message;
  const std::string json = (folder_ / "serve.json").string();
  const pid_t child =
      StartShell(fmt::format("exec {} bench serve --url {} --vocab 200 --fixed 8,4 --concurrency 1 "
                             "--requests 1000000 --json {}",
                             ATOM_PROGRAM, server->url(), json));
  const bench::LoadTarget target{.url = bench::ParseServiceUrl(server->url()).value(),
                                 .api_key = ""};
  const std::string ended =
      "vllm:request_success_total{model_name=\"model\",finished_reason=\"length\"} ";
  for (std::string metrics; metrics.find(ended) == std::string::npos ||
                            metrics[metrics.find(ended) + ended.size()] == '0';) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    metrics = bench::Fetch(target, "/metrics").value();
  }
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  const auto report = nlohmann::json::parse(ReadAll(json));
  EXPECT_GE(report.at("requests"), 1);
  EXPECT_LT(report.at("requests"), 1000000);
  EXPECT_LE(report.at("requests").get<int64_t>() - report.at("completed").get<int64_t>(), 1);
}

TEST_F(CliTest, QuantizeEvalInspectGenerate) {
  const std::string out = (folder_ / "q").string();
  const Outcome quantize =
      Atom(QuantizeArguments("q") + " --json " + (folder_ / "q.json").string());
  ASSERT_EQ(quantize.exit_code, 0) << quantize.err;
  EXPECT_EQ(quantize.err, "") << "progress must be silent when stderr is not a terminal";
  EXPECT_NE(quantize.out.find("bits per weight"), std::string::npos);
  const auto report = nlohmann::json::parse(ReadAll(folder_ / "q.json"));
  EXPECT_EQ(report.at("layers").size(), 2u);
  EXPECT_GT(report.at("peak_memory_bytes").get<int64_t>(), 0);

  ExpectOneSentence(Atom(QuantizeArguments("q")), "q");  // it exists

  const Outcome eval = Atom("eval " + out + " --windows 3 --json - --ppl " + text().string());
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_EQ(eval.err, "") << "the default recipe has kernels";
  const auto rows = nlohmann::json::parse(eval.out).at("perplexity");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("dataset"), "text.txt");
  EXPECT_EQ(rows[0].at("windows"), 3);
  EXPECT_EQ(rows[0].at("tokens").get<size_t>(), ReadAll(text()).size() + 2);  // BOS, "▁"
  EXPECT_GT(rows[0].at("ppl").get<double>(), 1.0);
  EXPECT_TRUE(rows[0].contains("seconds"));

  const std::string task = (folder_ / "task.jsonl").string();
  std::ofstream(task) << R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0})" << '\n'
                      << R"({"goal": "h", "sol1": "c", "sol2": "d", "label": 1})" << '\n';
  const Outcome accuracy = Atom("eval " + out + " --json - --log-likelihoods --tasks piqa=" + task +
                                ",arc_easy=" + task);
  ExpectOneSentence(accuracy, "task.jsonl: line 1: field 'question'");
  const Outcome tasks =
      Atom("eval " + out + " --limit 1 --json - --log-likelihoods --tasks piqa=" + task +
           " --windows 1 --ppl " + text().string());
  ASSERT_EQ(tasks.exit_code, 0) << tasks.err;
  EXPECT_EQ(nlohmann::json::parse(tasks.out).at("tasks")[0].at("n"), 1);
  EXPECT_EQ(nlohmann::json::parse(tasks.out).at("perplexity").size(), 1u);
  const Outcome table = Atom("eval " + out + " --tasks piqa=" + task);
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_NE(table.out.find("acc_norm"), std::string::npos) << table.out;
  EXPECT_EQ(table.out.find("perplexity"), std::string::npos) << "only what was asked for";

  const Outcome inspect = Atom("inspect --json --verify " + out);
  ASSERT_EQ(inspect.exit_code, 0) << inspect.err;
  const auto config = nlohmann::json::parse(inspect.out).at("quantization_config");
  EXPECT_EQ(config.at("quant_method"), "atom");
  EXPECT_EQ(config.at("recipe").at("name"), "w4a8");

  const std::string generate =
      "generate " + out + " --prompt 'abc ' -n 12 --temperature 0 --ignore-eos";
  const Outcome first = Atom(generate);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_GT(first.out.size(), 1u);
  EXPECT_EQ(Atom(generate + " --threads 1").out, first.out);
}

TEST_F(CliTest, SpeculationChangesNoText) {
  const std::string generate =
      "generate " + model().string() + " --prompt 'abcabcabcabc' -n 40 --ignore-eos --seed 3";
  const std::string cold = generate + " --temperature 0";
  for (const std::string& arguments : {cold, generate}) {
    const Outcome plain = Atom(arguments);
    ASSERT_EQ(plain.exit_code, 0) << plain.err;
    EXPECT_EQ(Atom(arguments + " --speculate off").out, plain.out);
    EXPECT_EQ(Atom(arguments + " --speculate ngram --speculate-tokens 3").out, plain.out);
  }
  for (const std::string& command : {generate, "serve " + model().string()}) {
    ExpectOneSentence(Atom(command + " --speculate ngram --backend cuda"),
                      "with --backend cuda speculation is off");
  }
}

TEST_F(CliTest, AnArtifactOfTwoLevelScalesRunsEverywhere) {
  const Outcome quantize = Atom(QuantizeArguments("best") + " --recipe atom-best");
  ASSERT_EQ(quantize.exit_code, 0) << quantize.err;
  EXPECT_EQ(quantize.out.find("(simulated)"), std::string::npos);
  const std::string out = (folder_ / "best").string();
  const Outcome inspect = Atom("inspect --json --verify " + out);
  ASSERT_EQ(inspect.exit_code, 0) << inspect.err;
  const auto config = nlohmann::json::parse(inspect.out).at("quantization_config");
  EXPECT_EQ(config.at("recipe").at("weight").at("scales"), "two-level");
  EXPECT_EQ(config.at("simulated"), false);
  EXPECT_EQ(nlohmann::json::parse(inspect.out).at("kv_bits_per_value"), 4.5);

  const std::string eval = "eval " + out + " --windows 2 --json - --ppl " + text().string();
  const auto perplexity = [&](const Outcome& run) {
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return nlohmann::json::parse(run.out).at("perplexity")[0].at("ppl").get<double>();
  };
  const Outcome cpu = Atom(eval);
  EXPECT_EQ(cpu.err, "");
  const Outcome reference = Atom(eval + " --backend reference");
  EXPECT_EQ(reference.err, "");
  EXPECT_NEAR(perplexity(cpu) / perplexity(reference), 1.0, 1e-6);  // losses are added in double

  const std::string generate = "generate " + out + " --prompt 'abc ' -n 12 --temperature 0";
  const Outcome first = Atom(generate);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(Atom(generate + " --threads 1").out, first.out);
}

TEST_F(CliTest, TokenizeIsOneLineAndBack) {
  tests::WriteText(folder_ / "in", "ab");
  const Outcome ids = Atom("tokenize " + model().string() + " " + (folder_ / "in").string());
  EXPECT_EQ(ids.out, "259 100 101\n");
  const Outcome bos = Atom("tokenize --bos " + model().string() + " " + (folder_ / "in").string());
  EXPECT_EQ(bos.out, "1 259 100 101\n");
  tests::WriteText(folder_ / "ids", bos.out);
  EXPECT_EQ(Atom("tokenize --decode " + model().string() + " " + (folder_ / "ids").string()).out,
            "ab");
  const std::string many = "tokenize --null " + model().string() + " ";
  tests::WriteText(folder_ / "in", std::string("ab\0\0b", 5));
  const Outcome lines = Atom(many + (folder_ / "in").string());
  EXPECT_EQ(lines.out, "259 100 101\n\n259 101\n") << "each starts a text";
  tests::WriteText(folder_ / "ids", lines.out);
  EXPECT_EQ(Atom(many + "--decode " + (folder_ / "ids").string()).out, std::string("ab\0\0b\0", 6));
  tests::WriteText(folder_ / "bad", "1 2 x");
  ExpectOneSentence(
      Atom("tokenize --decode " + model().string() + " " + (folder_ / "bad").string()), "\"x\"");
}

TEST_F(CliTest, AnErrorBeforeTheFirstLayerLeavesNothingBehind) {
  std::string bytes = ReadAll(model() / "model.safetensors");
  bytes[bytes.size() - 1] = '\x7f';  // the last bf16 of a tensor becomes a NaN
  bytes[bytes.size() - 2] = '\xff';
  tests::WriteText(model() / "model.safetensors", bytes);
  ExpectOneSentence(Atom(QuantizeArguments("q")), "nan");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q.partial"));
}

TEST_F(CliTest, AFullDiskKeepsFinishedLayersAndTheNextRunResumes) {
  tests::WriteTinyModel({.layers = 6}, model());
  ASSERT_EQ(Atom(QuantizeArguments("whole")).exit_code, 0);
  const auto layer_bytes = static_cast<int64_t>(
      std::filesystem::file_size(folder_ / "whole" / "model-00001-of-00007.safetensors"));
  // Beside the layers there are reports of them and the order of channels: a tenth of a layer each.
  const Outcome full = RunProgram(
      fmt::format("LD_PRELOAD={} ATOM_TEST_DISK_BYTES={}", ATOM_FULL_DISK, layer_bytes * 37 / 10),
      QuantizeArguments("out"), folder_ / "stderr");
  ExpectOneSentence(full, "No space left on device; 3 of 6 layers are kept in ");
  EXPECT_NE(full.err.find("out.partial"), std::string::npos) << full.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));

  ExpectOneSentence(Atom(QuantizeArguments("out") + " --recipe atom-w4a4"), "with --restart");
  const Outcome resumed = Atom(QuantizeArguments("out"));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.out.find("resuming: 3 of 6 layers were finished"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.partial"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "whole")) {
    EXPECT_EQ(ReadAll(entry.path()), ReadAll(folder_ / "out" / entry.path().filename()))
        << entry.path();
  }
}

TEST_F(CliTest, RestartDiscardsAnUnfinishedRun) {
  const Outcome full =
      RunProgram(fmt::format("LD_PRELOAD={} ATOM_TEST_DISK_BYTES={}", ATOM_FULL_DISK, 700000),
                 QuantizeArguments("out"), folder_ / "stderr");
  ExpectOneSentence(full, "1 of 2 layers are kept");
  const Outcome again = Atom(QuantizeArguments("out") + " --recipe rtn-w4a4 --restart");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out.find("resuming"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(CliTest, ATokenizerMayKnowMoreThanTheModel) {
  nlohmann::json tokenizer = tests::TinyTokenizer();
  nlohmann::json pad = tokenizer["added_tokens"][0];
  pad["id"] = 260;
  pad["content"] = "<pad>";
  tokenizer["added_tokens"].push_back(pad);
  tests::WriteText(model() / "tokenizer.json", tokenizer.dump());
  const std::string generate = "generate " + model().string() + " -n 4 --special -p ";
  EXPECT_EQ(Atom(generate + "hello").exit_code, 0);
  ExpectOneSentence(Atom(generate + "'a<pad>b'"), "expected tokens of a vocabulary of 260");
  EXPECT_EQ(Atom(QuantizeArguments("q") + " --recipe rtn-w4a4").exit_code, 0);
  EXPECT_EQ(Atom("eval " + (folder_ / "q").string() + " --ppl " + text().string()).exit_code, 0);
  tests::WriteText(text(), tests::TinyText(3000) + "<pad>" + tests::TinyText(3000));
  ExpectOneSentence(Atom("eval " + model().string() + " --ppl " + text().string()),
                    "expected tokens below the model's vocab_size of 260, found 260 ('<pad>')");
}

TEST_F(CliTest, ATokenizerFromElsewhere) {
  const std::filesystem::path tokenizer = folder_ / "tokenizer.v1";
  std::filesystem::rename(model() / "tokenizer.json", tokenizer);
  const std::string generate = "generate " + model().string() + " -n 4 -p hello";
  const std::string flag = " --tokenizer " + tokenizer.string();
  ExpectOneSentence(Atom(generate), "has no tokenizer");
  EXPECT_EQ(Atom(generate + flag).exit_code, 0);
  EXPECT_EQ(Atom(QuantizeArguments("q") + " --recipe rtn-w4a4" + flag).exit_code, 0);
  const std::string eval = "eval " + (folder_ / "q").string() + " --ppl " + text().string();
  EXPECT_EQ(Atom(eval + flag).exit_code, 0);
  EXPECT_EQ(Atom("tokenize " + model().string() + " " + text().string() + flag).exit_code, 0);
  std::filesystem::create_directory(folder_ / "other");
  std::filesystem::copy_file(tokenizer, folder_ / "other/tokenizer.json");
  EXPECT_EQ(Atom(eval + " --tokenizer " + (folder_ / "other").string()).exit_code, 0);
  ExpectOneSentence(Atom(eval + " --tokenizer " + (folder_ / "absent").string()),
                    "absent: has no tokenizer");
  tests::WriteText(folder_ / "broken.tok", "{}");
  ExpectOneSentence(Atom(eval + " --tokenizer " + (folder_ / "broken.tok").string()),
                    "broken.tok: field 'model' is missing");
  ExpectOneSentence(Atom(generate + " --tokenizer tekken.json"), "model/tekken.json");
  const std::string bench = "bench tokenizer --repeats 1 --json - --text " + text().string() + " ";
  const Outcome speed = Atom(bench + tokenizer.string() + " " + (folder_ / "other").string());
  ASSERT_EQ(speed.exit_code, 0) << speed.err;
  EXPECT_EQ(nlohmann::json::parse(speed.out).at("rows").size(), 2u);
  ExpectOneSentence(Atom(bench + model().string()), "has no tokenizer");
}

TEST_F(CliTest, EveryCommandThatReadsTextTakesATokenizer) {
  for (const std::string command :
       {"quantize", "eval", "ablate", "generate", "chat", "serve", "tokenize"}) {
    const Outcome run = Atom(command + " --help");
    EXPECT_NE(run.out.find("--tokenizer TEXT"), std::string::npos) << command << run.out;
  }
}

TEST_F(CliTest, ANullQuantizationConfigIsNone) {
  nlohmann::json config = tests::TinyConfig({});
  config["quantization_config"] = nullptr;
  tests::WriteText(model() / "config.json", config.dump());
  for (const std::string& command :
       {"inspect " + model().string(), "generate " + model().string() + " -n 2 -p hello",
        "eval " + model().string() + " --ppl " + text().string(),
        QuantizeArguments("q") + " --recipe rtn-w4a4"}) {
    const Outcome run = Atom(command);
    EXPECT_EQ(run.exit_code, 0) << command << run.err;
  }
}

TEST_F(CliTest, AModelThatOverflowsSaysWhere) {
  tests::WriteTinyModel({.overflow_layer = 1}, model());
  const std::string sentence = "layer 1: its output is not finite";
  ExpectOneSentence(Atom(QuantizeArguments("q")), sentence);
  ExpectOneSentence(Atom("eval " + model().string() + " --ppl " + text().string()), sentence);
  ExpectOneSentence(Atom("generate " + model().string() + " -n 4 -p hello"), sentence);
}

TEST_F(CliTest, AKilledRunIsResumedToTheSameBytes) {
  const auto arguments = [&](const std::string& name) {
    return QuantizeArguments(name) + " --recipe atom-w4a4";
  };
  ASSERT_EQ(Atom(arguments("whole")).exit_code, 0);
  for (int delay = 0; delay < 400; delay += 40) {
    const std::string name = fmt::format("killed-{}", delay);
    const std::string command = "exec " + std::string(ATOM_PROGRAM) + " " + arguments(name);
    const pid_t child = StartShell(command);
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    // Behind the last rename the artifact is whole, and the partial folder may not be gone yet.
    if (!std::filesystem::exists(folder_ / name)) {
      const Outcome again = Atom(arguments(name));
      ASSERT_EQ(again.exit_code, 0) << again.err;
      EXPECT_FALSE(std::filesystem::exists(folder_ / (name + ".partial")));
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "whole")) {
      EXPECT_EQ(ReadAll(entry.path()), ReadAll(folder_ / name / entry.path().filename()))
          << entry.path() << " after a kill at " << delay << " ms";
    }
  }
}

}  // namespace
}  // namespace atom::cli
