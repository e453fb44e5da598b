/* SPDX-License-Identifier: ISC */
/*
 * smtp_capability.c - what a server says it can do, in its answer to EHLO (RFC 5321 section 4.1.1.1)
 */
#include "proto/smtp_capability.h"

#include "base/num.h"

static void learn_auth(struct smtp_client *c, struct str mechanisms)
{
    for (struct str word; (word = str_word(&mechanisms)).n > 0;) {
        if (str_equal_nocase(word, STR("PLAIN")))
            c->capabilities |= SMTP_HAS_AUTH_PLAIN;
        else if (str_equal_nocase(word, STR("LOGIN")))
            c->capabilities |= SMTP_HAS_AUTH_LOGIN;
        else if (str_equal_nocase(word, STR("SCRAM-SHA-256")))
            c->capabilities |= SMTP_HAS_AUTH_SCRAM_SHA_256;
    }
}

/* RFC 9422: a hint whose value is bad is ignored. */
static void learn_limits(struct smtp_client *c, struct str limits)
{
    for (struct str word; (word = str_word(&limits)).n > 0;) {
        struct str name, value;
        uint64_t number;
        if (!str_cut(word, '=', &name, &value) || !num_parse(value, 999999, &number) || !number)
            continue;
        if (str_equal_nocase(name, STR("RCPTMAX")))
            c->rcpt_max = (uint32_t)number;
        else if (str_equal_nocase(name, STR("MAILMAX")))
            c->mail_max = (uint32_t)number;
    }
}

void smtp_client_learn(struct smtp_client *c, struct str line)
{
    static const struct {
        const char *keyword;
        unsigned capability;
    } table[] = {
        {"PIPELINING", SMTP_HAS_PIPELINING},
        {"SIZE", SMTP_HAS_SIZE},
        {"8BITMIME", SMTP_HAS_8BITMIME},
        {"SMTPUTF8", SMTP_HAS_SMTPUTF8},
        {"CHUNKING", SMTP_HAS_CHUNKING},
        {"DSN", SMTP_HAS_DSN},
        {"REQUIRETLS", SMTP_HAS_REQUIRETLS},
        {"STARTTLS", SMTP_HAS_STARTTLS},
        {"ENHANCEDSTATUSCODES", SMTP_HAS_ENHANCED},
    };
    struct str keyword = str_word(&line);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (str_equal_nocase(keyword, str_from(table[i].keyword)))
            c->capabilities |= table[i].capability;
    if (str_equal_nocase(keyword, STR("SIZE")) &&
        !num_parse(str_word(&line), UINT64_MAX, &c->size_limit))
        c->size_limit = 0;
    if (str_equal_nocase(keyword, STR("AUTH")))
        learn_auth(c, line);
    if (str_equal_nocase(keyword, STR("LIMITS")))
        learn_limits(c, line);
}
