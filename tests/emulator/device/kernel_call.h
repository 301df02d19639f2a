// From `void** kernelParams`, one pointer per argument, to a call of the kernel.
#pragma once

namespace emulator {

template <int... I> struct Indices {};
template <int N, int... I> struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I> struct MakeIndices<0, I...> { using type = Indices<I...>; };

// The host's argument may lie anywhere, the kernel's type may want 64 bytes of alignment: hence a copy.
template <class T> inline T argument(const void* from) {
  T value;
  __builtin_memcpy(static_cast<void*>(&value), from, sizeof(T));
  return value;
}

template <auto kernel> struct Call;
template <class... A, void (*kernel)(A...)> struct Call<kernel> {
  template <int... I> static void unpack([[maybe_unused]] void** params, Indices<I...>) {
    kernel(argument<A>(params[I])...);
  }
  static void run(void** params) { unpack(params, typename MakeIndices<sizeof...(A)>::type{}); }
};

// __launch_bounds__(threads, blocks): only the first one limits a launch.
constexpr unsigned max_threads() { return 0; }
template <class... Rest> constexpr unsigned max_threads(unsigned threads, Rest...) { return threads; }

}  // namespace emulator
