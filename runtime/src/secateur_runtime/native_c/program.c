/* Builds a program. Every place that a kernel will ever touch is checked here, so that none need
 * look again: a draft that is wrong is refused, whoever wrote it. */
#include <stdlib.h>
#include <string.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

#include "codegen.h"

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

static int same_map(const View *a, const View *b) {
    return a->channels == b->channels && a->height == b->height && a->width == b->width;
}

static const char *check_window(const Op *op) {
    const Window *w = &op->window;
    const int64_t all[] = {w->kh, w->kw, w->sh, w->sw, w->dh, w->dw,
                           w->top, w->left, w->bottom, w->right};
    for (int k = 0; k < 10; ++k)
        if (all[k] < (k < 6) || all[k] >= MOST / 256) return "its window is none";
    if ((w->kh - 1) * w->dh >= MOST || (w->kw - 1) * w->dw >= MOST) return "its window is none";
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
        return secateur_check_convolution(op, d);
    case OP_SPARSE_ROW:
    case OP_DENSE_ROW:
        return secateur_check_row(op, d);
    case OP_PHASES:
        return out->channels == in->channels * op->window.kh * op->window.kw ? NULL
                                                                           : "phases do not fit";
    case OP_TAPS:
        return secateur_check_taps(op, d);
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
    case OP_DEPTHWISE:
        return secateur_check_depthwise(op, d);
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
                       op->kind == OP_DEPTHWISE || (op->kind >= OP_SPARSE && op->kind <= OP_DENSE_ROW);
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
