/* What is not a sum of products: layouts, pooling, and the rest. Included after kernels.inc.c, so
 * once per instruction set. `lanes` is a constant, 1 or 16, in every function marked INLINE. */

#define PER_LANES(name)                                                             \
    static void run_##name(const Op *op, float *arena, int part, int parts) {       \
        if (op->lanes == 1) name##_of(op, arena, part, parts, 1);                   \
        else name##_of(op, arena, part, parts, 16);                                 \
    }

INLINE void copy_lanes(float *to, const float *from, const int lanes) {
    for (int b = 0; b < lanes; ++b) to[b] = from[b];
}

INLINE void zero_lanes(float *to, const int lanes) {
    for (int b = 0; b < lanes; ++b) to[b] = 0;
}

/* Plane (c, i, j) of the output is every sh-th row and sw-th column of channel c, from row
 * i - top and column j - left on. With strides of 1 it is a copy, into another layout. */
INLINE void phases_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    const Window *w = &op->window;
    const View *in = &op->in, *out = &op->out;
    const Span own = share(out->channels, part, parts);
    for (int64_t d = own.begin; d < own.end; ++d) {
        const int64_t c = d / (w->kh * w->kw), i = d / w->kw % w->kh, j = d % w->kw;
        const float *from = place(in, arena, c, lanes);
        float *to = place(out, arena, d, lanes);
        /* columns x with 0 <= x * sw + j - left < width */
        int64_t begin = w->left > j ? (w->left - j + w->sw - 1) / w->sw : 0;
        int64_t end = in->width + w->left - j <= 0 ? 0 : (in->width + w->left - j - 1) / w->sw + 1;
        if (end > out->width) end = out->width;
        if (begin > end) begin = end;
        for (int64_t y = 0; y < out->height; ++y) {
            const int64_t row = y * w->sh + i - w->top;
            float *at = to + y * out->pitch * lanes;
            if (row < 0 || row >= in->height) {
                memset(at, 0, out->width * lanes * 4);
                continue;
            }
            const float *source = from + (row * in->pitch + j - w->left) * lanes;
            if (begin) memset(at, 0, begin * lanes * 4); /* rows are short: a call is felt */
            if (w->sw == 1)
                memcpy(at + begin * lanes, source + begin * lanes, (end - begin) * lanes * 4);
            else if (w->sw == 2 && lanes == 1)
                for (int64_t x = begin; x < end; ++x) at[x] = source[2 * x];
            else
                for (int64_t x = begin; x < end; ++x)
                    copy_lanes(at + x * lanes, source + x * w->sw * lanes, lanes);
            if (end < out->width) memset(at + end * lanes, 0, (out->width - end) * lanes * 4);
        }
        if (op->borders) clear_gaps(out, arena, d, lanes);
    }
}
PER_LANES(phases)

/* One vector of one tap, for one channel after the other. */
#define SHIFT(name, width)                                                                      \
    typedef int32_t lanes_##name __attribute__((vector_size(4 * width), aligned(4), may_alias)); \
    static void shift_##name(const float *from, float *to, const int32_t *table, int64_t n,     \
                             int64_t step, int64_t jump) {                                      \
        const lanes_##name real = *(const lanes_##name *)table >= 0;                            \
        for (int64_t c = 0; c < n; ++c)                                                         \
            *(lanes_##name *)(to + c * jump) = *(const lanes_##name *)(from + c * step) & real; \
    }
SHIFT(4, 4)
SHIFT(8, 8)
SHIFT(all, VECTOR)

/* Plane (c, i, j) of the output is what tap (i, j) reads of channel c for each output place. The
 * table says where; `depth` is 1 where a tap is the plane shifted, with what is no place zeroed. */
INLINE void taps_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    const Window *w = &op->window;
    const int64_t taps = w->kh * w->kw;
    const Span own = share(op->in.channels, part, parts);
    const int64_t padded = (op->length + MAX_VECTOR - 1) / MAX_VECTOR * MAX_VECTOR;
    for (int64_t t = 0; lanes == 1 && op->depth && t < taps; ++t) {
        const int64_t shift =
            (t / w->kw * w->dh - w->top) * op->in.pitch + t % w->kw * w->dw - w->left;
        const float *from = place(&op->in, arena, own.begin, 1) + shift;
        float *to = place(&op->out, arena, own.begin * taps + t, 1);
        const int32_t *table = op->table + t * padded;
        const int64_t n = own.end - own.begin, step = op->in.plane, jump = op->out.plane * taps;
        if (op->length <= 4) shift_4(from, to, table, n, step, jump);
        else if (op->length <= 8) shift_8(from, to, table, n, step, jump);
        else
            for (int64_t p = 0; p < op->length; p += VECTOR)
                shift_all(from + p, to + p, table + p, n, step, jump);
    }
    if (lanes == 1 && op->depth) return;
    for (int64_t c = own.begin; c < own.end; ++c) {
        const float *from = place(&op->in, arena, c, lanes);
        for (int64_t t = 0; t < taps; ++t) {
            float *to = place(&op->out, arena, c * taps + t, lanes);
            const int32_t *table = op->table + t * padded;
            for (int64_t p = 0; p < op->length; ++p)
                if (table[p] < 0) zero_lanes(to + p * lanes, lanes);
                else copy_lanes(to + p * lanes, from + (int64_t)table[p] * lanes, lanes);
        }
    }
}
PER_LANES(taps)

