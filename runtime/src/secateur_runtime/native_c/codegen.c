/* Convolutions of 16 pictures as machine code of their own, for processors with AVX-512.
 *
 * A lot of up to 31 output channels is held in registers for one place of the map; one more register
 * takes an input, which is then multiplied into every output that has a weight for it. The pattern
 * of the zeros is the code: no index is stored or read. The code of a lot is cut into pieces that fit
 * the instruction cache, by input channels, and a piece runs over the whole map before the next; sums
 * wait in the output meanwhile. A piece has one segment for each tap. At the map's border a list
 * of segments leaves out the taps that fall outside: each segment jumps to the next on the list.
 * Processors fetch code that lies far away slowly, a line at a time: while a piece runs, the lines of
 * the next one are asked for, some at each place of the map.
 *
 * Memory is written first and made executable then, never both at once. Where the system refuses,
 * nothing is generated, and the kernels of kernels.inc.c do the same. */
#include "codegen.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && !defined(_WIN32)
#include <sys/mman.h>
#include <unistd.h>

enum { LOT = 31, INPUT = 31, MOST_TAPS = 64 };
enum { RAX = 0, RCX = 1, RDX = 2, RSI = 6, RDI = 7 };
#define PIECE_BYTES 20000

typedef void Entry(const char *in, const float *weights, char *out, const char *other,
                   const void *const *list);

typedef struct {
    int64_t begin, end;      /* output channels */
    int64_t weights, n_weights; /* where its weights begin, and how many there are */
    int64_t code, n_code;       /* where its code begins, and its bytes */
    const void **lists;      /* [row class][column class][2 + taps + 1] */
} Piece;

struct Code {
    unsigned char *memory;
    size_t bytes;
    int64_t n_pieces, n_lots, list; /* pointers of one list */
    Piece *pieces;
    int64_t *lots;           /* [n_lots + 1]: the first piece of each */
    int64_t *costs;          /* [n_lots + 1]: about the work of all lots before each */
    float *weights;
    uint64_t row_masks[MOST_TAPS + 1], column_masks[MOST_TAPS + 1]; /* of each class: taps inside */
    int64_t n_rows, n_columns;
    int32_t *rows, *columns; /* class of each output row and column */
};

/* Bytes that are written; beyond the end they are only counted. */
typedef struct {
    unsigned char *at;
    size_t n, room;
} Text;

static void byte(Text *t, unsigned value) {
    if (t->n < t->room) t->at[t->n] = (unsigned char)value;
    t->n++;
}

static void word(Text *t, int64_t value) {
    for (int k = 0; k < 4; ++k) byte(t, (unsigned)((uint64_t)value >> (8 * k)) & 255);
}

/* The beginning of a vector instruction of 512 bits; `map` and `prefix` as the manual numbers them. */
static void vector(Text *t, int map, int prefix, int opcode, int reg, int second, int broadcast) {
    byte(t, 0x62);
    byte(t, (unsigned)((~reg >> 3 & 1) << 7 | 1 << 6 | 1 << 5 | (~reg >> 4 & 1) << 4 | map));
    byte(t, (unsigned)((~second & 15) << 3 | 4 | prefix));
    byte(t, (unsigned)(2 << 5 | broadcast << 4 | (~second >> 4 & 1) << 3));
    byte(t, (unsigned)opcode);
}

static void far_operand(Text *t, int reg, int base, int64_t bytes) {
    byte(t, (unsigned)(2 << 6 | (reg & 7) << 3 | base));
    word(t, bytes);
}

static void load(Text *t, int reg, int base, int64_t bytes) {
    vector(t, 1, 0, 0x10, reg, 0, 0);
    far_operand(t, reg, base, bytes);
}

static void store(Text *t, int reg, int base, int64_t bytes) {
    vector(t, 1, 0, 0x11, reg, 0, 0);
    far_operand(t, reg, base, bytes);
}

static void spread(Text *t, int reg, int base, int64_t bytes) {
    vector(t, 2, 1, 0x18, reg, 0, 0);
    far_operand(t, reg, base, bytes);
}

