// The heaviest edges between lists of nodes; edges.py calls this and says what it returns.

#include <stdint.h>

typedef struct {
    int64_t nodes;
    const int32_t *bounds, *columns;
    const float *weights;
} Graph;

typedef struct {
    const int64_t *rows;  // sorted
    const int64_t *places;
    int64_t count;
    uint64_t marks;  // a bit for each row: most that are looked for are not even marked
} Nodes;

static inline uint64_t
mark(int64_t row)
{
    return 1ull << ((uint64_t)row * 0x9E3779B97F4A7C15ull >> 58);
}

// Return rows that are sorted, each at its own place.
static Nodes
sorted_nodes(const int64_t *rows, int64_t count)
{
    Nodes made = {rows, 0, count, 0};
    for (int64_t i = 0; i < count; i++)
        made.marks |= mark(rows[i]);
    return made;
}

// Return the rows of a page, sorted into what there is room for.
static Nodes
page_nodes(const int64_t *rows, int64_t count, int64_t *room)
{
    int64_t *places = room + count;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;
        for (; at > 0 && room[at - 1] > rows[i]; at--) {
            room[at] = room[at - 1];
            places[at] = places[at - 1];
        }
        room[at] = rows[i];
        places[at] = i;
    }
    Nodes made = sorted_nodes(room, count);
    made.places = places;
    return made;
}

// Return where a row stands, -1 where it does not.
static int64_t
find(Nodes among, int64_t row)
{
    if (!(among.marks & mark(row)))
        return -1;
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
        const int64_t row = shown.rows[s], at = shown.places[s];
        owned[at] = -1;
        heaviest[at] = 0;
        if (row >= g->nodes)
            continue;
        for (int32_t e = g->bounds[row]; e < g->bounds[row + 1]; e++)
            if (find(has, g->columns[e]) >= 0)
                consider(heaviest + at, owned + at, g->columns[e], g->weights[e]);
    }
    for (int64_t h = 0; h < has.count && has.rows[h] < g->nodes; h++)
        for (int32_t e = g->bounds[has.rows[h]]; e < g->bounds[has.rows[h] + 1]; e++) {
            const int64_t s = find(shown, g->columns[e]);
            if (s >= 0)
                consider(heaviest + shown.places[s], owned + shown.places[s], has.rows[h],
                         g->weights[e]);
        }
}

// Ask for what is read next before it is needed: it lies all over memory.
static void
fetch_bounds(const Graph *g, Nodes rows)
{
    for (int64_t i = 0; i < rows.count && rows.rows[i] < g->nodes; i++)
        __builtin_prefetch(g->bounds + rows.rows[i]);
}

static void
fetch_columns(const Graph *g, Nodes rows)
{
    for (int64_t i = 0; i < rows.count && rows.rows[i] < g->nodes; i++) {
        __builtin_prefetch(g->columns + g->bounds[rows.rows[i]]);
        __builtin_prefetch(g->columns + g->bounds[rows.rows[i]] + 16);
    }
}

// For each graph and list, the heaviest edges in either direction of what is shown to what its
// owner has; a row that a graph does not know has no edge in it. All lies end to end in ``work``.
void
heaviest_edges(const Graph *graphs, int64_t n_graphs, int64_t lists, int64_t *work)
{
    const int64_t *shown_bounds = work, *has_bounds = work + lists + 1;
    const int64_t n_shown = shown_bounds[lists], n_has = has_bounds[lists];
    const int64_t *shown = has_bounds + lists + 1, *has = shown + n_shown;
    int64_t *room = work + 2 * (lists + 1) + n_shown + n_has, *owned = room + 2 * n_shown;
    float *heaviest = (float *)(owned + n_graphs * n_shown);
    for (int64_t b = 0; b < lists; b++) {
        const int64_t from = shown_bounds[b];
        const Nodes here = page_nodes(shown + from, shown_bounds[b + 1] - from, room);
        const Nodes own = sorted_nodes(has + has_bounds[b], has_bounds[b + 1] - has_bounds[b]);
        for (int64_t g = 0; g < n_graphs; g++) {
            fetch_bounds(graphs + g, here);
            fetch_bounds(graphs + g, own);
        }
        for (int64_t g = 0; g < n_graphs; g++) {
            fetch_columns(graphs + g, here);
            fetch_columns(graphs + g, own);
        }
        for (int64_t g = 0; g < n_graphs; g++) {
            const int64_t at = g * n_shown + from;
            between(graphs + g, here, own, owned + at, heaviest + at);
        }
    }
}