INLINE float greater(float a, float b) { return b > a || b != b ? b : a; }

INLINE vec greater_of(vec a, vec b) {
    const ivec second = (b > a) | (b != b);
    return (vec)(((ivec)b & second) | ((ivec)a & ~second));
}

/* Windows of two by two: what nearly every network does. */
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t ifour __attribute__((vector_size(16), may_alias));

INLINE four greater_four(four a, four b) {
    const ifour second = (b > a) | (b != b);
    return (four)(((ifour)b & second) | ((ifour)a & ~second));
}

#if defined(__clang__)
#define PICK(a, b, first) __builtin_shufflevector(a, b, first, first + 2, first + 4, first + 6)
#else
#define PICK(a, b, first) __builtin_shuffle(a, b, (ifour){first, first + 2, first + 4, first + 6})
#endif

static void halve_rows(const float *a, const float *b, float *to, int64_t n) {
    int64_t x = 0;
    for (; x + 4 <= n; x += 4) {
        const four *p = (const four *)(a + 2 * x), *q = (const four *)(b + 2 * x);
        const four left = greater_four(p[0], q[0]), right = greater_four(p[1], q[1]);
        *(four *)(to + x) = greater_four(PICK(left, right, 0), PICK(left, right, 1));
    }
    if (x + 2 <= n) {
        const four m = greater_four(*(const four *)(a + 2 * x), *(const four *)(b + 2 * x));
        const four both = greater_four(PICK(m, m, 0), PICK(m, m, 1));
        to[x] = both[0], to[x + 1] = both[1];
        x += 2;
    }
    if (x < n) { /* no branch that would depend on the numbers */
        const four m = greater_four((four){a[2 * x], a[2 * x + 1]}, (four){b[2 * x], b[2 * x + 1]});
        to[x] = greater_four(m, (four){m[1]})[0];
    }
}

/* The lanes of one output place over its window, the part that lies in the input. */
INLINE int64_t pool_lanes(const Op *op, const float *from, int64_t y0, int64_t x0, float *to,
                          const int lanes, const int average) {
    const Window *w = &op->window;
    const int64_t i0 = y0 < 0 ? (-y0 + w->dh - 1) / w->dh : 0;
    const int64_t j0 = x0 < 0 ? (-x0 + w->dw - 1) / w->dw : 0;
    int64_t i1 = y0 >= op->in.height ? 0 : (op->in.height - 1 - y0) / w->dh + 1;
    int64_t j1 = x0 >= op->in.width ? 0 : (op->in.width - 1 - x0) / w->dw + 1;
    i1 = i1 < w->kh ? i1 : w->kh, j1 = j1 < w->kw ? j1 : w->kw;
    if (i1 < i0) i1 = i0;
    if (j1 < j0) j1 = j0;
    if (average && (lanes == 1 || (i1 - i0) * (j1 - j0) > 1024)) { /* many numbers: exactly */
        double sum[MAX_VECTOR] = {0};
        for (int64_t i = i0; i < i1; ++i)
            for (int64_t j = j0; j < j1; ++j)
                for (int b = 0; b < lanes; ++b)
                    sum[b] += from[((y0 + i * w->dh) * op->in.pitch + x0 + j * w->dw) * lanes + b];
        for (int b = 0; b < lanes; ++b) to[b] = (float)sum[b];
    } else if (lanes == 1) {
        float best = -INFINITY;
        for (int64_t i = i0; i < i1; ++i)
            for (int64_t j = j0; j < j1; ++j) {
                const float one = from[(y0 + i * w->dh) * op->in.pitch + x0 + j * w->dw];
                best = greater(best, one);
            }
        *to = best;
    } else {
        vec best[MAX_VECTOR / VECTOR];
        UNROLL for (int k = 0; k < MAX_VECTOR / VECTOR; ++k)
            best[k] = SPLAT(average ? 0.0f : -INFINITY);
        for (int64_t i = i0; i < i1; ++i)
            for (int64_t j = j0; j < j1; ++j) {
                const float *at =
                    from + ((y0 + i * w->dh) * op->in.pitch + x0 + j * w->dw) * lanes;
                UNROLL for (int k = 0; k < MAX_VECTOR / VECTOR; ++k) {
                    const vec one = LOAD(at + k * VECTOR);
                    if (average) best[k] += one;
                    else best[k] = greater_of(best[k], one);
                }
            }
        UNROLL for (int k = 0; k < MAX_VECTOR / VECTOR; ++k) STORE(to + k * VECTOR, best[k]);
    }
    return (i1 - i0) * (j1 - j0);
}