static void add(Text *t, int reg, int base, int64_t bytes) {
    vector(t, 1, 0, 0x58, reg, reg, 0);
    far_operand(t, reg, base, bytes);
}

/* The greater (0x5f) or the smaller (0x5d) of INPUT and reg; what is no number stays in reg. */
static void bound(Text *t, int opcode, int reg) {
    byte(t, 0x62);
    byte(t, (unsigned)((~reg >> 3 & 1) << 7 | (~reg >> 4 & 1) << 6 | (~reg >> 3 & 1) << 5 |
                       (~reg >> 4 & 1) << 4 | 1));
    byte(t, (unsigned)((~INPUT & 15) << 3 | 4));
    byte(t, (unsigned)(2 << 5 | (~INPUT >> 4 & 1) << 3));
    byte(t, (unsigned)opcode);
    byte(t, (unsigned)(3 << 6 | (reg & 7) << 3 | (reg & 7)));
}

/* reg += INPUT * the weight at rax + 4 * words. */
static void multiply(Text *t, int reg, int words) {
    vector(t, 2, 1, 0xb8, reg, INPUT, 1);
    byte(t, (unsigned)(1 << 6 | (reg & 7) << 3 | RAX));
    byte(t, (unsigned)words & 255);
}

static void point_at_weights(Text *t, int64_t words) {
    byte(t, 0x48), byte(t, 0x8d), byte(t, 0x86); /* lea rax, [rsi + ...] */
    word(t, words * 4);
}

static void begin(Text *t) {
    while (t->n % 16) byte(t, 0xcc);
    byte(t, 0xf3), byte(t, 0x0f), byte(t, 0x1e), byte(t, 0xfa); /* endbr64 */
}

static void go_on(Text *t) {
    byte(t, 0x49), byte(t, 0x8b), byte(t, 0x00);                 /* mov rax, [r8] */
    byte(t, 0x49), byte(t, 0x83), byte(t, 0xc0), byte(t, 0x08);  /* add r8, 8 */
    byte(t, 0xff), byte(t, 0xe0);                                /* jmp rax */
}

/* One non-zero: where it is read and what it belongs to. */
typedef struct {
    int32_t channel, tap, row;
    float value;
} NonZero;

static int by_use(const void *a, const void *b) {
    const NonZero *x = a, *y = b;
    if (x->tap != y->tap) return x->tap < y->tap ? -1 : 1;
    if (x->channel != y->channel) return x->channel < y->channel ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int by_channel(const void *a, const void *b) {
    const NonZero *x = a, *y = b;
    if (x->channel != y->channel) return x->channel < y->channel ? -1 : 1;
    return x->tap < y->tap ? -1 : x->tap > y->tap;
}

/* Positions in the text of a piece's parts: beginning, taps (or -1), end. */
typedef struct {
    int64_t head, tail, taps[MOST_TAPS];
} Parts;

static void write_head(Text *t, const Op *op, const Piece *p, int first, int64_t bias) {
    begin(t);
    for (int64_t c = p->begin; c < p->end; ++c) {
        const int reg = (int)(c - p->begin);
        if (!first) {
            load(t, reg, RDX, c * op->out.plane * 64);
            continue;
        }
        spread(t, reg, RSI, (bias + reg) * 4);
        if (op->other.channels) add(t, reg, RCX, c * op->other.plane * 64);
    }
    go_on(t);
}

static void write_tail(Text *t, const Op *op, const Piece *p, int last, int64_t limits) {
    begin(t);
    for (int side = 0; side < 2 && last && op->clips; ++side) {
        if (side && op->high == __builtin_inff()) break;
        spread(t, INPUT, RSI, (limits + side) * 4);
        for (int reg = 0; reg < p->end - p->begin; ++reg) bound(t, side ? 0x5d : 0x5f, reg);
    }
    for (int64_t c = p->begin; c < p->end; ++c)
        store(t, (int)(c - p->begin), RDX, c * op->out.plane * 64);
    byte(t, 0xc5), byte(t, 0xf8), byte(t, 0x77); /* vzeroupper */
    byte(t, 0xc3);
}

/* Writes the segments of a piece; its weights go to `weights`, in the order of their use. */
static void write_taps(Text *t, const Op *op, const Piece *p, const NonZero *e, int64_t n,
                       float *weights, int64_t at, Parts *parts) {
    const Window *w = &op->window;
    for (int64_t k = 0; k < MOST_TAPS; ++k) parts->taps[k] = -1;
    int64_t base = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int new_tap = !i || e[i].tap != e[i - 1].tap;
        if (new_tap) {
            if (i) go_on(t);
            begin(t);
            parts->taps[e[i].tap] = (int64_t)t->n - 4;
        }
        if (new_tap || at + i - base > 127) {
            base = at + i + 128;
            point_at_weights(t, base);
        }
        if (new_tap || e[i].channel != e[i - 1].channel)
            load(t, INPUT, RDI,
                 (e[i].channel * op->in.plane + e[i].tap / w->kw * w->dh * op->in.pitch +
                  e[i].tap % w->kw * w->dw) * 64);
        multiply(t, (int)(e[i].row - p->begin), (int)(at + i - base));
        if (weights) weights[at + i] = e[i].value;
    }
    if (n) go_on(t);
}

