/* Runs a program: one or more pictures at a time in an arena of their own, in one thread or several. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen.h"

enum { ABREAST = 4, MOST_SPARE = 8, MOST_THREADS = 256, SPINS = 4000 };

typedef struct {
    Program *program;
    const float *in;
    float *out;
    int64_t n;
    int parts;               /* threads that share one arena */
    int abreast;             /* groups of pictures that a thread of its own runs at once */
    float *shared;           /* that arena, or nothing where each has its own */
    atomic_llong next;       /* group of pictures that nobody has taken */
    atomic_int waiting, turn, failed, open;
} Job;

typedef struct {
    Job *job;
    int part;
} Member;

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;

static float *take_arena(Program *p) {
    float *memory = NULL;
    pthread_mutex_lock(&spare_lock);
    if (p->spare) {
        Arena *arena = p->spare;
        memory = arena->memory;
        p->spare = arena->next;
        p->n_spare--;
        free(arena);
    }
    pthread_mutex_unlock(&spare_lock);
    return memory ? memory : secateur_aligned(p->size);
}

static void give_arena(Program *p, float *memory) {
    Arena *arena = malloc(sizeof *arena);
    pthread_mutex_lock(&spare_lock);
    if (arena && p->n_spare < MOST_SPARE) {
        *arena = (Arena){p->spare, memory};
        p->spare = arena;
        p->n_spare++;
        arena = NULL, memory = NULL;
    }
    pthread_mutex_unlock(&spare_lock);
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

/* Waits until a number changes: a little in a loop, then by giving the processor away. */
static void await(atomic_int *number, int old) {
    for (int i = 0; atomic_load_explicit(number, memory_order_acquire) == old; ++i) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        if (i > SPINS) sched_yield();
    }
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
    await(&job->turn, turn);
}

/* Small maps repay code badly, so such an operator runs over all groups before the next does. The
 * others run group by group, whose maps are then still in the cache. */
static int is_shared(const Op *op) {
    return op->kind == OP_CODE && op->out.height * op->out.width <= 64;
}

static void run_abreast(const Job *job, int64_t first, float *const *arenas, int n) {
    Program *p = job->program;
    for (int i = 0, end; i < p->n_ops; i = end) {
        for (end = i; end < p->n_ops && !is_shared(&p->ops[end]); ++end) {}
        for (int k = 0; k < n; ++k) {
            const int64_t at = first + (int64_t)k * p->lanes;
            const int64_t left = job->n - at < p->lanes ? job->n - at : p->lanes;
            for (int j = i; j < end; ++j)
                run_op(p, j, arenas[k], job->in + at * p->in_size, job->out + at * p->out_size,
                       left, 0, 1);
        }
        if (end > i) continue;
        secateur_code_run(&p->ops[i], arenas, n, 0, 1);
        for (int k = 0; k < n && p->ops[i].borders; ++k) p->isa->run(&p->ops[i], arenas[k], 0, 1);
        end = i + 1;
    }
}

static void *work(void *given) {
    Member *member = given;
    Job *job = member->job;
    Program *p = job->program;
    await(&job->open, 0);
    if (job->shared) { /* together through one group of pictures after the other */
        for (int64_t at = 0; at < job->n; at += p->lanes) {
            const int64_t n = job->n - at < p->lanes ? job->n - at : p->lanes;
            for (int i = 0; i < p->n_ops; ++i) {
                run_op(p, i, job->shared, job->in + at * p->in_size, job->out + at * p->out_size, n,
                       member->part, job->parts);
                meet(job);
            }
        }
        return NULL;
    }
    float *arenas[ABREAST];
    int have = 0;
    for (;;) { /* each on groups of its own, some abreast: generated code is read once for them */
        const int64_t first = atomic_fetch_add(&job->next, 1) * job->abreast * p->lanes;
        if (first >= job->n) break;
        const int64_t left = (job->n - first + p->lanes - 1) / p->lanes;
        const int want = left < job->abreast ? (int)left : job->abreast;
        while (have < want && (arenas[have] = take_arena(p))) ++have;
        if (have < want) {
            atomic_store(&job->failed, 1);
            break;
        }
        run_abreast(job, first, arenas, want);
    }
    for (int k = 0; k < have; ++k) give_arena(p, arenas[k]);
    return NULL;
}

/* Threads live as long as a run: nothing is left behind that a fork could lose. A team begins when it
 * is known how many threads could be had. */
const char *secateur_program_run(Program *p, const float *in, float *out, int64_t n, int threads) {
    const int64_t groups = (n + p->lanes - 1) / p->lanes;
    if (threads < 1 || threads > MOST_THREADS) return "threads are at least 1 and at most 256";
    if (n < 1) return NULL;
    const int team = threads > 1 && groups < threads;
    Job job = {.program = p, .in = in, .out = out, .n = n, .parts = 1, .abreast = 1};
    if (p->lanes > 1) job.abreast = groups / threads >= ABREAST ? ABREAST : (int)(groups / threads);
    if (job.abreast < 1) job.abreast = 1;
    Member members[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    int made = 0;
    if (team && !(job.shared = take_arena(p))) return "out of memory";
    const int wanted = (!team && groups < threads ? (int)groups : threads) - 1;
    for (int i = 0; i < wanted; ++i) {
        members[i + 1] = (Member){&job, i + 1};
        if (pthread_create(&ids[i], NULL, work, &members[i + 1])) break;
        ++made;
    }
    members[0] = (Member){&job, 0};
    if (team) job.parts = made + 1;
    atomic_store(&job.open, 1);
    work(&members[0]);
    for (int i = 0; i < made; ++i) pthread_join(ids[i], NULL);
    if (team) give_arena(p, job.shared);
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
