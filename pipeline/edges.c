// The heaviest edges between lists of nodes; edges.py calls this and says what it returns.

#include <stdint.h>

typedef struct {
    int64_t nodes;
    const int32_t *bounds, *columns;
    const float *weights;
} Graph;

typedef struct {
    const int64_t *rows;  // sorted
    int64_t count;
} Nodes;

// Return where a row stands, -1 where it does not.
static int64_t
find(Nodes among, int64_t row)
{
    int64_t low = 0, high = among.count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (among.rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < among.count && among.rows[low] == row ? low : -1;
}

static void
consider(float *heaviest, int64_t *owned, int64_t own, float weight)
{
    if (weight > *heaviest || (weight == *heaviest && *owned >= 0 && own < *owned)) {
        *heaviest = weight;
        *owned = own;
    }
}

static void
between(const Graph *g, Nodes shown, Nodes has, int64_t *owned, float *heaviest)
{
    for (int64_t s = 0; s < shown.count; s++) {
        const int64_t row = shown.rows[s];
        owned[s] = -1;
        heaviest[s] = 0;
        if (row >= g->nodes)
            continue;
        for (int32_t e = g->bounds[row]; e < g->bounds[row + 1]; e++)
            if (find(has, g->columns[e]) >= 0)
                consider(heaviest + s, owned + s, g->columns[e], g->weights[e]);
    }
    for (int64_t h = 0; h < has.count && has.rows[h] < g->nodes; h++)
        for (int32_t e = g->bounds[has.rows[h]]; e < g->bounds[has.rows[h] + 1]; e++) {
            const int64_t s = find(shown, g->columns[e]);
            if (s >= 0)
                consider(heaviest + s, owned + s, has.rows[h], g->weights[e]);
        }
}

// For each graph and list, the heaviest edges in either direction of what is shown to what its
// owner has; a row that a graph does not know has no edge in it.
void
heaviest_edges(const Graph *graphs, int64_t n_graphs, int64_t lists, const int64_t *shown,
               const int64_t *shown_bounds, const int64_t *has, const int64_t *has_bounds,
               int64_t *owned, float *heaviest)
{
    for (int64_t g = 0; g < n_graphs; g++)
        for (int64_t b = 0; b < lists; b++) {
            const int64_t from = shown_bounds[b], at = g * shown_bounds[lists] + from;
            const Nodes here = {shown + from, shown_bounds[b + 1] - from};
            const Nodes own = {has + has_bounds[b], has_bounds[b + 1] - has_bounds[b]};
            between(graphs + g, here, own, owned + at, heaviest + at);
        }
}