/* The distinct sets of taps that lie inside, over the places along one axis. */
static int64_t classes(int64_t places, int64_t taps, int64_t stride, int64_t dilation, int64_t before,
                       int64_t size, uint64_t *masks, int32_t *which) {
    int64_t n = 0;
    for (int64_t o = 0; o < places; ++o) {
        uint64_t mask = 0;
        for (int64_t k = 0; k < taps; ++k) {
            const int64_t at = o * stride + k * dilation - before;
            if (at >= 0 && at < size) mask |= (uint64_t)1 << k;
        }
        int64_t c = 0;
        while (c < n && masks[c] != mask) ++c;
        if (c > MOST_TAPS) return -1;
        if (c == n) masks[n++] = mask;
        which[o] = (int32_t)c;
    }
    return n;
}

static void write_lists(const Op *op, Code *code, Piece *p, const Parts *parts) {
    const int64_t taps = op->window.kh * op->window.kw;
    for (int64_t r = 0; r < code->n_rows; ++r)
        for (int64_t c = 0; c < code->n_columns; ++c) {
            const void **list = p->lists + (r * code->n_columns + c) * code->list;
            *list++ = code->memory + parts->head;
            for (int64_t t = 0; t < taps; ++t)
                if (parts->taps[t] >= 0 && code->row_masks[r] >> t / op->window.kw & 1 &&
                    code->column_masks[c] >> t % op->window.kw & 1)
                    *list++ = code->memory + parts->taps[t];
            *list++ = code->memory + parts->tail;
        }
}

/* Bytes of code that some non-zeros take, sorted by use: one load where the input changes. */
static int64_t weigh(const NonZero *e, int64_t n) {
    int64_t bytes = 0;
    for (int64_t i = 0; i < n; ++i)
        bytes += 7 + 10 * (!i || e[i].channel != e[i - 1].channel || e[i].tap != e[i - 1].tap);
    return bytes;
}

static const char *plan_pieces(const Op *op, Code *code, NonZero *e, const int64_t *pointers) {
    const int64_t out = op->out.channels;
    code->n_lots = (out + LOT - 1) / LOT;
    code->lots = calloc((size_t)code->n_lots + 1, sizeof *code->lots);
    code->costs = calloc((size_t)code->n_lots + 1, sizeof *code->costs);
    if (!code->lots || !code->costs) return "out of memory";
    for (int pass = 0; pass < 2; ++pass) {
        int64_t n = 0;
        for (int64_t lot = 0; lot < code->n_lots; ++lot) {
            const int64_t first = out * lot / code->n_lots, end = out * (lot + 1) / code->n_lots;
            const int64_t from = pointers[first], count = pointers[end] - from;
            int64_t parts = weigh(e + from, count) / PIECE_BYTES + 1;
            if (parts > op->in.channels) parts = op->in.channels;
            code->lots[lot] = n;
            code->costs[lot + 1] = code->costs[lot] + weigh(e + from, count) + 256;
            for (int64_t k = 0; k < parts; ++k, ++n)
                if (pass) code->pieces[n] = (Piece){.begin = first, .end = end};
        }
        code->lots[code->n_lots] = code->n_pieces = n;
        if (!pass && !(code->pieces = calloc((size_t)n, sizeof *code->pieces)))
            return "out of memory";
    }
    return NULL;
}

