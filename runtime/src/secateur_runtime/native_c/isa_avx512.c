/* The kernels for processors that have avx512f,avx512vl,avx512dq,avx512bw,fma. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma")
#endif
#define VECTOR 16
#define REGISTERS 32
#define RUN secateur_run_avx512
#include "kernels.inc.c"
#include "depthwise.inc.c"
#include "maps.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int secateur_no_avx512;
#endif
