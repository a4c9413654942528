/* Checks operators that have weights, and takes them in the order in which kernels read them. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

static int64_t up(int64_t n) { return (n + MAX_VECTOR - 1) / MAX_VECTOR * MAX_VECTOR; }

/* What a sparse kernel touches of so many floats: maps of few places have short vectors. */
static int64_t touched(int64_t n) { return n <= 4 ? 4 : n <= 8 ? 8 : up(n); }

/* A convolution writes whole vectors, `length` elements from where each channel begins. */
static int flat_fits(const View *v, int64_t reach, int lanes) {
    return v->plane * lanes >= reach &&
           v->origin * lanes + (v->channels - 1) * v->plane * lanes + reach <= v->size;
}

static const char *take_costs(Op *op) {
    const int64_t n = op->out.channels;
    op->costs = calloc((size_t)n + 1, sizeof *op->costs);
    if (!op->costs) return "out of memory";
    for (int64_t c = 0; c < n; ++c) {
        op->costs[c + 1] = op->costs[c] + 4 * op->blocks; /* to begin and to end a channel */
        for (int64_t k = c; k < op->blocks * n; k += n)
            op->costs[c + 1] += op->pointers[k + 1] - op->pointers[k];
    }
    return NULL;
}

static const char *take_pointers(Op *op, const Draft *d) {
    const int64_t rows = op->blocks * op->out.channels;
    if (d->n_pointers != rows + 1) return "pointers do not fit";
    if (d->pointers[0] != 0 || d->pointers[rows] != d->n_values) return "pointers do not fit";
    for (int64_t i = 0; i < rows; ++i)
        if (d->pointers[i] > d->pointers[i + 1]) return "pointers do not rise";
    op->pointers = malloc((size_t)(rows + 1) * sizeof *op->pointers);
    op->weights = malloc((size_t)(d->n_values + 1) * sizeof *op->weights);
    if (!op->pointers || !op->weights) return "out of memory";
    memcpy(op->pointers, d->pointers, (size_t)(rows + 1) * sizeof *op->pointers);
    return NULL;
}

static const char *take_weights(Op *op, const Draft *d, int64_t reach, int64_t from) {
    if (d->n_indices != d->n_values) return "pointers do not fit";
    if (from + reach > op->in.size || op->in.size > MOST / 4) return "the input is too short";
    const char *wrong = take_pointers(op, d);
    if (wrong) return wrong;
    for (int64_t i = 0; i < d->n_values; ++i) {
        const int64_t at = from + d->indices[i];
        if (d->indices[i] < 0 || at + reach > op->in.size) return "a weight reads outside";
        op->weights[i] = (Weight){(uint32_t)(at * 4), d->values[i]};
    }
    return take_costs(op);
}

/* Rows of DENSE_ROWS output channels side by side, each group of the convolution on its own. */
static const char *take_dense(Op *op, const Draft *d) {
    const int64_t each = op->out.channels / op->groups, reach = up(op->length * op->lanes);
    const int64_t lots = (each + DENSE_ROWS - 1) / DENSE_ROWS;
    if (op->out.channels % op->groups || op->in.channels % op->groups) return "groups do not fit";
    if (op->depth < 1 || d->n_indices != op->depth || d->n_values != op->out.channels * op->depth)
        return "weights do not fit";
    op->group_stride = op->in.channels / op->groups * op->in.plane * op->lanes;
    op->offsets = malloc((size_t)op->depth * sizeof *op->offsets);
    op->dense = secateur_aligned(op->groups * lots * op->depth * DENSE_ROWS);
    if (!op->offsets || !op->dense) return "out of memory";
    for (int64_t k = 0; k < op->depth; ++k) {
        const int64_t at = d->indices[k];
        if (at < 0 || at + (op->groups - 1) * op->group_stride + reach > op->in.size)
            return "a weight reads outside";
        op->offsets[k] = at;
    }
    for (int64_t c = 0; c < op->out.channels; ++c) {
        const int64_t lot = c / each * lots + c % each / DENSE_ROWS, row = c % each % DENSE_ROWS;
        for (int64_t k = 0; k < op->depth; ++k)
            op->dense[(lot * op->depth + k) * DENSE_ROWS + row] = d->values[c * op->depth + k];
    }
    return NULL;
}

