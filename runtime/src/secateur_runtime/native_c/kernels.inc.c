/* Convolutions and linear layers. Included once per instruction set, with VECTOR (floats of a
 * vector), REGISTERS (vectors that the processor has) and RUN (name of the entry point) defined.
 *
 * A convolution reads a layout in which the inputs of neighbouring outputs are neighbours for every
 * tap, so an output channel is a sum of shifted rows: one broadcast weight times some vectors, held
 * in registers until the channel is done. Where in the input a non-zero reads is worked out when the
 * engine is built; stride, dilation and groups only change that. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "engine.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef float vec __attribute__((vector_size(4 * VECTOR), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * VECTOR), may_alias));
typedef float loose __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));
typedef int32_t iloose __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));

#define LOAD(at) ((vec) * (const loose *)(at))
#define STORE(at, what) (*(loose *)(at) = (what))
#define SPLAT(one) ((one) - (vec){0}) /* which folds away; plus zero would not */

/* Not-a-numbers pass, as they do in torch. */
INLINE vec clipped(vec x, float low, float high) {
    ivec below = x < SPLAT(low), above = x > SPLAT(high);
    x = (vec)(((ivec)x & ~below) | ((ivec)SPLAT(low) & below));
    return (vec)(((ivec)x & ~above) | ((ivec)SPLAT(high) & above));
}

