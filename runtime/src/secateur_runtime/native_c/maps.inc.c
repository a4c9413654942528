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
            memset(at, 0, begin * lanes * 4);
            if (w->sw == 1)
                memcpy(at + begin * lanes, source + begin * lanes, (end - begin) * lanes * 4);
            else
                for (int64_t x = begin; x < end; ++x)
                    copy_lanes(at + x * lanes, source + x * w->sw * lanes, lanes);
            memset(at + end * lanes, 0, (out->width - end) * lanes * 4);
        }
        if (op->borders) clear_gaps(out, arena, d, lanes);
    }
}
PER_LANES(phases)

/* Plane (c, i, j) of the output is what tap (i, j) reads of channel c for each output place. The
 * table says where; `depth` is 1 where a tap is the plane shifted, with what is no place zeroed. */
INLINE void taps_of(const Op *op, float *arena, int part, int parts, const int lanes) {
    const Window *w = &op->window;
    const int64_t taps = w->kh * w->kw;
    const Span own = share(op->in.channels, part, parts);
    const int64_t padded = (op->length + MAX_VECTOR - 1) / MAX_VECTOR * MAX_VECTOR;
    for (int64_t c = own.begin; c < own.end; ++c) {
        const float *from = place(&op->in, arena, c, lanes);
        for (int64_t t = 0; t < taps; ++t) {
            float *to = place(&op->out, arena, c * taps + t, lanes);
            const int32_t *table = op->table + t * padded;
            if (lanes == 1 && op->depth) {
                const float *at = from + (t / w->kw * w->dh - w->top) * op->in.pitch +
                                  t % w->kw * w->dw - w->left;
                for (int64_t p = 0; p < op->length; p += VECTOR) {
                    const ivec real = (ivec) * (const iloose *)(table + p) >= 0;
                    STORE(to + p, (vec)((ivec)LOAD(at + p) & real));
                }
            } else {
                for (int64_t p = 0; p < op->length; ++p)
                    if (table[p] < 0) zero_lanes(to + p * lanes, lanes);
                    else copy_lanes(to + p * lanes, from + (int64_t)table[p] * lanes, lanes);
            }
        }
    }
}
PER_LANES(taps)

/* Rows of pairs, two by two: what nearly every network does. */
static void halve_rows(const float *a, const float *b, float *to, int64_t n) {
    int64_t x = 0;
#if VECTOR > 4
    ivec even, odd;
    for (int j = 0; j < VECTOR; ++j) even[j] = 2 * j, odd[j] = 2 * j + 1;
    for (; x + VECTOR <= n; x += VECTOR) {
        const vec a0 = LOAD(a + 2 * x), a1 = LOAD(a + 2 * x + VECTOR);
        const vec b0 = LOAD(b + 2 * x), b1 = LOAD(b + 2 * x + VECTOR);
        const ivec m0 = (b0 > a0) | (b0 != b0), m1 = (b1 > a1) | (b1 != b1);
        const vec c0 = (vec)(((ivec)b0 & m0) | ((ivec)a0 & ~m0));
        const vec c1 = (vec)(((ivec)b1 & m1) | ((ivec)a1 & ~m1));
        const vec d0 = __builtin_shuffle(c0, c1, even), d1 = __builtin_shuffle(c0, c1, odd);
        const ivec m = (d1 > d0) | (d1 != d1);
        STORE(to + x, (vec)(((ivec)d1 & m) | ((ivec)d0 & ~m)));
    }
#endif
    for (; x < n; ++x) {
        float m = a[2 * x];
        const float rest[3] = {a[2 * x + 1], b[2 * x], b[2 * x + 1]};
        for (int k = 0; k < 3; ++k)
            if (rest[k] > m || rest[k] != rest[k]) m = rest[k];
        to[x] = m;
    }
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
                float best[16];
                for (int b = 0; b < lanes; ++b) best[b] = average ? 0 : -INFINITY;
                int64_t count = 0;
                for (int64_t i = 0; i < w->kh; ++i) {
                    const int64_t y = y0 + i * w->dh;
                    if (y < 0 || y >= in->height) continue;
                    for (int64_t j = 0; j < w->kw; ++j) {
                        const int64_t x = x0 + j * w->dw;
                        if (x < 0 || x >= in->width) continue;
                        const float *at = from + (y * in->pitch + x) * lanes;
                        ++count;
                        for (int b = 0; b < lanes; ++b)
                            if (average) best[b] += at[b];
                            else best[b] = at[b] > best[b] || at[b] != at[b] ? at[b] : best[b];
                    }
                }
                if (average && w->include_padding) {
                    const int64_t y1 = y0 + w->kh < in->height + w->bottom ? y0 + w->kh
                                                                           : in->height + w->bottom;
                    const int64_t x1 = x0 + w->kw < in->width + w->right ? x0 + w->kw
                                                                         : in->width + w->right;
                    count = (y1 - y0) * (x1 - x0);
                }
                float *at = to + (oy * out->pitch + ox) * lanes;
                for (int b = 0; b < lanes; ++b)
                    at[b] = average ? best[b] / (float)(count > 0 ? count : 1) : best[b];
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
        float sum[16] = {0};
        for (int64_t y = 0; y < in->height; ++y)
            for (int64_t x = 0; x < in->width; ++x)
                for (int b = 0; b < lanes; ++b) sum[b] += from[(y * in->pitch + x) * lanes + b];
        float *to = place(&op->out, arena, c, lanes);
        for (int b = 0; b < lanes; ++b) to[b] = sum[b] / (float)(in->height * in->width);
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
    for (int64_t row = own.begin; row < own.end; ++row) {
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

void RUN(const Op *op, float *arena, int part, int parts) {
    static Runner *const runners[OP_KINDS] = {
        [OP_SPARSE] = run_sparse, [OP_DENSE] = run_dense, [OP_SPARSE_ROW] = run_sparse_row,
        [OP_DENSE_ROW] = run_dense_row, [OP_PHASES] = run_phases, [OP_TAPS] = run_taps,
        [OP_MAX_POOL] = run_max_pool, [OP_AVERAGE_POOL] = run_average_pool,
        [OP_GLOBAL] = run_global, [OP_ADD] = run_add, [OP_SOFTMAX] = run_softmax,
        [OP_AFFINE] = run_affine, [OP_CLIP] = run_clip, [OP_RESHAPE] = run_reshape,
    };
    if (runners[op->kind]) runners[op->kind](op, arena, part, parts);
}