/* Writes all there is, or counts its bytes where the text has no room. */
static void write_all(const Op *op, Code *code, NonZero *e, const int64_t *pointers, Text *t) {
    int64_t weights = 0;
    for (int64_t lot = 0; lot < code->n_lots; ++lot) {
        const int64_t first = code->lots[lot], n = code->lots[lot + 1] - first;
        int64_t at = pointers[code->pieces[first].begin];
        const int64_t end = pointers[code->pieces[first].end];
        for (int64_t k = 0; k < n; ++k) {
            Piece *p = &code->pieces[first + k];
            int64_t stop = at; /* of its input channels */
            while (stop < end && e[stop].channel < op->in.channels * (k + 1) / n) ++stop;
            if (!t->room) qsort(e + at, (size_t)(stop - at), sizeof *e, by_use);
            const int64_t extra = stop - at;
            Parts parts;
            p->weights = weights;
            float *own = code->weights ? code->weights + weights : NULL;
            parts.head = p->code = (int64_t)(t->n + 15) / 16 * 16;
            write_head(t, op, p, k == 0, extra);
            write_taps(t, op, p, e + at, stop - at, own, 0, &parts);
            parts.tail = (int64_t)(t->n + 15) / 16 * 16;
            write_tail(t, op, p, k == n - 1, extra + LOT);
            if (own) {
                for (int64_t c = p->begin; c < p->end; ++c) own[extra + c - p->begin] = op->bias[c];
                own[extra + LOT] = op->low, own[extra + LOT + 1] = op->high;
            }
            p->n_code = (int64_t)t->n - p->code;
            p->n_weights = (extra + LOT + 2 + 15) / 16 * 16;
            weights += p->n_weights;
            if (p->lists) write_lists(op, code, p, &parts);
            at = stop;
        }
    }
    if (!code->weights) code->weights = secateur_aligned(weights);
}

/* Much code lies on large pages, where the system has them: addresses are looked up less often. */
static const char *take_memory(Code *code, size_t bytes) {
    const size_t huge = (size_t)2 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    const int large = bytes > huge / 2;
    const size_t unit = large ? huge : page;
    code->bytes = (bytes + unit - 1) / unit * unit;
    const size_t room = code->bytes + (large ? huge : 0);
    unsigned char *all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return "no memory for code";
    code->memory = (unsigned char *)(((uintptr_t)all + unit - 1) / unit * unit);
    if (code->memory > all) munmap(all, (size_t)(code->memory - all));
    const size_t after = room - code->bytes - (size_t)(code->memory - all);
    if (after) munmap(code->memory + code->bytes, after);
#if defined(MADV_HUGEPAGE)
    if (large) madvise(code->memory, code->bytes, MADV_HUGEPAGE); /* a wish */
#endif
    return NULL;
}

static const char *generate(Op *op, Code *code, NonZero *e, const int64_t *pointers) {
    const Window *w = &op->window;
    code->rows = malloc((size_t)op->out.height * sizeof *code->rows);
    code->columns = malloc((size_t)op->out.width * sizeof *code->columns);
    if (!code->rows || !code->columns) return "out of memory";
    code->n_rows = classes(op->out.height, w->kh, w->sh, w->dh, w->top, op->in.height,
                           code->row_masks, code->rows);
    code->n_columns = classes(op->out.width, w->kw, w->sw, w->dw, w->left, op->in.width,
                              code->column_masks, code->columns);
    if (code->n_rows < 1 || code->n_columns < 1) return "its border has too many forms";
    const char *wrong = plan_pieces(op, code, e, pointers);
    if (wrong) return wrong;
    Text counted = {NULL, 0, 0};
    write_all(op, code, e, pointers, &counted);
    if (!code->weights) return "out of memory";
    if ((wrong = take_memory(code, counted.n))) return wrong;
    code->list = w->kh * w->kw + 2;
    for (int64_t i = 0; i < code->n_pieces; ++i) {
        const int64_t n = code->n_rows * code->n_columns * code->list;
        code->pieces[i].lists = malloc((size_t)n * sizeof(void *));
        if (!code->pieces[i].lists) return "out of memory";
    }
    Text text = {code->memory, 0, code->bytes};
    write_all(op, code, e, pointers, &text);
    if (mprotect(code->memory, code->bytes, PROT_READ | PROT_EXEC)) return "no memory for code";
    return NULL;
}

