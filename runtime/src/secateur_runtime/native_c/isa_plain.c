/* Vectors of four floats: what every 64-bit x86 (SSE2) and ARM (NEON) has. */
#define VECTOR 4
#if defined(__aarch64__)
#define REGISTERS 32
#else
#define REGISTERS 16
#endif
#define RUN secateur_run_plain
#include "kernels.inc.c"
#include "depthwise.inc.c"
#include "maps.inc.c"
