/* Threads that wait for work: the crew of one program. */
#ifndef SECATEUR_CREW_H
#define SECATEUR_CREW_H

#include <stdatomic.h>

typedef struct Worker Worker;

typedef struct {
    Worker *idle;
    int generation; /* of the process, for a fork leaves threads behind */
} Crew;

typedef void Task(void *what, int part);

/* Takes up to `wanted` idle workers, made where there are too few; returns how many. */
int secateur_crew_take(Crew *crew, Worker **workers, int wanted);

/* Runs the task's part 0 here and a part in each worker, which are idle again when it returns. */
void secateur_crew_run(Worker *const *workers, int n, Task *task, void *what);

/* Ends all workers. Nobody may run. */
void secateur_crew_free(Crew *crew);

/* One lock for short moments, which a fork leaves open. */
void secateur_lock(void);
void secateur_unlock(void);

/* Waits until a number is another: a little in a loop, then by giving the processor away. */
void secateur_await(atomic_int *number, int old);
#endif