INLINE void pool_of(const Op *op, float *arena, int part, int parts, const int lanes,
                    const int average) {
    const Window *w = &op->window;
    const View *in = &op->in, *out = &op->out;
    const Span own = share(out->channels, part, parts);
    const int pairs = !average && lanes == 1 && w->kh == 2 && w->kw == 2 && w->sh == 2 &&
                      w->sw == 2 && w->dh == 1 && w->dw == 1 && !w->top && !w->left &&
                      out->height * 2 <= in->height && out->width * 2 <= in->width;
    for (int64_t c = own.begin; c < own.end; ++c) {
        const float *from = place(in, arena, c, lanes);
        float *to = place(out, arena, c, lanes);
        for (int64_t oy = 0; oy < out->height; ++oy) {
            if (pairs) {
                const float *at = from + 2 * oy * in->pitch;
                halve_rows(at, at + in->pitch, to + oy * out->pitch, out->width);
                continue;
            }
            for (int64_t ox = 0; ox < out->width; ++ox) {
                const int64_t y0 = oy * w->sh - w->top, x0 = ox * w->sw - w->left;
                float *at = to + (oy * out->pitch + ox) * lanes;
                int64_t count = pool_lanes(op, from, y0, x0, at, lanes, average);
                if (!average) continue;
                if (w->include_padding) {
                    const int64_t y1 = y0 + w->kh, y2 = in->height + w->bottom;
                    const int64_t x1 = x0 + w->kw, x2 = in->width + w->right;
                    count = ((y1 < y2 ? y1 : y2) - y0) * ((x1 < x2 ? x1 : x2) - x0);
                }
                for (int b = 0; b < lanes; ++b) at[b] /= (float)(count > 0 ? count : 1);
            }
        }
        if (op->borders) clear_gaps(out, arena, c, lanes);
    }
}
INLINE void max_pool_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    pool_of(op, arena, part, parts, lanes, 0);
}
INLINE void average_pool_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    pool_of(op, arena, part, parts, lanes, 1);
}
PER_LANES(max_pool)
PER_LANES(average_pool)

INLINE void global_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    const View *in = &op->in;
    const Span own = share(in->channels, part, parts);
    for (int64_t c = own.begin; c < own.end; ++c) {
        const float *from = place(in, arena, c, lanes);
        double sum[16] = {0}; /* a large map has more places than a float counts */
        for (int64_t y = 0; y < in->height; ++y)
            for (int64_t x = 0; x < in->width; ++x)
                for (int b = 0; b < lanes; ++b) sum[b] += from[(y * in->pitch + x) * lanes + b];
        float *to = place(&op->out, arena, c, lanes);
        for (int b = 0; b < lanes; ++b) to[b] = (float)(sum[b] / (double)(in->height * in->width));
        if (op->borders) clear_gaps(&op->out, arena, c, lanes);
    }
}
PER_LANES(global)

enum each { EACH_ADD, EACH_AFFINE, EACH_CLIP };

/* What is done to every number on its own. */
INLINE void each_of(const Op *op, float *arena, int part, int parts, const int lanes,
                    const enum each how) {
    const View *in = &op->in, *out = &op->out;
    const Span own = share(out->channels, part, parts);
    for (int64_t c = own.begin; c < own.end; ++c) {
        for (int64_t y = 0; y < out->height; ++y) {
            const float *from = place(in, arena, c, lanes) + y * in->pitch * lanes;
            const float *other = how == EACH_ADD
                                     ? place(&op->other, arena, c, lanes) + y * op->other.pitch * lanes
                                     : NULL;
            float *to = place(out, arena, c, lanes) + y * out->pitch * lanes;
            for (int64_t i = 0; i < out->width * lanes; ++i) {
                float one = from[i];
                if (how == EACH_ADD) one += other[i];
                if (how == EACH_AFFINE) one = one * op->scale[c] + op->bias[c];
                to[i] = op->clips ? clipped_one(one, op->low, op->high) : one;
            }
        }
        if (op->borders) clear_gaps(out, arena, c, lanes);
    }
}
INLINE void add_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    each_of(op, arena, part, parts, lanes, EACH_ADD);
}
INLINE void affine_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    each_of(op, arena, part, parts, lanes, EACH_AFFINE);
}
INLINE void clip_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    each_of(op, arena, part, parts, lanes, EACH_CLIP);
}
PER_LANES(add)
PER_LANES(affine)
PER_LANES(clip)

