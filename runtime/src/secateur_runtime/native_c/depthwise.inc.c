/* Convolutions whose output channels read one input channel each, of one picture. Included after
 * kernels.inc.c, so once per instruction set. */

/* Each channel on its own: a sum over its taps, read where they lie, for there is nothing to share. */
INLINE vec tap_of(const float *from, const int32_t *table, int shifted, int64_t shift) {
    const ivec at = (ivec) * (const iloose *)table;
    vec found;
    if (shifted) found = LOAD(from + shift);
    else
        for (int j = 0; j < VECTOR; ++j) found[j] = from[table[j] < 0 ? 0 : table[j]];
    return (vec)((ivec)found & (at >= 0));
}

static void run_depthwise(const Op *op, float *arena, int part, int parts) {
    const View *in = &op->in, *out = &op->out;
    const Span own = share_weights(op, part, parts);
    const int64_t padded = (op->length + MAX_VECTOR - 1) / MAX_VECTOR * MAX_VECTOR;
    const int64_t each = out->channels / in->channels;
    int64_t channel = own.begin / each, left = (channel + 1) * each - own.begin;
    for (int64_t c = own.begin; c < own.end; ++c) {
        const Weight *begin = op->weights + op->pointers[c], *end = op->weights + op->pointers[c + 1];
        const float *from = place(in, arena, channel, 1);
        float *to = place(out, arena, c, 1);
        if (!--left) ++channel, left = each;
        for (int64_t p = 0; p < op->length; p += VECTOR) {
            vec sum = SPLAT(op->bias[c]);
            if (op->other.channels) sum += LOAD(place(&op->other, arena, c, 1) + p);
            for (const Weight *w = begin; w < end; ++w) {
                const int32_t *table = op->table + w->at * padded + p;
                const vec value = SPLAT(w->value);
                sum += value * (op->depth ? tap_of(from, table, 1, op->offsets[w->at] + p)
                                          : tap_of(from, table, 0, 0));
            }
            if (op->clips) sum = clipped(sum, op->low, op->high);
            STORE(to + p, sum);
        }
        if (op->borders) clear_gaps(out, arena, c, 1);
    }
}
