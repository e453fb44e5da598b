/* SPDX-License-Identifier: ISC */
/*
 * spf_judge.c - SPF verdicts about zones on standard input, for the comparison with other implementations
 *
 * A case is a line "IP<tab>HELO<tab>SENDER", lines of a zone (fake_zone.h) and an empty line. For each, a line
 * "RESULT<tab>MECHANISM<tab>TERMS<tab>VOIDS<tab>REASON<tab>EXPLANATION<tab>QUESTIONS" is printed.
 */
#include "check/spf.h"
#include "fake_zone.h"

static void judge(struct str question, const char *zone_text)
{
    struct fake_zone zone = {.text = zone_text};
    struct arena arena = arena_make(1 << 22);
    struct asker asker = {.answer = fake_answer, .context = &zone, .arena = &arena, .left = 200};
    struct spf_question q = {
        .receiver = STR("mx.receiver.test"), .now_s = 1700000000, .void_limit = SPF_VOID_LIMIT};
    struct spf_verdict v;
    struct str ip, rest;
    str_cut(question, '\t', &ip, &rest);
    str_cut(rest, '\t', &q.helo, &q.mail_from);
    if (!ip_parse(ip, &q.ip))
        abort();
    spf_check(&q, &asker, &v);
    printf("%s\t" STR_FMT "\t%u\t%u\t" STR_FMT "\t" STR_FMT "\t", spf_result_name(v.result),
           STR_ARG(v.mechanism), v.terms, v.voids, STR_ARG(v.reason), STR_ARG(v.explanation));
    for (const char *p = zone.log; *p; p++)
        putchar(*p == '\n' ? ',' : *p);
    putchar('\n');
    arena_free(&arena);
}

int main(void)
{
    char *line = NULL, *question = NULL;
    size_t room = 0;
    struct buf zone = buf_make(1 << 20);
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        if (!question) {
            question = strndup(line, (size_t)n - 1);
        } else if (n > 1) {
            assert(buf_append(&zone, str_make(line, (size_t)n)));
        } else {
            assert(buf_append_byte(&zone, '\0'));
            judge(str_from(question), zone.data);
            free(question);
            question = NULL;
            zone.used = 0;
        }
    }
    buf_free(&zone);
    free(line);
    return 0;
}
