/* Builds a program. Every place that a kernel will ever touch is checked here, so that none need
 * look again: a draft that is wrong is refused, whoever wrote it. */
#include <stdlib.h>
#include <string.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

#include "codegen.h"

#define MOST ((int64_t)1 << 31)

float *secateur_aligned(int64_t floats) {
    void *memory = NULL;
    const size_t huge = (size_t)2 << 20;
    size_t bytes = ((size_t)floats * 4 + 63) / 64 * 64;
    if (floats < 0 || posix_memalign(&memory, bytes > huge ? huge : 64, bytes ? bytes : 64))
        return NULL;
#if defined(MADV_HUGEPAGE)
    if (bytes > huge) madvise(memory, bytes / huge * huge, MADV_HUGEPAGE); /* a wish */
#endif
    memset(memory, 0, bytes);
    return memory;
}

static int64_t up(int64_t n) { return (n + MAX_VECTOR - 1) / MAX_VECTOR * MAX_VECTOR; }

/* What a sparse kernel touches of so many floats: maps of few places have short vectors. */
static int64_t touched(int64_t n) { return n <= 4 ? 4 : n <= 8 ? 8 : up(n); }

static View read_view(const int64_t *i) {
    return (View){i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7], i[8]};
}

/* All factors are below 2^31, so no product of two overflows. */
static int view_fits(const View *v, int lanes, int64_t arena, int borders) {
    const int64_t all[] = {v->start, v->size, v->channels, v->height, v->width,
                           v->pitch, v->plane, v->origin, v->gap};
    for (int k = 0; k < 9; ++k)
        if (all[k] < 0 || all[k] >= MOST) return 0;
    if (!v->channels || !v->height || !v->width || v->pitch < v->width) return 0;
    if (v->start % MAX_VECTOR || v->start + v->size > arena) return 0;
    const int64_t rows = (v->height - 1) * v->pitch + v->width;
    const int64_t reach = borders ? v->height * v->pitch + v->gap : rows;
    if (reach >= MOST || v->plane < reach || (borders && v->origin < v->gap)) return 0;
    return (v->origin + (v->channels - 1) * v->plane + reach) <= v->size / lanes;
}

/* A convolution writes whole vectors, `length` elements from where each channel begins. */
static int flat_fits(const View *v, int64_t reach, int lanes) {
    return v->plane * lanes >= reach &&
           v->origin * lanes + (v->channels - 1) * v->plane * lanes + reach <= v->size;
}