const char *secateur_check_convolution(Op *op, const Draft *d) {
    const int64_t floats = op->length * op->lanes;
    const int64_t reach = op->kind == OP_SPARSE ? touched(floats) : up(floats);
    if (op->blocks < 1 || op->blocks > 4096 || op->length < 1) return "its sizes are none";
    if (!flat_fits(&op->out, reach, op->lanes)) return "its output is too short";
    if (op->other.channels &&
        (op->other.channels != op->out.channels || op->other.pitch != op->out.pitch ||
         !flat_fits(&op->other, reach, op->lanes)))
        return "what it adds does not fit";
    if (op->kind == OP_SPARSE) return take_weights(op, d, reach, 0);
    if (op->blocks > op->depth) return "it has more blocks than depth";
    return take_dense(op, d);
}

/* Features of one picture lie side by side. */
const char *secateur_check_row(Op *op, const Draft *d) {
    const View *in = &op->in;
    if (op->lanes != 1 || op->blocks != 1 || in->height * in->width != 1 || in->plane != 1 ||
        op->out.height * op->out.width != 1 || op->other.channels)
        return "it is no linear layer of one picture";
    if (op->kind == OP_SPARSE_ROW) return take_weights(op, d, 1, in->origin);
    if (op->depth != in->channels || d->n_values != op->depth * op->out.channels)
        return "weights do not fit";
    op->dense = secateur_aligned(d->n_values);
    if (!op->dense) return "out of memory";
    memcpy(op->dense, d->values, (size_t)d->n_values * 4);
    return NULL;
}

/* Where each tap reads for each place of the output; the first of the indices. */
static const char *take_table(Op *op, const Draft *d) {
    const Window *w = &op->window;
    const View *in = &op->in;
    const int64_t taps = w->kh * w->kw, padded = up(op->length);
    if (op->length < 1 || taps < 1 || taps >= MOST / padded || d->n_indices < taps * padded)
        return "its taps do not fit";
    const int64_t rows = (in->height - 1) * in->pitch + in->width;
    for (int64_t i = 0; i < taps * padded; ++i)
        if (d->indices[i] < -1 || d->indices[i] >= rows) return "a tap reads outside";
    op->table = malloc((size_t)(taps * padded) * sizeof *op->table);
    if (!op->table) return "out of memory";
    memcpy(op->table, d->indices, (size_t)(taps * padded) * sizeof *op->table);
    /* Shifted planes read whole vectors: what they reach has to lie in the arena's value. */
    const int64_t first = -w->top * in->pitch - w->left;
    const int64_t last = ((w->kh - 1) * w->dh - w->top) * in->pitch + (w->kw - 1) * w->dw - w->left;
    const int64_t end = in->origin + (in->channels - 1) * in->plane + last + padded;
    if (op->depth && (in->origin + first < 0 || end > in->size / op->lanes || last >= MOST))
        return "shifted planes leave the input";
    return NULL;
}

const char *secateur_check_taps(Op *op, const Draft *d) {
    const char *wrong = take_table(op, d);
    if (wrong) return wrong;
    const int64_t taps = op->window.kh * op->window.kw;
    if (op->out.channels != op->in.channels * taps || d->n_indices != taps * up(op->length))
        return "its taps do not fit";
    return flat_fits(&op->out, touched(op->length * op->lanes), op->lanes)
               ? NULL
               : "its output is too short";
}

const char *secateur_check_depthwise(Op *op, const Draft *d) {
    const char *wrong = take_table(op, d);
    if (wrong) return wrong;
    const int64_t taps = op->window.kh * op->window.kw, rows = op->out.channels;
    const int32_t *which = d->indices + taps * up(op->length);
    if (op->lanes != 1 || op->blocks != 1 || rows % op->in.channels) return "its sizes do not fit";
    if (!flat_fits(&op->out, up(op->length), 1)) return "its output is too short";
    if (op->other.channels && (op->other.channels != rows || op->other.pitch != op->out.pitch ||
                               !flat_fits(&op->other, up(op->length), 1)))
        return "what it adds does not fit";
    if (d->n_indices != taps * up(op->length) + d->n_values) return "its weights do not fit";
    if ((wrong = take_pointers(op, d))) return wrong;
    for (int64_t i = 0; i < d->n_values; ++i) {
        if (which[i] < 0 || which[i] >= taps) return "its weights do not fit";
        op->weights[i] = (Weight){(uint32_t)which[i], d->values[i]};
    }
    const Window *w = &op->window;
    op->offsets = malloc((size_t)taps * sizeof *op->offsets);
    if (!op->offsets) return "out of memory";
    for (int64_t t = 0; t < taps; ++t)
        op->offsets[t] = (t / w->kw * w->dh - w->top) * op->in.pitch + t % w->kw * w->dw - w->left;
    return take_costs(op);
}
