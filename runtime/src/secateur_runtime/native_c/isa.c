/* Which kernels there are, the best first, and whether this processor can run them. */
#include "engine.h"

void secateur_run_plain(const Op *, float *, int, int);
static int always(void) { return 1; }

#if defined(__x86_64__)
void secateur_run_avx2(const Op *, float *, int, int);
void secateur_run_avx512(const Op *, float *, int, int);

static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif

const Isa secateur_isas[] = {
#if defined(__x86_64__)
    {"avx512", 16, has_avx512, secateur_run_avx512},
    {"avx2", 8, has_avx2, secateur_run_avx2},
    {"plain", 4, always, secateur_run_plain},
#elif defined(__aarch64__)
    {"neon", 4, always, secateur_run_plain},
#else
    {"plain", 4, always, secateur_run_plain},
#endif
};
const int secateur_isa_count = sizeof secateur_isas / sizeof *secateur_isas;
