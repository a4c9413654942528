/* A program: operators that were checked once, and the memory in which they run. No Python here. */
#ifndef SECATEUR_PROGRAM_H
#define SECATEUR_PROGRAM_H

#include "crew.h"
#include "engine.h"

enum { VIEW_INTS = 9, WINDOW_INTS = 11, OP_INTS = 3 * VIEW_INTS + WINDOW_INTS + 7 };

/* What an operator is made of, not yet checked: the views of in, other and out, the window, and
 * length, blocks, depth, groups, clips, borders, tile; then low, high, biases, scales. */
typedef struct {
    int64_t kind;
    const int64_t *ints;
    const float *floats, *values;
    const int32_t *indices;
    const int64_t *pointers;
    int64_t n_ints, n_floats, n_values, n_indices, n_pointers;
} Draft;

typedef struct Arena {
    struct Arena *next;
    float *memory;
} Arena;

typedef struct {
    const Isa *isa;
    int lanes, n_ops;
    int64_t size;                /* floats of an arena */
    int64_t in_size, out_size;   /* floats of one picture's input and output */
    Op *ops;
    Arena *spare;                /* arenas that no run uses */
    int n_spare;
    Crew crew;                   /* threads that wait for the next run */
} Program;

#define MOST ((int64_t)1 << 31) /* of floats, and of anything that is counted */

/* Each returns nothing, or what is wrong. */
const char *secateur_check_convolution(Op *op, const Draft *d);
const char *secateur_check_row(Op *op, const Draft *d);
const char *secateur_check_taps(Op *op, const Draft *d);
const char *secateur_check_depthwise(Op *op, const Draft *d);
const char *secateur_program_start(Program *p, const char *isa, int lanes, int64_t size, int n_ops);
const char *secateur_program_add(Program *p, const Draft *draft);
const char *secateur_program_finish(Program *p);
void secateur_program_free(Program *p);

/* `in` has n * in_size floats, `out` n * out_size. `seconds`, where given, has a place for each
 * operator: the least time of `rounds` runs of the first pictures, in one thread. */
const char *secateur_program_run(Program *p, const float *in, float *out, int64_t n, int threads);
const char *secateur_program_time(Program *p, const float *in, float *out, int64_t n, int rounds,
                                  double *seconds);

float *secateur_aligned(int64_t floats); /* zeroed, on a cache line */
#endif
