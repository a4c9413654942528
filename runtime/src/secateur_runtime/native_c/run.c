/* Runs a program: one or more pictures at a time in an arena of their own, in one thread or several. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen.h"

enum { ABREAST = 4, MOST_SPARE = 8, MOST_THREADS = 256 };

typedef struct {
    Program *program;
    const float *in;
    float *out;
    int64_t n, groups;       /* pictures, and groups of them that lie side by side */
    int parts;               /* threads */
    int n_arenas;            /* that they share */
    float *arenas[MOST_THREADS];
    atomic_llong next;       /* group of pictures that nobody has taken */
    atomic_int waiting, turn, failed;
} Job;

static float *take_arena(Program *p) {
    float *memory = NULL;
    secateur_lock();
    if (p->spare) {
        Arena *arena = p->spare;
        memory = arena->memory;
        p->spare = arena->next;
        p->n_spare--;
        free(arena);
    }
    secateur_unlock();
    return memory ? memory : secateur_aligned(p->size);
}

static void give_arena(Program *p, float *memory) {
    Arena *arena = malloc(sizeof *arena);
    secateur_lock();
    if (arena && p->n_spare < MOST_SPARE) {
        *arena = (Arena){p->spare, memory};
        p->spare = arena;
        p->n_spare++;
        arena = NULL, memory = NULL;
    }
    secateur_unlock();
    free(arena), free(memory);
}

/* The numbers of the pictures, row by row, into the lanes of the first value; or out of the last. */
static void read_input(const Program *p, const Op *op, float *arena, const float *in, int64_t n,
                       int part, int parts) {
    const View *v = &op->out;
    const int lanes = p->lanes;
    const int64_t rows = v->channels * v->height;
    for (int64_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) {
        float *to = arena + v->start +
                    (v->origin + r / v->height * v->plane + r % v->height * v->pitch) * lanes;
        const float *from = in + r * v->width;
        if (lanes == 1) {
            memcpy(to, from, (size_t)v->width * 4);
        } else {
            for (int64_t x = 0; x < v->width; ++x)
                for (int b = 0; b < lanes; ++b)
                    to[x * lanes + b] = b < n ? from[b * p->in_size + x] : 0;
        }
        if (!op->borders) continue;
        if (v->pitch > v->width)
            memset(to + v->width * lanes, 0, (size_t)((v->pitch - v->width) * lanes) * 4);
        if (r % v->height == v->height - 1) {
            const size_t bytes = (size_t)(v->gap * lanes) * 4;
            memset(to + v->pitch * lanes, 0, bytes);
            if (r / v->height == 0) memset(arena + v->start + (v->origin - v->gap) * lanes, 0, bytes);
        }
    }
}

static void write_output(const Program *p, const View *v, const float *arena, float *out, int64_t n,
                         int part, int parts) {
    const int lanes = p->lanes;
    const int64_t rows = v->channels * v->height;
    for (int64_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) {
        const float *from = arena + v->start +
                            (v->origin + r / v->height * v->plane + r % v->height * v->pitch) * lanes;
        float *to = out + r * v->width;
        for (int64_t b = 0; b < n; ++b)
            for (int64_t x = 0; x < v->width; ++x) to[b * p->out_size + x] = from[x * lanes + b];
    }
}

static void run_op(const Program *p, int i, float *arena, const float *in, float *out, int64_t n,
                   int part, int parts) {
    const Op *op = &p->ops[i];
    if (op->kind == OP_INPUT) read_input(p, op, arena, in, n, part, parts);
    else if (op->kind == OP_OUTPUT) write_output(p, &op->in, arena, out, n, part, parts);
    else if (op->kind == OP_CODE) {
        secateur_code_run(op, &arena, 1, part, parts);
        if (op->borders) p->isa->run(op, arena, part, parts);
    } else p->isa->run(op, arena, part, parts);
}

/* All members wait for the last one. */
static void meet(Job *job) {
    if (job->parts == 1) return;
    const int turn = atomic_load(&job->turn);
    if (atomic_fetch_add(&job->waiting, 1) == job->parts - 1) {
        atomic_store(&job->waiting, 0);
        atomic_store(&job->turn, turn + 1);
        return;
    }
    secateur_await(&job->turn, turn);
}

/* Small maps repay code badly, so such an operator runs over all groups before the next does. The
 * others run group by group, whose maps are then still in the cache. */
static int is_shared(const Op *op) {
    return op->kind == OP_CODE && op->out.height * op->out.width <= 64;
}

