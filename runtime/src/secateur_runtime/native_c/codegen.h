/* Convolutions as machine code of their own. */
#ifndef SECATEUR_CODEGEN_H
#define SECATEUR_CODEGEN_H

#include "program.h"

int secateur_code_allowed(void); /* by the processor and by the system */
const char *secateur_code_make(Op *op, const Draft *draft);
/* Each piece of code runs over all arenas before the next. */
void secateur_code_run(const Op *op, float *const *arenas, int n, int part, int parts);
void secateur_code_free(Code *code);

#endif