INLINE float clipped_one(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

INLINE float *place(const View *v, float *arena, int64_t channel, int64_t lanes) {
    return arena + v->start + (v->origin + channel * v->plane) * lanes;
}

/* Zeroes what lies beside the rows of a channel and after it (before it too, for the first). */
static void clear_gaps(const View *v, float *arena, int64_t channel, int64_t lanes) {
    float *at = place(v, arena, channel, lanes);
    if (v->pitch > v->width)
        for (int64_t y = 0; y < v->height; ++y)
            memset(at + (y * v->pitch + v->width) * lanes, 0, (v->pitch - v->width) * lanes * 4);
    memset(at + v->height * v->pitch * lanes, 0, v->gap * lanes * 4);
    if (!channel) memset(at - v->gap * lanes, 0, v->gap * lanes * 4);
}

typedef struct {
    int64_t begin, end;
} Span;

INLINE Span share(int64_t whole, int part, int parts) {
    return (Span){whole * part / parts, whole * (part + 1) / parts};
}

/* Of a sparse layer: channels with as many non-zeros. */
INLINE Span share_weights(const Op *op, int part, int parts) {
    return (Span){secateur_cut(op->costs, op->out.channels, part, parts),
                  secateur_cut(op->costs, op->out.channels, part + 1, parts)};
}

#ifndef AHEAD
#define AHEAD 4096 /* bytes: weights are read once, and far more than a cache holds */
#endif

/* One tile of some output channels in one block of the reduction. */
typedef struct {
    const Op *op;
    const char *in;
    float *out;           /* of channel 0 */
    const float *other;   /* of channel 0, or nothing */
    int64_t block, begin, end; /* channels */
} Tile;

INLINE void sparse_tile(const int n, const int chains, const Tile *t) {
    const Op *op = t->op;
    const int64_t *pointers = op->pointers + t->block * op->out.channels;
    const int first = t->block == 0, last = t->block == op->blocks - 1;
    for (int64_t c = t->begin; c < t->end; ++c) {
        const Weight *w = op->weights + pointers[c], *end = op->weights + pointers[c + 1];
        float *out = t->out + c * op->out.plane * op->lanes;
        vec sum[8][20]; /* of which [chains][n] are used, in registers */
        if (first) {
            const vec bias = SPLAT(op->bias[c]);
            UNROLL for (int j = 0; j < n; ++j) sum[0][j] = bias;
            if (t->other) {
                const float *other = t->other + c * op->other.plane * op->lanes;
                UNROLL for (int j = 0; j < n; ++j) sum[0][j] += LOAD(other + j * VECTOR);
            }
        } else {
            UNROLL for (int j = 0; j < n; ++j) sum[0][j] = LOAD(out + j * VECTOR);
        }
        UNROLL for (int k = 1; k < chains; ++k)
            UNROLL for (int j = 0; j < n; ++j) sum[k][j] = (vec){0};
        for (; end - w >= chains; w += chains) {
            if (chains == 8) __builtin_prefetch((const void *)((uintptr_t)w + AHEAD));
            UNROLL for (int k = 0; k < chains; ++k) {
                const vec value = SPLAT(w[k].value);
                const char *in = t->in + w[k].at;
                UNROLL for (int j = 0; j < n; ++j) sum[k][j] += value * LOAD(in + j * VECTOR * 4);
            }
        }
        UNROLL for (int k = 0; k < chains - 1; ++k) {
            if (w + k >= end) break;
            const vec value = SPLAT(w[k].value);
            const char *in = t->in + w[k].at;
            UNROLL for (int j = 0; j < n; ++j) sum[k][j] += value * LOAD(in + j * VECTOR * 4);
        }
        UNROLL for (int k = 1; k < chains; ++k)
            UNROLL for (int j = 0; j < n; ++j) sum[0][j] += sum[k][j];
        if (last && op->clips)
            UNROLL for (int j = 0; j < n; ++j) sum[0][j] = clipped(sum[0][j], op->low, op->high);
        UNROLL for (int j = 0; j < n; ++j) STORE(out + j * VECTOR, sum[0][j]);
    }
}

/* Enough independent sums to hide the latency of a multiply-add. */
#define SPARSE(n, chains) \
    static void sparse_##n(const Tile *t) { sparse_tile(n, chains, t); }
SPARSE(1, 8) SPARSE(2, 4) SPARSE(3, 2) SPARSE(4, 2) SPARSE(5, 2) SPARSE(6, 1)
SPARSE(7, 1) SPARSE(8, 1) SPARSE(9, 1) SPARSE(10, 1) SPARSE(11, 1) SPARSE(12, 1)
#if REGISTERS >= 32
SPARSE(13, 1) SPARSE(14, 1) SPARSE(15, 1) SPARSE(16, 1)
SPARSE(17, 1) SPARSE(18, 1) SPARSE(19, 1) SPARSE(20, 1)
#define SPARSE_MAX 20
#define SPARSE_USUAL 14 /* more vectors reach too far to stay in the cache */
#else
#define SPARSE_MAX 12
#define SPARSE_USUAL 12
#endif

static void (*const sparse_kernels[])(const Tile *) = {
    NULL, sparse_1, sparse_2, sparse_3, sparse_4, sparse_5, sparse_6,
    sparse_7, sparse_8, sparse_9, sparse_10, sparse_11, sparse_12,
#if REGISTERS >= 32
    sparse_13, sparse_14, sparse_15, sparse_16, sparse_17, sparse_18, sparse_19, sparse_20,
#endif
};

/* Maps of few places: shorter vectors read less of the cache. */
#define NARROW(width)                                                                        \
    typedef float loose_##width __attribute__((vector_size(4 * width), aligned(4), may_alias)); \
    static void narrow_##width(const Tile *t) {                                              \
        const Op *op = t->op;                                                                \
        const int64_t *pointers = op->pointers + t->block * op->out.channels;                \
        for (int64_t c = t->begin; c < t->end; ++c) {                                        \
            const Weight *w = op->weights + pointers[c], *end = op->weights + pointers[c + 1]; \
            float *out = t->out + c * op->out.plane * op->lanes;                             \
            loose_##width sum[8] = {{0}};                                                    \
            if (t->block) sum[0] = *(loose_##width *)out;                                    \
            else sum[0] += op->bias[c];                                                      \
            if (!t->block && t->other)                                                       \
                sum[1] = *(const loose_##width *)(t->other + c * op->other.plane * op->lanes); \
            for (; end - w >= 8; w += 8) {                                                   \
                __builtin_prefetch((const void *)((uintptr_t)w + AHEAD));                                 \
                UNROLL for (int k = 0; k < 8; ++k)                                           \
                    sum[k] += w[k].value * *(const loose_##width *)(t->in + w[k].at);        \
            }                                                                                \
            UNROLL for (int k = 0; k < 7; ++k) {                                             \
                if (w + k >= end) break;                                                     \
                sum[k] += w[k].value * *(const loose_##width *)(t->in + w[k].at);            \
            }                                                                                \
            sum[0] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) +                               \
                     ((sum[4] + sum[5]) + (sum[6] + sum[7]));                                \
            if (op->clips && t->block == op->blocks - 1)                                     \
                for (int j = 0; j < width; ++j)                                              \
                    sum[0][j] = clipped_one(sum[0][j], op->low, op->high);                   \
            *(loose_##width *)out = sum[0];                                                  \
        }                                                                                    \
    }
NARROW(4)
NARROW(8)

static void run_sparse(const Op *op, float *arena, int part, int parts) {
    const int64_t floats = op->length * op->lanes;
    void (*const narrow)(const Tile *) = floats <= 4 ? narrow_4 : floats <= 8 ? narrow_8 : NULL;
    const int64_t vectors = (op->length * op->lanes + VECTOR - 1) / VECTOR;
    const int64_t most = op->tile > 0 && op->tile < SPARSE_MAX ? op->tile : SPARSE_USUAL;
    const int64_t tiles = narrow ? 1 : (vectors + most - 1) / most;
    const Span own = share_weights(op, part, parts);
    Tile tile = {.op = op, .begin = own.begin, .end = own.end};
    for (int64_t i = 0; i < tiles; ++i) {
        const Span at = share(vectors, (int)i, (int)tiles);
        tile.in = (const char *)(arena + op->in.start + at.begin * VECTOR);
        tile.out = place(&op->out, arena, 0, op->lanes) + at.begin * VECTOR;
        tile.other = op->other.channels
                         ? place(&op->other, arena, 0, op->lanes) + at.begin * VECTOR
                         : NULL;
        for (tile.block = 0; tile.block < op->blocks; ++tile.block)
            (narrow ? narrow : sparse_kernels[at.end - at.begin])(&tile);
    }
    if (op->borders)
        for (int64_t c = own.begin; c < own.end; ++c) clear_gaps(&op->out, arena, c, op->lanes);
}

/* Some rows of DENSE_ROWS output channels: every input is loaded once for all of them. */
#if REGISTERS >= 32
#define ROWS DENSE_ROWS
#else
#define ROWS (DENSE_ROWS / 2)
#endif
#define DENSE_MAX 3

INLINE void dense_tile(const int n, const Tile *t, const float *weights, const int64_t *offsets,
                       Span depth) {
    const Op *op = t->op;
    const int first = depth.begin == 0, last = depth.end == op->depth;
    vec sum[ROWS][DENSE_MAX];
    UNROLL for (int m = 0; m < ROWS; ++m) {
        const int64_t c = t->begin + m < t->end ? t->begin + m : t->end - 1;
        const float *out = t->out + c * op->out.plane * op->lanes;
        if (first) {
            UNROLL for (int j = 0; j < n; ++j) sum[m][j] = SPLAT(op->bias[c]);
            if (t->other) {
                const float *other = t->other + c * op->other.plane * op->lanes;
                UNROLL for (int j = 0; j < n; ++j) sum[m][j] += LOAD(other + j * VECTOR);
            }
        } else {
            UNROLL for (int j = 0; j < n; ++j) sum[m][j] = LOAD(out + j * VECTOR);
        }
    }
    for (int64_t k = depth.begin; k < depth.end; ++k) {
        const float *in = (const float *)t->in + offsets[k], *w = weights + k * DENSE_ROWS;
        vec x[DENSE_MAX];
        UNROLL for (int j = 0; j < n; ++j) x[j] = LOAD(in + j * VECTOR);
        UNROLL for (int m = 0; m < ROWS; ++m) {
            const vec value = SPLAT(w[m]);
            UNROLL for (int j = 0; j < n; ++j) sum[m][j] += value * x[j];
        }
    }
    UNROLL for (int m = 0; m < ROWS; ++m) {
        if (t->begin + m >= t->end) break;
        float *out = t->out + (t->begin + m) * op->out.plane * op->lanes;
        if (last && op->clips)
            UNROLL for (int j = 0; j < n; ++j) sum[m][j] = clipped(sum[m][j], op->low, op->high);
        UNROLL for (int j = 0; j < n; ++j) STORE(out + j * VECTOR, sum[m][j]);
    }
}

static void dense_1(const Tile *t, const float *w, const int64_t *o, Span d) { dense_tile(1, t, w, o, d); }
static void dense_2(const Tile *t, const float *w, const int64_t *o, Span d) { dense_tile(2, t, w, o, d); }
static void dense_3(const Tile *t, const float *w, const int64_t *o, Span d) { dense_tile(3, t, w, o, d); }
static void (*const dense_kernels[])(const Tile *, const float *, const int64_t *, Span) = {
    NULL, dense_1, dense_2, dense_3};

/* `lot` counts groups of DENSE_ROWS output channels that never straddle two convolution groups. */
static void run_dense(const Op *op, float *arena, int part, int parts) {
    const int64_t vectors = (op->length * op->lanes + VECTOR - 1) / VECTOR;
    const int64_t tiles = (vectors + DENSE_MAX - 1) / DENSE_MAX;
    const int64_t each = op->out.channels / op->groups;
    const int64_t lots = (each + DENSE_ROWS - 1) / DENSE_ROWS;
    const Span own = share(lots * op->groups, part, parts);
    Tile tile = {.op = op};
    for (tile.block = 0; tile.block < op->blocks; ++tile.block) {
        const Span depth = share(op->depth, (int)tile.block, (int)op->blocks);
        for (int64_t i = 0; i < tiles; ++i) {
            const Span at = share(vectors, (int)i, (int)tiles);
            tile.out = place(&op->out, arena, 0, op->lanes) + at.begin * VECTOR;
            tile.other = op->other.channels
                             ? place(&op->other, arena, 0, op->lanes) + at.begin * VECTOR
                             : NULL;
            for (int64_t lot = own.begin; lot < own.end; ++lot) {
                const int64_t group = lot / lots, from = group * each + lot % lots * DENSE_ROWS;
                const int64_t to = from + DENSE_ROWS < (group + 1) * each ? from + DENSE_ROWS
                                                                          : (group + 1) * each;
                tile.in = (const char *)(arena + op->in.start + group * op->group_stride +
                                         at.begin * VECTOR);
                for (int row = 0; row < DENSE_ROWS && from + row < to; row += ROWS) {
                    tile.begin = from + row;
                    tile.end = from + row + ROWS < to ? from + row + ROWS : to;
                    dense_kernels[at.end - at.begin](
                        &tile, op->dense + lot * op->depth * DENSE_ROWS + row, op->offsets, depth);
                }
            }
        }
    }
    if (op->borders) {
        const int64_t begin = own.begin / lots * each + own.begin % lots * DENSE_ROWS;
        const int64_t end = own.end / lots * each + own.end % lots * DENSE_ROWS;
        for (int64_t c = begin; c < end; ++c) clear_gaps(&op->out, arena, c, op->lanes);
    }
}

/* A linear layer of one picture: its inputs and outputs lie side by side. */
static void run_sparse_row(const Op *op, float *arena, int part, int parts) {
    const char *in = (const char *)(arena + op->in.start);
    float *out = place(&op->out, arena, 0, 1);
    const Span own = share_weights(op, part, parts);
    for (int64_t c = own.begin; c < own.end; ++c) {
        const Weight *w = op->weights + op->pointers[c], *end = op->weights + op->pointers[c + 1];
        float sum[8] = {op->bias[c]};
        for (; end - w >= 8; w += 8)
            UNROLL for (int k = 0; k < 8; ++k)
                sum[k] += w[k].value * *(const float *)(in + w[k].at);
        for (; w < end; ++w) sum[0] += w->value * *(const float *)(in + w->at);
        float all = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
        out[c * op->out.plane] = op->clips ? clipped_one(all, op->low, op->high) : all;
    }
}

static void run_dense_row(const Op *op, float *arena, int part, int parts) {
    const float *in = place(&op->in, arena, 0, 1);
    float *out = place(&op->out, arena, 0, 1);
    const Span own = share(op->out.channels, part, parts);
    for (int64_t c = own.begin; c < own.end; ++c) {
        const float *w = op->dense + c * op->depth;
        vec sum[4] = {{0}};
        int64_t k = 0;
        for (; k + 4 * VECTOR <= op->depth; k += 4 * VECTOR)
            UNROLL for (int j = 0; j < 4; ++j)
                sum[j] += LOAD(w + k + j * VECTOR) * LOAD(in + k + j * VECTOR);
        const vec four = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        float all = op->bias[c];
        for (int j = 0; j < VECTOR; ++j) all += four[j];
        for (; k < op->depth; ++k) all += w[k] * in[k];
        out[c * op->out.plane] = op->clips ? clipped_one(all, op->low, op->high) : all;
    }
}
