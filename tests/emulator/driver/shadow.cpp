#include "shadow.h"

#include <memory>
#include <unordered_map>

namespace emulator {
namespace {

constexpr uintptr_t PAGE = 4096;
constexpr size_t MANY_PAGES = 16384;  // half a gigabyte, for 64 megabytes of a program

struct Page {
  Granule granules[PAGE / GRANULE];
};

auto& pages = *new std::unordered_map<uintptr_t, std::unique_ptr<Page>>;

// The pages that were asked for last, by the end of their numbers.
struct Recent {
  uintptr_t number = 0;
  Page* page = nullptr;
};
Recent recent[64];

}  // namespace

Granule& granule_of(uintptr_t address) {
  uintptr_t number = address / PAGE;
  Recent& found = recent[number % 64];
  if (!found.page || found.number != number) {
    std::unique_ptr<Page>& page = pages[number];
    if (!page) page = std::make_unique<Page>();
    found = {number, page.get()};
  }
  return found.page->granules[address % PAGE / GRANULE];
}

void trim_shadow() {
  if (pages.size() < MANY_PAGES) return;
  pages.clear();
  for (Recent& entry : recent) entry = Recent{};
}

}  // namespace emulator
