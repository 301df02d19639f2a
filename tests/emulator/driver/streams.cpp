// Streams and events. Everything has run when its call returns, so a stream is a name and an event a time.
#include <chrono>
#include <set>

#include "api.h"

namespace emulator {

struct Stream {};

struct Event {
  bool timed;
  bool recorded = false;
  std::chrono::steady_clock::time_point time{};
};

namespace {

auto& streams = *new std::set<Stream*>;
auto& events = *new std::set<Event*>;

// Null is the default stream, 1 and 2 are the names of the legacy one and the one of each thread.
CUresult check(CUstream stream) {
  Lock lock(library_lock());
  bool known = reinterpret_cast<uintptr_t>(stream) <= 2 || streams.count(stream);
  return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult check(CUevent event) {
  Lock lock(library_lock());
  return events.count(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult both(CUresult a, CUresult b) { return a != CUDA_SUCCESS ? a : b; }

}  // namespace
}  // namespace emulator

using namespace emulator;

EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned) {
  Lock lock(library_lock());
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  *stream = new Stream;
  streams.insert(*stream);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int) {
  return cuStreamCreate(stream, flags);
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  Lock lock(library_lock());
  if (streams.erase(stream) == 0) return CUDA_ERROR_INVALID_HANDLE;
  delete stream;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream stream) { return check(stream); }
EXPORT CUresult cuStreamQuery(CUstream stream) { return check(stream); }
EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) { return both(check(stream), check(event)); }
EXPORT CUresult cuStreamIsCapturing(CUstream stream, int* status) { return *status = 0, check(stream); }

EXPORT CUresult cuLaunchHostFunc(CUstream stream, void (*function)(void*), void* data) {
  CUresult known = check(stream);
  if (known == CUDA_SUCCESS) function(data);
  return known;
}

EXPORT CUresult cuEventCreate(CUevent* event, unsigned flags) {
  constexpr unsigned DISABLE_TIMING = 2;
  Lock lock(library_lock());
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  *event = new Event{!(flags & DISABLE_TIMING)};
  events.insert(*event);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  Lock lock(library_lock());
  if (events.erase(event) == 0) return CUDA_ERROR_INVALID_HANDLE;
  delete event;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  CUresult known = both(check(event), check(stream));
  if (known == CUDA_SUCCESS) event->recorded = true, event->time = std::chrono::steady_clock::now();
  return known;
}
EXPORT CUresult cuEventQuery(CUevent event) { return check(event); }
EXPORT CUresult cuEventSynchronize(CUevent event) { return check(event); }

EXPORT CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  CUresult known = both(check(start), check(end));
  if (known != CUDA_SUCCESS) return known;
  if (!start->timed || !end->timed || !start->recorded || !end->recorded) return CUDA_ERROR_INVALID_HANDLE;
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}
