/* SPDX-License-Identifier: ISC */
/*
 * ask.c - names that can be asked about, and how often
 */
#include "check/ask.h"

enum { LABEL_MAX = 63, NAME_MAX_OCTETS = 253 };

/* The name as it is asked for, lower case; false when there is none such. */
static bool spell(struct str name, char out[NAME_MAX_OCTETS + 1])
{
    size_t label = 0;
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > NAME_MAX_OCTETS)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c < ' ' || c > '~' || c == '\\')
            return false;
        if (c == '.' ? label == 0 : label == LABEL_MAX)
            return false;
        label = c == '.' ? 0 : label + 1;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[name.n] = '\0';
    return label > 0;
}

void ask(struct asker *a, struct str name, enum ask_type type, struct ask_answer *out)
{
    char spelled[NAME_MAX_OCTETS + 1];
    *out = (struct ask_answer){.status = ASK_NO_NAME};
    if (!spell(name, spelled))
        return;
    if (a->left == 0) {
        out->status = ASK_FAILED;
        return;
    }
    a->left--;
    a->answer(a->context, a->arena, spelled, type, out);
}
