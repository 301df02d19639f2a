// Maps of one element to one element. Each thread moves 16 bytes at a time where addresses allow (`packs` of
// them), and the elements behind these one by one.
#include "common.cuh"

// The same values in the other type; `hidden` is that of y.
#ifdef HIDDEN_BF16
typedef float source;
#else
typedef bf16 source;
#endif

#define CONVERTED 4

extern "C" __global__ void convert(const source *x, hidden *y, size_t n, size_t packs) {
    for (size_t i = grid_thread(); i < packs; i += grid_threads()) {
        float values[CONVERTED];
        load_floats(x + i * CONVERTED, values);
        store_floats(values, y + i * CONVERTED);
    }
    for (size_t i = packs * CONVERTED + grid_thread(); i < n; i += grid_threads()) {
        y[i] = from_float<hidden>(to_float(x[i]));
    }
}