const char *secateur_code_make(Op *op, const Draft *d) {
    const Window *w = &op->window;
    const int64_t taps = w->kh * w->kw, rows = op->out.channels;
    if (op->lanes != 16 || taps > MOST_TAPS || op->in.channels % op->groups || rows % op->groups)
        return "no code can be made of it";
    const int64_t own = op->in.channels / op->groups, depth = own * taps;
    const int64_t reach = (w->kh - 1) * w->dh * op->in.pitch + (w->kw - 1) * w->dw;
    const View *views[] = {&op->in, &op->out, &op->other};
    if (reach >= MOST) return "it reaches too far for code";
    for (int k = 0; k < 3; ++k)
        if (views[k]->size < 0 || views[k]->size >= MOST ||
            views[k]->size * 4 + reach * 64 >= (int64_t)1 << 31)
            return "it reaches too far for code";
    if (d->n_pointers != rows + 1 || d->n_indices != d->n_values || d->pointers[0] != 0 ||
        d->pointers[rows] != d->n_values || d->n_values > ((int64_t)1 << 26))
        return "pointers do not fit";
    NonZero *e = malloc((size_t)(d->n_values + 1) * sizeof *e);
    op->code = calloc(1, sizeof *op->code);
    const char *wrong = e && op->code ? NULL : "out of memory";
    for (int64_t r = 0; r < rows && !wrong; ++r) {
        if (d->pointers[r] > d->pointers[r + 1] || d->pointers[r + 1] > d->n_values)
            wrong = "pointers do not rise";
        for (int64_t i = d->pointers[r]; i < d->pointers[r + 1] && !wrong; ++i) {
            const int64_t at = d->indices[i];
            if (at < 0 || at >= depth) wrong = "a weight reads outside";
            const int64_t channel = r / (rows / op->groups) * own + at / taps;
            e[i] = (NonZero){(int32_t)channel, (int32_t)(at % taps), (int32_t)r, d->values[i]};
        }
    }
    const int64_t lots = (rows + LOT - 1) / LOT;
    for (int64_t lot = 0; lot < lots && !wrong; ++lot) {
        const int64_t from = d->pointers[rows * lot / lots], to = d->pointers[rows * (lot + 1) / lots];
        qsort(e + from, (size_t)(to - from), sizeof *e, by_channel);
    }
    if (!wrong) wrong = generate(op, op->code, e, d->pointers);
    free(e);
    return wrong;
}

/* The lines of a piece that will run next, and how many are asked for at each place of a map. */
typedef struct {
    const char *code, *code_end, *weights, *weights_end;
    int64_t each;
} Ahead;

enum { LINE = 64 };

static Ahead ahead_of(const Code *code, const Piece *p, int64_t places) {
    Ahead a = {(const char *)code->memory + p->code, NULL, (const char *)(code->weights + p->weights),
               NULL, 0};
    a.code_end = a.code + p->n_code, a.weights_end = a.weights + 4 * p->n_weights;
    a.each = ((p->n_code + 4 * p->n_weights) / LINE + places) / places;
    return a;
}

static inline void ask(Ahead *a) {
    for (int64_t k = 0; k < a->each; ++k) {
        if (a->code < a->code_end) {
            __builtin_prefetch(a->code, 0, 2);
            a->code += LINE;
        } else if (a->weights < a->weights_end) {
            __builtin_prefetch(a->weights, 0, 2);
            a->weights += LINE;
        } else {
            a->each = 0;
        }
    }
}