static void run_group(const Job *job, int i, float *arena, int64_t group, int part, int parts) {
    const Program *p = job->program;
    const int64_t at = group * p->lanes, left = job->n - at < p->lanes ? job->n - at : p->lanes;
    run_op(p, i, arena, job->in + at * p->in_size, job->out + at * p->out_size, left, part, parts);
}

/* Groups side by side: each thread has its own, but shares of a shared operator are over all. */
static void run_abreast(Job *job, int64_t first, int n, int part) {
    const Program *p = job->program;
    for (int i = 0, end; i < p->n_ops; i = end) {
        for (end = i; end < p->n_ops && !is_shared(&p->ops[end]); ++end) {}
        for (int k = part; k < n; k += job->parts)
            for (int j = i; j < end; ++j) run_group(job, j, job->arenas[k], first + k, 0, 1);
        if (end < p->n_ops) {
            const Op *op = &p->ops[end++];
            meet(job);
            secateur_code_run(op, job->arenas, n, part, job->parts);
            for (int k = 0; k < n && op->borders; ++k)
                p->isa->run(op, job->arenas[k], part, job->parts);
            meet(job);
        }
    }
    meet(job);
}

/* As many groups as all threads have alike; where they are too few, each operator is shared out. */
static int abreast(const Program *p, int64_t left, int parts) {
    if (p->lanes == 1 || left < parts) return 1;
    const int64_t most = ABREAST / parts > 1 ? ABREAST / parts : 1, each = left / parts;
    return (int)(parts * (each < most ? each : most));
}

static void together(void *given, int part) {
    Job *job = given;
    for (int64_t first = 0; first < job->groups;) {
        const int n = abreast(job->program, job->groups - first, job->parts);
        if (n > 1 || job->parts == 1) run_abreast(job, first, n, part);
        else
            for (int i = 0; i < job->program->n_ops; ++i) {
                run_group(job, i, job->arenas[0], first, part, job->parts);
                meet(job);
            }
        first += n;
    }
}

/* Pictures one by one: whoever is free takes the next. */
static void apart(void *given, int part) {
    Job *job = given;
    float *arena = take_arena(job->program);
    if (!arena) atomic_store(&job->failed, 1);
    for (int64_t group; arena && (group = atomic_fetch_add(&job->next, 1)) < job->groups;)
        for (int i = 0; i < job->program->n_ops; ++i) run_group(job, i, arena, group, 0, 1);
    if (arena) give_arena(job->program, arena);
    (void)part;
}

static void rest(void *given, int part) { (void)given, (void)part; }

const char *secateur_program_run(Program *p, const float *in, float *out, int64_t n, int threads) {
    if (threads < 1 || threads > MOST_THREADS) return "threads are at least 1 and at most 256";
    if (n < 1) return NULL;
    Job job = {.program = p, .in = in, .out = out, .n = n};
    Worker *workers[MOST_THREADS];
    job.groups = (n + p->lanes - 1) / p->lanes;
    const int helpers = threads > 1 ? secateur_crew_take(&p->crew, workers, threads - 1) : 0;
    job.parts = helpers + 1;
    const int alone = p->lanes == 1 && job.groups >= job.parts && job.parts > 1;
    const int wanted = alone ? 0 : abreast(p, job.groups, job.parts);
    while (job.n_arenas < wanted && (job.arenas[job.n_arenas] = take_arena(p))) job.n_arenas++;
    if (job.n_arenas < wanted) atomic_store(&job.failed, 1);
    secateur_crew_run(workers, helpers, atomic_load(&job.failed) ? rest : alone ? apart : together, &job);
    while (job.n_arenas) give_arena(p, job.arenas[--job.n_arenas]);
    return atomic_load(&job.failed) ? "out of memory" : NULL;
}

/* Of this thread alone, so that what else the machine does is not counted. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *secateur_program_time(Program *p, const float *in, float *out, int64_t n, int rounds,
                                  double *seconds) {
    if (n < 1) return "there is no record to time it on";
    float *arena = take_arena(p);
    if (!arena) return "out of memory";
    if (n > p->lanes) n = p->lanes;
    for (int i = 0; i < p->n_ops; ++i) seconds[i] = 1e9;
    for (int round = 0; round < rounds; ++round)
        for (int i = 0; i < p->n_ops; ++i) {
            const double begin = now();
            run_op(p, i, arena, in, out, n, 0, 1);
            const double took = now() - begin;
            if (took < seconds[i]) seconds[i] = took;
        }
    give_arena(p, arena);
    return NULL;
}
