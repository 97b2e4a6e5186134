// Inverted lists searched for many queries at once; lists.py calls this and says what it returns.
//
// A query alone waits for its lists to come from memory. Here a list is read once for all queries
// that look at it: sixteen vectors are turned on their side, and each query meets all of them.

#include <float.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

#define LANES 16  // floats of a vector register

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));
typedef int32_t flags __attribute__((vector_size(LANES * sizeof(int32_t))));

typedef struct {
    int64_t width, lists, probes, k;
    const float *queries;
    const int64_t *assigned;
    const float *const *vectors;
    const int64_t *const *ids;
    const int64_t *sizes;
    float *scores;
    int64_t *rows;
} Search;

// Put a vector in its place among the best k so far: by score, equal ones by row.
static inline __attribute__((always_inline)) void
keep(float *scores, int64_t *rows, int64_t k, float score, int64_t row)
{
    int64_t at = k - 1;
    if (score < scores[at] || (score == scores[at] && row > rows[at]))
        return;
    while (at > 0 && (scores[at - 1] < score || (scores[at - 1] == score && rows[at - 1] > row))) {
        scores[at] = scores[at - 1];
        rows[at] = rows[at - 1];
        at--;
    }
    scores[at] = score;
    rows[at] = row;
}

EACH_PROCESSOR static void
look_through(const Search *s, int64_t list, const int64_t *asking, int64_t count, float *turned)
{
    const int64_t size = s->sizes[list], width = s->width, k = s->k;
    const float *vectors = s->vectors[list];
    const int64_t *ids = s->ids[list];
    for (int64_t from = 0; from < size; from += LANES) {
        const int64_t there = size - from < LANES ? size - from : LANES;
        for (int64_t v = 0; v < there; v++)
            for (int64_t d = 0; d < width; d++)
                turned[d * LANES + v] = vectors[(from + v) * width + d];
        for (int64_t a = 0; a < count; a++) {
            const int64_t query = asking[a];
            const float *q = s->queries + query * width;
            lanes even = {0}, odd = {0};
            int64_t d = 0;
            for (; d + 1 < width; d += 2) {
                even += q[d] * *(const lanes *)(turned + d * LANES);
                odd += q[d + 1] * *(const lanes *)(turned + (d + 1) * LANES);
            }
            if (d < width)
                even += q[d] * *(const lanes *)(turned + d * LANES);
            const lanes sums = even + odd;
            float *scores = s->scores + query * k;
            const float last = scores[k - 1];
            // Most of sixteen reach nothing: that is seen at once.
            union {
                flags each;
                int64_t some[LANES / 2];
            } reach = {.each = sums >= last};
            int64_t any = 0;
            for (int w = 0; w < LANES / 2; w++)
                any |= reach.some[w];
            if (!any)
                continue;
            for (int64_t v = 0; v < there; v++)
                if (sums[v] >= last)
                    keep(scores, s->rows + query * k, k, sums[v], ids[from + v]);
        }
    }
}

// Search for the queries begin..end - 1, list after list; returns whether there was memory for it.
static int
search_block(const Search *s, int64_t begin, int64_t end)
{
    const int64_t pairs = (end - begin) * s->probes;
    int64_t *bounds = calloc(s->lists + 2, sizeof(int64_t));
    int64_t *asking = malloc((pairs + 1) * sizeof(int64_t));
    float *turned = calloc(s->width * LANES, sizeof(float));
    const int ready = bounds && asking && turned;
    if (ready) {
        const int64_t *assigned = s->assigned + begin * s->probes;
        for (int64_t p = 0; p < pairs; p++)
            if (assigned[p] >= 0)
                bounds[assigned[p] + 2]++;
        for (int64_t list = 0; list < s->lists; list++)
            bounds[list + 2] += bounds[list + 1];
        for (int64_t p = 0; p < pairs; p++)
            if (assigned[p] >= 0)
                asking[bounds[assigned[p] + 1]++] = begin + p / s->probes;
        for (int64_t list = 0; list < s->lists; list++)
            if (bounds[list + 1] > bounds[list])
                look_through(s, list, asking + bounds[list], bounds[list + 1] - bounds[list],
                             turned);
    }
    free(bounds);
    free(asking);
    free(turned);
    return ready;
}

// scores, rows: (queries, k), filled here; a row is -1 where a query's lists hold fewer.
int
search_lists(int64_t queries, int64_t width, int64_t lists, int64_t probes, int64_t k,
             const float *from, const int64_t *assigned, const float *const *vectors,
             const int64_t *const *ids, const int64_t *sizes, float *scores, int64_t *rows,
             int threads)
{
    const Search s = {width, lists, probes, k,    from,   assigned,
                      vectors, ids, sizes,  scores, rows};
    for (int64_t at = 0; at < queries * k; at++) {
        scores[at] = -FLT_MAX;
        rows[at] = -1;
    }
    int ready = 1;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : ready)
    for (int block = 0; block < threads; block++)
        ready = search_block(&s, queries * block / threads, queries * (block + 1) / threads);
    return ready;
}
