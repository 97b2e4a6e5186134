// Row-parallel sparse kernels for processors; kernels.py calls them and says what they return.
//
// A row of a sparse product gathers rows of x from all over memory, so waiting for them is the
// whole cost: each edge asks for the row of an edge further on before it uses its own. Sums run in
// the order of the edges whatever the number of threads, so that it never changes a result.

#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

#define AHEAD 16     // edges between asking for a row and using it
#define ROWS 256     // rows that a thread takes at a time
#define LANES 16     // floats of a vector register
#define STRIP 4      // registers of sums kept while a row is gathered
#define LINE 16      // floats of a cache line

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

static inline __attribute__((always_inline)) void
fetch(const float *row, int64_t width)
{
    for (int64_t at = 0; at < width; at += LINE)
        __builtin_prefetch(row + at);
}

// out[row, from : from + registers * LANES] of the product, for registers known when compiled.
static inline __attribute__((always_inline)) void
gather(const int registers, int64_t from, int64_t row, int64_t edges, int64_t width,
       const int64_t *indptr, const int64_t *indices, const float *values, const float *x,
       float *out)
{
    lanes sums[STRIP] = {{0}};
    for (int64_t e = indptr[row]; e < indptr[row + 1]; e++) {
        if (e + AHEAD < edges)
            fetch(x + indices[e + AHEAD] * width + from, registers * LANES);
        const float *sender = x + indices[e] * width + from;
        for (int r = 0; r < registers; r++)
            sums[r] += values[e] * *(const lanes *)(sender + r * LANES);
    }
    for (int r = 0; r < registers; r++)
        *(lanes *)(out + row * width + from + r * LANES) = sums[r];
}

EACH_PROCESSOR static void
product_rows(int64_t begin, int64_t end, int64_t edges, int64_t width, const int64_t *indptr,
             const int64_t *indices, const float *values, const float *x, float *out)
{
    for (int64_t row = begin; row < end; row++) {
        int64_t from = 0;
        for (; from + STRIP * LANES <= width; from += STRIP * LANES)
            gather(STRIP, from, row, edges, width, indptr, indices, values, x, out);
        for (; from + LANES <= width; from += LANES)
            gather(1, from, row, edges, width, indptr, indices, values, x, out);
        for (; from < width; from++) {
            float sum = 0;
            for (int64_t e = indptr[row]; e < indptr[row + 1]; e++)
                sum += values[e] * x[indices[e] * width + from];
            out[row * width + from] = sum;
        }
    }
}

EACH_PROCESSOR static void
dots_rows(int64_t begin, int64_t end, int64_t edges, int64_t width, const int64_t *indptr,
          const int64_t *indices, const float *receivers, const float *senders, float *out)
{
    for (int64_t row = begin; row < end; row++) {
        const float *receiver = receivers + row * width;
        for (int64_t e = indptr[row]; e < indptr[row + 1]; e++) {
            if (e + AHEAD < edges)
                fetch(senders + indices[e + AHEAD] * width, width);
            const float *sender = senders + indices[e] * width;
            lanes sums = {0};
            int64_t at = 0;
            for (; at + LANES <= width; at += LANES)
                sums += *(const lanes *)(receiver + at) * *(const lanes *)(sender + at);
            float sum = 0;
            for (; at < width; at++)
                sum += receiver[at] * sender[at];
            for (int lane = 0; lane < LANES; lane++)
                sum += sums[lane];
            out[e] = sum;
        }
    }
}

// out (R, width) = A @ x for the CSR matrix A (R, C) of `edges` values, x (C, width).
void product(int64_t rows, int64_t edges, int64_t width, const int64_t *indptr,
             const int64_t *indices, const float *values, const float *x, float *out, int threads)
{
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t begin = 0; begin < rows; begin += ROWS)
        product_rows(begin, begin + ROWS < rows ? begin + ROWS : rows, edges, width, indptr,
                     indices, values, x, out);
}

// out (edges,) = receivers[row] . senders[column] at each edge of the pattern (R, C).
void dots(int64_t rows, int64_t edges, int64_t width, const int64_t *indptr,
          const int64_t *indices, const float *receivers, const float *senders, float *out,
          int threads)
{
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t begin = 0; begin < rows; begin += ROWS)
        dots_rows(begin, begin + ROWS < rows ? begin + ROWS : rows, edges, width, indptr, indices,
                  receivers, senders, out);
}
