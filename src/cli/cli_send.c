/* SPDX-License-Identifier: ISC */
/*
 * cli_send.c - eilbote send: a message from the command line
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>

#include "cli/compose.h"
#include "cli/handover.h"
#include "mail/header.h"

struct words {
    const char *from, *subject, *file;
    const char *to[CLI_WORDS_MAX];
};

/* The header that goes before a text that has none. */
static bool add_header(struct handover *h, const struct words *w)
{
    bool is_good = !w->subject || header_append(&h->message, STR("Subject"), str_from(w->subject));
    for (size_t k = 0; k < CLI_WORDS_MAX && w->to[k] && is_good; k++)
        is_good = header_append(&h->message, STR("To"), str_from(w->to[k]));
    return is_good && header_append(&h->message, STR("MIME-Version"), STR("1.0")) &&
           header_append(&h->message, STR("Content-Type"), STR("text/plain; charset=utf-8")) &&
           header_append(&h->message, STR("Content-Transfer-Encoding"), STR("8bit")) &&
           buf_append(&h->message, STR("\r\n"));
}

static int read_message(struct handover *h, const struct words *w)
{
    bool is_standard = !w->file || strcmp(w->file, "-") == 0;
    FILE *in = is_standard ? stdin : fopen(w->file, "re");
    if (!in)
        return cli_fail(h->i, "%s: %s", w->file, strerrordesc_np(errno));
    struct fault f = w->file || add_header(h, w)
                         ? compose_read(in, false, &h->message)
                         : fault_make(552, FAULT_STATUS(5, 3, 4), "the header is too large");
    if (!is_standard)
        fclose(in);
    if (f.kind)
        return cli_result(h->i, f);
    if (w->file && !compose_has_header(buf_str(&h->message)))
        return cli_fail(h->i, "%s does not begin with a header", w->file);
    return CLI_DONE;
}

static struct fault address_message(struct handover *h, const struct words *w)
{
    struct fault f = w->from ? handover_address(h, str_from(w->from), &h->sender)
                             : handover_default_sender(h, &h->sender);
    for (size_t k = 0; k < CLI_WORDS_MAX && w->to[k] && !f.kind; k++)
        f = handover_add_rcpts(h, str_from(w->to[k]));
    if (!f.kind && !w->to[0])
        f = handover_add_header_rcpts(h);
    if (!f.kind && h->rcpt_count == 0)
        f = fault_make(501, FAULT_STATUS(5, 5, 4), "no recipient is named");
    if (!f.kind && !compose_add_from(&h->message, STR_NONE, h->sender))
        f = fault_make(552, FAULT_STATUS(5, 3, 4), "the message is too large");
    return f;
}

static int report(const struct handover *h)
{
    int result = CLI_DONE;
    if (h->i->is_json)
        result = cli_print_json(json_pack("{s:s}", "reply", h->accepted.text));
    else
        printf("%s\n", h->accepted.text);
    return h->refusal.kind ? CLI_FAILED : result;
}

int cli_send(struct invocation *i)
{
    struct words w = {0};
    const struct cli_option options[] = {{"--from", NULL, &w.from, NULL},
                                         {"--to", NULL, NULL, w.to},
                                         {"--subject", NULL, &w.subject, NULL},
                                         {"--file", NULL, &w.file, NULL}};
    int result = cli_parse(i, options, 4, 0, 0, NULL);
    if (result == CLI_DONE && !w.file && !w.to[0])
        result = cli_usage(i, "--to is needed, or a message with --file");
    if (result == CLI_DONE && w.file && w.subject)
        result = cli_usage(i, "--file is a whole message; it has its subject");
    if (result != CLI_DONE)
        return result;
    struct handover h;
    result = handover_init(&h, i) ? read_message(&h, &w) : CLI_FAILED;
    if (result == CLI_DONE)
        result = cli_result(i, address_message(&h, &w));
    if (result == CLI_DONE)
        result = cli_result(i, handover_send(&h));
    if (result == CLI_DONE)
        result = report(&h);
    handover_free(&h);
    return result;
}