static void run_piece(const Op *op, const Piece *p, float *arena, int64_t begin, int64_t end,
                      Ahead *ahead) {
    const Code *code = op->code;
    const Window *w = &op->window;
    const View *in = &op->in, *out = &op->out, *other = &op->other;
    const float *weights = code->weights + p->weights;
    for (int64_t y = begin; y < end; ++y) {
        const int64_t row = in->origin + (y * w->sh - w->top) * in->pitch - w->left;
        /* may lie outside for taps that the list leaves out: a number, not a pointer */
        uintptr_t from = (uintptr_t)(arena + in->start) + (uintptr_t)(row * 64);
        char *to = (char *)(arena + out->start + (out->origin + y * out->pitch) * 16);
        const char *add = NULL;
        if (other->channels)
            add = (const char *)(arena + other->start + (other->origin + y * other->pitch) * 16);
        const void **lists = p->lists + code->rows[y] * code->n_columns * code->list;
        for (int64_t x = 0; x < out->width; ++x) {
            const void *const *list = lists + code->columns[x] * code->list;
            ask(ahead);
            ((Entry *)(uintptr_t)list[0])((const char *)from, weights, to, add, list + 1);
            from += (uintptr_t)(w->sw * 64), to += 64;
            if (add) add += 64;
        }
    }
}

/* Lots in turn, the first and the last perhaps not all of their rows. */
static int64_t cut_rows(const Op *op, int part, int parts) {
    const Code *code = op->code;
    if (part == parts) return code->n_lots * op->out.height;
    const double wanted = (double)code->costs[code->n_lots] * part / parts;
    int64_t lot = 0;
    while (lot < code->n_lots - 1 && (double)code->costs[lot + 1] <= wanted) ++lot;
    const double own = (double)(code->costs[lot + 1] - code->costs[lot]);
    return lot * op->out.height +
           (int64_t)((wanted - (double)code->costs[lot]) / own * (double)op->out.height + 0.5);
}

void secateur_code_run(const Op *op, float *const *arenas, int n, int part, int parts) {
    const Code *code = op->code;
    const int64_t height = op->out.height;
    const int64_t end = cut_rows(op, part + 1, parts);
    for (int64_t at = cut_rows(op, part, parts); at < end;) {
        const int64_t lot = at / height, next = (lot + 1) * height < end ? (lot + 1) * height : end;
        for (int64_t i = code->lots[lot]; i < code->lots[lot + 1]; ++i) {
            const int last = i + 1 == code->n_pieces;
            Ahead ahead = ahead_of(code, &code->pieces[last ? i : i + 1], n * (next - at) * op->out.width);
            if (last) ahead.each = 0;
            for (int k = 0; k < n; ++k)
                run_piece(op, &code->pieces[i], arenas[k], at - lot * height, next - lot * height,
                          &ahead);
        }
        at = next;
    }
}

void secateur_code_free(Code *code) {
    if (!code) return;
    for (int64_t i = 0; code->pieces && i < code->n_pieces; ++i) free(code->pieces[i].lists);
    if (code->memory) munmap(code->memory, code->bytes);
    free(code->pieces), free(code->lots), free(code->costs), free(code->weights), free(code->rows), free(code->columns);
    free(code);
}

int secateur_code_allowed(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f")) return 0;
    Code code = {0};
    if (take_memory(&code, 1)) return 0;
    code.memory[0] = 0xc3;
    const int refused = mprotect(code.memory, code.bytes, PROT_READ | PROT_EXEC);
    if (!refused) ((void (*)(void))(uintptr_t)code.memory)();
    munmap(code.memory, code.bytes);
    return !refused;
}
#else
const char *secateur_code_make(Op *op, const Draft *d) {
    (void)op, (void)d;
    return "no code is made for this processor";
}
void secateur_code_run(const Op *op, float *const *arenas, int n, int part, int parts) {
    (void)op, (void)arenas, (void)n, (void)part, (void)parts;
}
void secateur_code_free(Code *code) { (void)code; }
int secateur_code_allowed(void) { return 0; }
#endif
