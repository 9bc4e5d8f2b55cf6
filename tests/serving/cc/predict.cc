// Loads a SavedModel with TensorFlow's own C++ loader, as TensorFlow Serving does, runs one signature and prints its answers.
//
//   predict MODEL SIGNATURE NAME=FILE ...
//
// A NAME that comes several times has several rows. A string input's row is the bytes of FILE, a float input's row the number written
// there; NAME= alone is a missing cell. Prints a line for each output and row: NAME, ROW and the values, between tabs.
// The environment variable OP_LIBRARIES names libraries of operations to load first, with colons between them.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

namespace tf = tensorflow;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

tf::Tensor Column(tf::DataType type, const std::vector<std::string>& files) {
  tf::Tensor tensor(type, tf::TensorShape({static_cast<int64_t>(files.size())}));
  for (size_t row = 0; row < files.size(); ++row) {
    const std::string cell = files[row].empty() ? "" : ReadFile(files[row]);
    if (type == tf::DT_STRING) {
      tensor.vec<tf::tstring>()(row) = cell;
    } else {
      tensor.vec<double>()(row) = cell.empty() ? std::numeric_limits<double>::quiet_NaN() : std::strtod(cell.c_str(), nullptr);
    }
  }
  return tensor;
}

void Print(const std::string& name, const tf::Tensor& tensor) {
  const int64_t rows = tensor.dim_size(0);
  const int64_t width = rows == 0 ? 0 : tensor.NumElements() / rows;
  for (int64_t row = 0; row < rows; ++row) {
    std::printf("%s\t%d", name.c_str(), static_cast<int>(row));
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      if (tensor.dtype() == tf::DT_STRING) {
        std::printf("\t%s", std::string(tensor.flat<tf::tstring>()(i)).c_str());
      } else if (tensor.dtype() == tf::DT_BOOL) {
        std::printf("\t%d", tensor.flat<bool>()(i) ? 1 : 0);
      } else {
        std::printf("\t%.9g", tensor.flat<float>()(i));
      }
    }
    std::printf("\n");
  }
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

bool LoadOperations(const char* libraries) {
  std::istringstream paths(libraries == nullptr ? "" : libraries);
  for (std::string path; std::getline(paths, path, ':');) {
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return false;
    }
  }
  return true;
}

int main(int argc, char** argv) {
  if (!LoadOperations(std::getenv("OP_LIBRARIES"))) return 1;
  tf::SavedModelBundle bundle;
  absl::Status status = tf::LoadSavedModel(tf::SessionOptions(), tf::RunOptions(), argv[1], {"serve"}, &bundle);
  if (!status.ok()) return Fail(status);

  std::map<std::string, std::vector<std::string>> cells;
  for (int i = 3; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    cells[argument.substr(0, equals)].push_back(argument.substr(equals + 1));
  }

  const auto& signature = bundle.GetSignatures().at(argv[2]);
  std::vector<std::pair<std::string, tf::Tensor>> inputs;
  for (const auto& [name, files] : cells) {
    const auto& info = signature.inputs().at(name);
    inputs.emplace_back(info.name(), Column(info.dtype(), files));
  }
  std::vector<std::string> names, fetches;
  for (const auto& [name, info] : signature.outputs()) {
    names.push_back(name);
    fetches.push_back(info.name());
  }
  std::vector<tf::Tensor> outputs;
  status = bundle.GetSession()->Run(inputs, fetches, {}, &outputs);
  if (!status.ok()) return Fail(status);
  for (size_t i = 0; i < names.size(); ++i) Print(names[i], outputs[i]);
  return 0;
}
