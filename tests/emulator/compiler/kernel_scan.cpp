#include "kernel_scan.h"

#include <algorithm>
#include <cctype>

namespace emulator {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Words, string literals with their quotes, and single characters. Preprocessed text has no comments left.
std::vector<std::string> tokens_of(const std::string& text) {
  std::vector<std::string> tokens;
  for (size_t i = 0, end; i < text.size(); i = end) {
    end = i + 1;
    char c = text[i];
    bool line_start = i == 0 || text[i - 1] == '\n';
    if (std::isspace(static_cast<unsigned char>(c))) continue;
    if (c == '#' && line_start) {  // a line marker
      end = std::min(text.find('\n', i), text.size());
      continue;
    }
    // A ' within a number separates digits and falls to the word below.
    if (c == '"' || c == '\'') {
      while (end < text.size() && text[end] != c && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
    } else if (is_word(c)) {
      bool number = std::isdigit(static_cast<unsigned char>(c));
      while (end < text.size() && (is_word(text[end]) || (number && text[end] == '\''))) ++end;
    }
    tokens.push_back(text.substr(i, end - i));
  }
  return tokens;
}

using Tokens = std::vector<std::string>;

// The index after the parenthesis that closes the one at `open`.
size_t after_parenthesis(const Tokens& tokens, size_t open) {
  int depth = 0;
  for (size_t i = open; i < tokens.size(); ++i) {
    depth += tokens[i] == "(" ? 1 : tokens[i] == ")" ? -1 : 0;
    if (depth == 0) return i + 1;
  }
  return tokens.size();
}

bool is_extern_c(const Tokens& tokens, size_t i) {
  return tokens[i] == "extern" && i + 1 < tokens.size() && tokens[i + 1] == "\"C\"";
}

std::string join(const Tokens& tokens, size_t from, size_t to) {
  std::string text;
  for (size_t i = from; i < to; ++i) text += tokens[i] + " ";
  return text;
}

// Reads on from the mark of __global__ to the name, over attributes and the return type.
FoundKernel read_head(const Tokens& tokens, size_t i) {
  FoundKernel kernel;
  while (i < tokens.size() && tokens[i] != ";" && tokens[i] != "{") {
    if (tokens[i] == "emulator_bounds") {
      size_t end = after_parenthesis(tokens, i + 1);
      kernel.bounds = join(tokens, i + 2, end - 1);
      i = end;
    } else if (tokens[i] == "__attribute__") {
      // Only the bounds inside matter, and they are read above.
      size_t end = after_parenthesis(tokens, i + 1);
      if (i + 3 < tokens.size() && tokens[i + 3] == "emulator_bounds") i += 3;
      else i = end;
    } else if (i + 1 < tokens.size() && tokens[i + 1] == "(" && is_word(tokens[i][0])) {
      kernel.name = tokens[i];
      return kernel;
    } else {
      ++i;
    }
  }
  return {};
}

}  // namespace

std::vector<FoundKernel> find_kernels(const std::string& preprocessed) {
  Tokens tokens = tokens_of(preprocessed);
  std::vector<FoundKernel> kernels;
  std::vector<bool> braces;  // those open here: does `extern "C"` stand before it?
  bool declared_c = false;   // `extern "C"` stands in this declaration
  std::string bounds_before;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string& token = tokens[i];
    if (is_extern_c(tokens, i)) declared_c = true;
    if (token == "emulator_bounds") bounds_before = join(tokens, i + 2, after_parenthesis(tokens, i + 1) - 1);
    if (token == "emulator_kernel" && (declared_c || std::count(braces.begin(), braces.end(), true))) {
      FoundKernel kernel = read_head(tokens, i);
      if (kernel.bounds.empty()) kernel.bounds = bounds_before;
      auto same = [&](const FoundKernel& other) { return other.name == kernel.name; };
      if (!kernel.name.empty() && std::none_of(kernels.begin(), kernels.end(), same)) kernels.push_back(kernel);
    }
    if (token == "{") braces.push_back(declared_c && i >= 2 && is_extern_c(tokens, i - 2));
    if (token == "}" && !braces.empty()) braces.pop_back();
    if (token == ";" || token == "{" || token == "}") declared_c = false, bounds_before.clear();
  }
  return kernels;
}

std::string make_private(const std::string& preprocessed) {
  std::string text;
  bool inside = false;
  for (size_t at = 0, end; at < preprocessed.size(); at = end) {
    end = std::min(preprocessed.find('\n', at), preprocessed.size() - 1) + 1;
    std::string line = preprocessed.substr(at, end - at);
    if (line.compare(0, 2, "# ") == 0) {  // # LINE "FILE" FLAGS, where flag 3 means the system's
      bool system = line.find(" 3", line.rfind('"')) != std::string::npos;
      if (inside == system) text += system ? "}\n" : "namespace {\n";
      inside = !system;
    }
    text += line;
  }
  return text + (inside ? "\n}\n" : "\n");
}

std::string registration(const std::vector<FoundKernel>& kernels) {
  std::string text = "\n# 1 \"registration of kernels\"\n";
  text += "extern \"C\" __attribute__((visibility(\"default\"))) const ::emulator::KernelEntry emulator_kernels[];\n";
  text += "const ::emulator::KernelEntry emulator_kernels[] = {\n";
  for (const FoundKernel& k : kernels) {
    text += "  {\"" + k.name + "\", &::emulator::Call<&::" + k.name + ">::run, ";
    text += "::emulator::max_threads(" + k.bounds + ")},\n";
  }
  return text + "  {nullptr, nullptr, 0}};\n";
}

}  // namespace emulator
