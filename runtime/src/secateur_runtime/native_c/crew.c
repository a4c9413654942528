/* A worker spins for a moment after its work, for calls often follow one another, and then sleeps.
 * In the child of a fork the workers do not exist: what is known of them is dropped there. */
#include "crew.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

enum { SPINS = 4000, IDLE = 0, BUSY, OVER };

struct Worker {
    Worker *next;
    Crew *crew;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_int state;
    Task *task;
    void *what;
    int part;
    atomic_int *left; /* workers that have not finished */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int generation;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void) {
    ++generation;
    pthread_mutex_unlock(&lock);
}
static void watch_forks(void) { pthread_atfork(secateur_lock, secateur_unlock, in_child); }
void secateur_lock(void) {
    pthread_once(&once, watch_forks); /* before it is first held: a fork must never find it held */
    pthread_mutex_lock(&lock);
}
void secateur_unlock(void) { pthread_mutex_unlock(&lock); }

static void breathe(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void secateur_await(atomic_int *number, int old) {
    for (int i = 0; atomic_load_explicit(number, memory_order_acquire) == old; ++i) {
        breathe();
        if (i > SPINS) sched_yield();
    }
}

static void set_state(Worker *w, int state) {
    pthread_mutex_lock(&w->mutex);
    atomic_store(&w->state, state);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
}

static int next_state(Worker *w) {
    for (int i = 0; i < SPINS; ++i) {
        const int state = atomic_load_explicit(&w->state, memory_order_acquire);
        if (state != IDLE) return state;
        breathe();
    }
    pthread_mutex_lock(&w->mutex);
    while (atomic_load(&w->state) == IDLE) pthread_cond_wait(&w->wake, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    return atomic_load(&w->state);
}

static void *serve(void *given) {
    Worker *w = given;
    while (next_state(w) == BUSY) {
        w->task(w->what, w->part);
        atomic_int *left = w->left;
        secateur_lock(); /* idle before its work counts as done: then it may be given more, or ended */
        atomic_store(&w->state, IDLE);
        w->next = w->crew->idle;
        w->crew->idle = w;
        secateur_unlock();
        atomic_fetch_sub(left, 1);
    }
    return NULL;
}

/* Signals are for the threads of Python. */
static Worker *make(Crew *crew) {
    Worker *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->crew = crew;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&w->thread, NULL, serve, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) return w;
    pthread_mutex_destroy(&w->mutex), pthread_cond_destroy(&w->wake);
    free(w);
    return NULL;
}

int secateur_crew_take(Crew *crew, Worker **workers, int wanted) {
    int n = 0;
    secateur_lock();
    if (crew->generation != generation) {
        while (crew->idle) {
            Worker *gone = crew->idle;
            crew->idle = gone->next;
            free(gone);
        }
        crew->generation = generation;
    }
    for (; n < wanted && crew->idle; ++n) {
        workers[n] = crew->idle;
        crew->idle = crew->idle->next;
    }
    secateur_unlock();
    for (; n < wanted; ++n)
        if (!(workers[n] = make(crew))) break;
    return n;
}

void secateur_crew_run(Worker *const *workers, int n, Task *task, void *what) {
    atomic_int left = n;
    for (int i = 0; i < n; ++i) {
        Worker *w = workers[i];
        w->task = task, w->what = what, w->part = i + 1, w->left = &left;
        set_state(w, BUSY);
    }
    task(what, 0);
    for (int now; (now = atomic_load(&left));) secateur_await(&left, now);
}

void secateur_crew_free(Crew *crew) {
    Worker *none;
    secateur_crew_take(crew, &none, 0); /* which drops what a fork left behind */
    while (crew->idle) {
        Worker *w = crew->idle;
        crew->idle = w->next;
        set_state(w, OVER);
        pthread_join(w->thread, NULL);
        pthread_mutex_destroy(&w->mutex);
        pthread_cond_destroy(&w->wake);
        free(w);
    }
}