/* Along the channels, for every place on its own. */
INLINE void softmax_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    const View *in = &op->in, *out = &op->out;
    const Span own = share(out->height, part, parts);
    for (int64_t y = own.begin; y < own.end; ++y)
        for (int64_t x = 0; x < out->width; ++x)
            for (int b = 0; b < lanes; ++b) {
                const float *from = place(in, arena, 0, lanes) + (y * in->pitch + x) * lanes + b;
                float *to = place(out, arena, 0, lanes) + (y * out->pitch + x) * lanes + b;
                float most = -INFINITY, sum = 0;
                for (int64_t c = 0; c < in->channels; ++c) {
                    const float one = from[c * in->plane * lanes];
                    if (one > most || one != one) most = one;
                }
                for (int64_t c = 0; c < in->channels; ++c) {
                    const float one = expf(from[c * in->plane * lanes] - most);
                    to[c * out->plane * lanes] = one;
                    sum += one;
                }
                for (int64_t c = 0; c < in->channels; ++c) to[c * out->plane * lanes] /= sum;
            }
    if (op->borders) {
        const Span all = share(out->channels, part, parts);
        for (int64_t c = all.begin; c < all.end; ++c) clear_gaps(out, arena, c, lanes);
    }
}
PER_LANES(softmax)

/* The same numbers in the same order, in another shape: by rows of the input, cut where rows of the
 * output end. */
INLINE void reshape_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    const View *in = &op->in, *out = &op->out;
    const Span own = share(in->channels * in->height, part, parts);
    const int flat = in->height * in->width == 1 && out->height * out->width == 1;
    for (int64_t c = own.begin; flat && c < own.end; ++c)
        copy_lanes(place(out, arena, c, lanes), place(in, arena, c, lanes), lanes);
    for (int64_t row = own.begin; !flat && row < own.end; ++row) {
        const float *from = place(in, arena, row / in->height, lanes) +
                            row % in->height * in->pitch * lanes;
        for (int64_t x = 0; x < in->width;) {
            const int64_t at = row * in->width + x, r = at / out->width, column = at % out->width;
            const int64_t room = out->width - column, left = in->width - x;
            const int64_t n = room < left ? room : left;
            float *to = place(out, arena, r / out->height, lanes) +
                        (r % out->height * out->pitch + column) * lanes;
            memcpy(to, from + x * lanes, n * lanes * 4);
            x += n;
        }
    }
    if (op->borders) {
        const Span all = share(out->channels, part, parts);
        for (int64_t c = all.begin; c < all.end; ++c) clear_gaps(out, arena, c, lanes);
    }
}
PER_LANES(reshape)

/* What generated code leaves out: it writes places alone. */
static void run_borders(const Op *op, float *arena, int part, int parts) {
    const int64_t lots = (op->out.channels + 30) / 31; /* as code is shared out */
    const Span own = share(lots, part, parts);
    for (int64_t c = op->out.channels * own.begin / lots; c < op->out.channels * own.end / lots; ++c)
        clear_gaps(&op->out, arena, c, op->lanes);
}

void RUN(const Op *op, float *arena, int part, int parts) {
    static Runner *const runners[OP_KINDS] = {
        [OP_SPARSE] = run_sparse, [OP_DENSE] = run_dense, [OP_SPARSE_ROW] = run_sparse_row,
        [OP_DENSE_ROW] = run_dense_row, [OP_PHASES] = run_phases, [OP_TAPS] = run_taps,
        [OP_MAX_POOL] = run_max_pool, [OP_AVERAGE_POOL] = run_average_pool,
        [OP_GLOBAL] = run_global, [OP_ADD] = run_add, [OP_SOFTMAX] = run_softmax,
        [OP_AFFINE] = run_affine, [OP_CLIP] = run_clip, [OP_RESHAPE] = run_reshape,
        [OP_CODE] = run_borders, [OP_DEPTHWISE] = run_depthwise,
    };
    if (runners[op->kind]) runners[op->kind](op, arena, part, parts);
}
