#include "atom/io/tensor_source.h"

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace atom::io {
namespace {

/// [rows][cols] with element (r, c) = 10 r + c.
struct Matrix {
  Matrix(int64_t rows, int64_t cols) : values(static_cast<size_t>(rows * cols)) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        values[static_cast<size_t>(r * cols + c)] = static_cast<float>(10 * r + c);
      }
    }
    view = {DType::kF32, {rows, cols}, std::as_bytes(std::span(values)).data()};
  }
  FoundTensor Found() const { return {view, {}, nullptr}; }

  std::vector<float> values;
  TensorView view;
};

std::vector<float> ValuesOf(const std::optional<FoundTensor>& tensor) {
  return tensor ? ToFloats(tensor->view) : std::vector<float>();
}

TEST(Take, AWholeTensorStaysAView) {
  const Matrix m(3, 2);
  const auto taken = Take(m.Found(), {.name = "x"});
  EXPECT_EQ(taken->view.data, m.view.data);
  EXPECT_EQ(taken->view.shape, m.view.shape);
}

TEST(Take, RowsOfAFusedTensorAreAView) {
  const Matrix m(5, 2);
  const auto taken = Take(m.Found(), {.name = "x", .first_row = 1, .rows = 3});
  EXPECT_EQ(taken->view.shape, (Shape{3, 2}));
  EXPECT_EQ(taken->view.data, m.view.data + 2 * sizeof(float));
  EXPECT_EQ(ValuesOf(taken), (std::vector<float>{10, 11, 20, 21, 30, 31}));
  EXPECT_EQ(taken->owned.size(), 0u);
}

TEST(Take, ABiasHasRowsToo) {
  Matrix m(1, 5);
  m.view.shape = {5};
  EXPECT_EQ(ValuesOf(Take(m.Found(), {.name = "x", .first_row = 3, .rows = 2})),
            (std::vector<float>{3, 4}));
}

TEST(Take, Transposes) {
  const Matrix m(2, 3);
  const auto taken = Take(m.Found(), {.name = "x", .transposed = true});
  EXPECT_EQ(taken->view.shape, (Shape{3, 2}));
  EXPECT_EQ(ValuesOf(taken), (std::vector<float>{0, 10, 1, 11, 2, 12}));
}

TEST(Take, TransposesFirstThenCutsThenOrdersRows) {
  const Matrix m(2, 4);
  const TensorPlace place{
      .name = "x", .transposed = true, .first_row = 1, .rows = 3, .row_order = {2, 0, 1}};
  const auto taken = Take(m.Found(), place);
  EXPECT_EQ(taken->view.shape, (Shape{3, 2}));
  EXPECT_EQ(ValuesOf(taken), (std::vector<float>{3, 13, 1, 11, 2, 12}));
  EXPECT_EQ(taken->view.data, taken->owned.data());
}

TEST(Take, OrdersRowsOfAnyType) {
  const std::vector<Half> halves = {ToHalf(1), ToHalf(2), ToHalf(3), ToHalf(4)};
  const TensorView view{DType::kF16, {4}, std::as_bytes(std::span(halves)).data()};
  EXPECT_EQ(ValuesOf(Take({view, {}, nullptr}, {.name = "x", .row_order = {3, 1, 2, 0}})),
            (std::vector<float>{4, 2, 3, 1}));
}

TEST(Take, AddsAnOffsetInFp32) {
  const std::vector<Half> halves = {ToHalf(1.5f), ToHalf(-2), ToHalf(0.25f)};
  const TensorView view{DType::kF16, {3}, std::as_bytes(std::span(halves)).data()};
  const auto taken = Take({view, {}, nullptr}, {.name = "x", .offset = -1.0f});
  EXPECT_EQ(taken->view.dtype, DType::kF32);
  EXPECT_EQ(ValuesOf(taken), (std::vector<float>{0.5f, -3.0f, -0.75f}));
  EXPECT_EQ(taken->view.data, taken->owned.data());
}

TEST(Take, RefusesWhatTheTensorDoesNotHave) {
  const Matrix m(3, 2);
  EXPECT_FALSE(Take(m.Found(), {.name = "x", .first_row = 1, .rows = 3}));
  EXPECT_FALSE(Take(m.Found(), {.name = "x", .first_row = -1, .rows = 2}));
  EXPECT_FALSE(Take(m.Found(), {.name = "x", .row_order = {0, 1}}));
  EXPECT_FALSE(Take(m.Found(), {.name = "x", .row_order = {0, 1, 3}}));
  EXPECT_FALSE(Take(m.Found(), {.name = "x", .row_order = {0, 1, -1}}));
  TensorView flat = m.view;
  flat.shape = {6};
  EXPECT_FALSE(Take({flat, {}, nullptr}, {.name = "x", .transposed = true}));
  flat.shape = {};
  EXPECT_FALSE(Take({flat, {}, nullptr}, {.name = "x", .first_row = 0, .rows = 1}));
}

TEST(SafetensorsSource, FindsATensorInAnyOfItsFiles) {
  const Matrix a(1, 2), b(2, 2);
  const TempFolder folder;
  std::vector<SafetensorsFile> files;
  for (const auto& [name, matrix] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
    const auto path = folder.path() / (std::string(name) + ".safetensors");
    ASSERT_TRUE(WriteSafetensors(path, std::vector<NamedTensor>{{name, matrix->view}}, {}).ok());
    files.push_back(SafetensorsFile::Open(path).value());
  }
  const std::string name = "the model";
  const SafetensorsSource source(files, name);
  EXPECT_EQ(source.name(), "the model");
  EXPECT_EQ(ValuesOf(source.Find("b")), b.values);
  EXPECT_EQ(*source.Find("a")->file, files[0].source());
  EXPECT_FALSE(source.Find("c"));
}

}  // namespace
}  // namespace atom::io
