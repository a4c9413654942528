/* The kernels for processors that have avx2,fma. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define VECTOR 8
#define REGISTERS 16
#define RUN secateur_run_avx2
#include "kernels.inc.c"
#include "depthwise.inc.c"
#include "maps.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int secateur_no_avx2;
#endif