static int same_map(const View *a, const View *b) {
    return a->channels == b->channels && a->height == b->height && a->width == b->width;
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

static const char *take_weights(Op *op, const Draft *d, int64_t reach, int64_t from) {
    const int64_t rows = op->blocks * op->out.channels;
    if (d->n_pointers != rows + 1 || d->n_indices != d->n_values) return "pointers do not fit";
    if (d->pointers[0] != 0 || d->pointers[rows] != d->n_values) return "pointers do not fit";
    for (int64_t i = 0; i < rows; ++i)
        if (d->pointers[i] > d->pointers[i + 1]) return "pointers do not rise";
    if (from + reach > op->in.size || op->in.size > MOST / 4) return "the input is too short";
    op->pointers = malloc((size_t)(rows + 1) * sizeof *op->pointers);
    op->weights = malloc((size_t)(d->n_values + 1) * sizeof *op->weights);
    if (!op->pointers || !op->weights) return "out of memory";
    memcpy(op->pointers, d->pointers, (size_t)(rows + 1) * sizeof *op->pointers);
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

static const char *check_convolution(Op *op, const Draft *d) {
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
static const char *check_row(Op *op, const Draft *d) {
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

static const char *check_taps(Op *op, const Draft *d) {
    const Window *w = &op->window;
    const View *in = &op->in, *out = &op->out;
    const int64_t taps = w->kh * w->kw, padded = up(op->length);
    if (op->length < 1 || taps < 1 || taps >= MOST || out->channels != in->channels * taps)
        return "its taps do not fit";
    if (!flat_fits(out, touched(op->length * op->lanes), op->lanes) || d->n_indices != taps * padded)
        return "its output is too short";
    const int64_t rows = (in->height - 1) * in->pitch + in->width;
    for (int64_t i = 0; i < d->n_indices; ++i)
        if (d->indices[i] < -1 || d->indices[i] >= rows) return "a tap reads outside";
    op->table = malloc((size_t)d->n_indices * sizeof *op->table);
    if (!op->table) return "out of memory";
    memcpy(op->table, d->indices, (size_t)d->n_indices * sizeof *op->table);
    /* Shifted planes read whole vectors: what they reach has to lie in the arena's value. */
    const int64_t first = -w->top * in->pitch - w->left;
    const int64_t last = ((w->kh - 1) * w->dh - w->top) * in->pitch + (w->kw - 1) * w->dw - w->left;
    const int64_t end = in->origin + (in->channels - 1) * in->plane + last + padded;
    if (op->depth && (in->origin + first < 0 || end > in->size / op->lanes || last >= MOST))
        return "shifted planes leave the input";
    return NULL;
}

static const char *check_window(const Op *op) {
    const Window *w = &op->window;
    const int64_t all[] = {w->kh, w->kw, w->sh, w->sw, w->dh, w->dw,
                           w->top, w->left, w->bottom, w->right};
    for (int k = 0; k < 10; ++k)
        if (all[k] < (k < 6) || all[k] >= MOST / 256) return "its window is none";
    return NULL;
}

static const char *check_kind(Op *op, const Draft *d) {
    const View *in = &op->in, *out = &op->out;
    switch (op->kind) {
    case OP_INPUT:
    case OP_OUTPUT:
        return NULL;
    case OP_SPARSE:
    case OP_DENSE:
        return check_convolution(op, d);
    case OP_SPARSE_ROW:
    case OP_DENSE_ROW:
        return check_row(op, d);
    case OP_PHASES:
        return out->channels == in->channels * op->window.kh * op->window.kw ? NULL
                                                                           : "phases do not fit";
    case OP_TAPS:
        return check_taps(op, d);
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL:
        return out->channels == in->channels ? NULL : "channels do not fit";
    case OP_ADD:
        return same_map(in, &op->other) && same_map(in, out) ? NULL : "shapes do not fit";
    case OP_SOFTMAX:
    case OP_AFFINE:
    case OP_CLIP:
        return same_map(in, out) ? NULL : "shapes do not fit";
    case OP_RESHAPE:
        return in->channels * in->height * in->width == out->channels * out->height * out->width
                   ? NULL
                   : "shapes do not fit";
    case OP_CODE:
        if (op->other.channels && !same_map(&op->other, out)) return "what it adds does not fit";
        return op->groups < 1 ? "groups do not fit" : secateur_code_make(op, d);
    default:
        return "its kind is unknown";
    }
}

static const char *take_floats(Op *op, const Draft *d) {
    const int64_t c = op->out.channels;
    const int biased = op->kind == OP_AFFINE || op->kind == OP_CODE ||
                       (op->kind >= OP_SPARSE && op->kind <= OP_DENSE_ROW);
    const int64_t wanted = 2 + biased * c + (op->kind == OP_AFFINE) * c;
    if (d->n_floats != wanted) return "biases do not fit";
    op->low = d->floats[0], op->high = d->floats[1];
    if (!biased) return NULL;
    op->bias = malloc((size_t)c * 4);
    op->scale = malloc((size_t)c * 4);
    if (!op->bias || !op->scale) return "out of memory";
    memcpy(op->bias, d->floats + 2, (size_t)c * 4);
    if (op->kind == OP_AFFINE) memcpy(op->scale, d->floats + 2 + c, (size_t)c * 4);
    return NULL;
}

const char *secateur_program_start(Program *p, const char *isa, int lanes, int64_t size,
                                   int n_ops) {
    for (int i = 0; i < secateur_isa_count && !p->isa; ++i)
        if (!strcmp(secateur_isas[i].name, isa) && secateur_isas[i].usable())
            p->isa = &secateur_isas[i];
    if (!p->isa) return "this processor, or this build, has no such instructions";
    if (lanes != 1 && lanes != 16) return "lanes are 1 or 16";
    if (size < 0 || size >= MOST || n_ops < 1) return "its sizes are none";
    p->lanes = lanes, p->size = size;
    p->ops = calloc((size_t)n_ops, sizeof *p->ops);
    return p->ops ? NULL : "out of memory";
}

const char *secateur_program_add(Program *p, const Draft *d) {
    if (d->n_ints != OP_INTS || d->n_floats < 2) return "it is incomplete";
    if (d->kind < 0 || d->kind >= OP_KINDS) return "its kind is unknown";
    Op *op = &p->ops[p->n_ops++];
    const int64_t *w = d->ints + 3 * VIEW_INTS, *rest = w + WINDOW_INTS;
    op->kind = (enum kind)d->kind, op->lanes = p->lanes;
    op->in = read_view(d->ints);
    op->other = read_view(d->ints + VIEW_INTS);
    op->out = read_view(d->ints + 2 * VIEW_INTS);
    op->window = (Window){w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10]};
    op->length = rest[0], op->blocks = rest[1], op->depth = rest[2], op->groups = rest[3];
    op->clips = rest[4] != 0, op->borders = rest[5] != 0, op->tile = rest[6];
    for (int k = 0; k < 4; ++k)
        if (rest[k] < 0 || rest[k] >= MOST) return "its sizes are none";
    if (op->kind == OP_DENSE && op->groups < 1) return "its sizes are none";
    if (op->kind != OP_INPUT && !view_fits(&op->in, p->lanes, p->size, 0))
        return "its input does not fit";
    if (op->kind != OP_OUTPUT && !view_fits(&op->out, p->lanes, p->size, op->borders))
        return "its output does not fit";
    if (op->other.channels && !view_fits(&op->other, p->lanes, p->size, 0))
        return "its second input does not fit";
    const char *wrong = check_window(op);
    if (!wrong) wrong = take_floats(op, d);
    return wrong ? wrong : check_kind(op, d);
}

const char *secateur_program_finish(Program *p) {
    const Op *first = p->ops, *last = p->ops + p->n_ops - 1;
    for (int i = 0; i < p->n_ops; ++i)
        if ((p->ops[i].kind == OP_INPUT) != (i == 0) ||
            (p->ops[i].kind == OP_OUTPUT) != (i == p->n_ops - 1))
            return "a program begins with its input and ends with its output";
    if (p->n_ops < 2) return "a program begins with its input and ends with its output";
    p->in_size = first->out.channels * first->out.height * first->out.width;
    p->out_size = last->in.channels * last->in.height * last->in.width;
    return NULL;
}

void secateur_program_free(Program *p) {
    secateur_crew_free(&p->crew);
    for (int i = 0; i < p->n_ops; ++i) {
        Op *op = &p->ops[i];
        free(op->bias), free(op->scale), free(op->pointers), free(op->weights), free(op->costs);
        free(op->offsets), free(op->dense), free(op->table);
        secateur_code_free(op->code);
    }
    free(p->ops);
    while (p->spare) {
        Arena *next = p->spare->next;
        free(p->spare->memory), free(p->spare);
        p->spare = next;
    }
}
