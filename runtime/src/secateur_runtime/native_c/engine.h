/* What the engine and the kernels share. All sizes are counted in floats or in elements; an element
 * is one place of a map with its `lanes` pictures side by side. */
#ifndef SECATEUR_ENGINE_H
#define SECATEUR_ENGINE_H

#include <stdint.h>

#define DENSE_ROWS 8   /* output channels that a dense kernel makes at once */
#define MAX_VECTOR 16  /* floats of the widest vector */

enum kind {
    OP_INPUT, OP_OUTPUT, OP_SPARSE, OP_DENSE, OP_SPARSE_ROW, OP_DENSE_ROW, OP_PHASES, OP_TAPS,
    OP_MAX_POOL, OP_AVERAGE_POOL, OP_GLOBAL, OP_ADD, OP_SOFTMAX, OP_AFFINE, OP_CLIP, OP_RESHAPE, OP_CODE,
    OP_DEPTHWISE,
    OP_KINDS
};

/* Where a value lies in the arena. The place (c, y, x) is element
 * origin + c * plane + y * pitch + x; what lies between rows and planes is held at zero where
 * `gap` says how many elements do so after each plane (and before the first). */
typedef struct {
    int64_t start, size; /* floats: where the value begins in the arena, and how many it has */
    int64_t channels, height, width, pitch, plane, origin, gap;
} View;

typedef struct {
    uint32_t at; /* bytes from the start of the input; of a depthwise layer, which tap */
    float value;
} Weight;

typedef struct {
    int64_t kh, kw, sh, sw, dh, dw, top, left, bottom, right, include_padding;
} Window;

typedef struct Code Code;

typedef struct {
    enum kind kind;
    int lanes;
    View in, other, out;   /* `other` has no channels where there is one input */
    Window window;
    int64_t length;        /* elements of one output channel that a convolution computes */
    int64_t blocks;        /* parts in which a reduction is done */
    int64_t depth, groups, group_stride; /* of dense kernels; the stride in floats */
    int64_t tile;          /* vectors that a sparse kernel makes at once, at most; 0: as many as fit */
    int clips, borders;    /* whether low and high count; whether gaps are to be cleared */
    float low, high;
    float *bias, *scale;   /* per output channel */
    int64_t *pointers;     /* [blocks * channels + 1] into weights */
    int64_t *costs;        /* sparse: [channels + 1] about the work of all channels before each */
    Weight *weights;       /* sparse, block after block */
    int64_t *offsets;      /* dense: [depth] floats from the start of the input; depthwise: shifts */
    float *dense;          /* dense, packed for its kernel */
    Code *code;            /* what was generated for it */
    int32_t *table;        /* of taps and depthwise: place in a plane or -1, [taps * length] */
} Op;

/* Where part number `part` of `parts` begins, if each is to have as much work. */
static inline int64_t secateur_cut(const int64_t *costs, int64_t n, int part, int parts) {
    const int64_t wanted = costs[n] / parts * part + costs[n] % parts * part / parts;
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (costs[mid] + costs[mid + 1] < 2 * wanted) low = mid + 1;
        else high = mid;
    }
    return part == parts ? n : low;
}

/* One part of `parts` of an operator; `arena` is aligned to a cache line. */
typedef void Runner(const Op *op, float *arena, int part, int parts);

typedef struct {
    const char *name;
    int vector; /* floats */
    int (*usable)(void);
    Runner *run;
} Isa;

extern const Isa secateur_isas[];
extern const int secateur_isa_count;

#endif
