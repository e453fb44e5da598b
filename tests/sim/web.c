/* SPDX-License-Identifier: ISC */
/*
 * web.c - libcurl's calls, answered by the simulated web server
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "peer_policy.h"
#include "world.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

enum { LATENCY_MOST_MS = 2000, GIVE_UP_S = 60, LOOK_MS = 1000 };

struct handle {
    char url[512], addresses[512];
    curl_write_callback write;
    void *write_arg;
    curl_xferinfo_callback look;
    void *look_arg;
    struct web_answer answer;
};

CURL *curl_easy_init(void)
{
    return calloc(1, sizeof(struct handle));
}

void curl_easy_cleanup(CURL *c)
{
    free(c);
}

static void copy(char *out, size_t size, const char *text)
{
    strncpy(out, text, size - 1);
}

CURLcode curl_easy_setopt(CURL *c, CURLoption option, ...)
{
    struct handle *h = c;
    va_list args;
    va_start(args, option);
    if (option == CURLOPT_URL)
        copy(h->url, sizeof h->url, va_arg(args, char *));
    else if (option == CURLOPT_RESOLVE)
        copy(h->addresses, sizeof h->addresses, va_arg(args, struct curl_slist *)->data);
    else if (option == CURLOPT_WRITEFUNCTION)
        h->write = va_arg(args, curl_write_callback);
    else if (option == CURLOPT_WRITEDATA)
        h->write_arg = va_arg(args, void *);
    else if (option == CURLOPT_XFERINFOFUNCTION)
        h->look = va_arg(args, curl_xferinfo_callback);
    else if (option == CURLOPT_XFERINFODATA)
        h->look_arg = va_arg(args, void *);
    va_end(args);
    return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *c, CURLINFO info, ...)
{
    struct handle *h = c;
    va_list args;
    va_start(args, info);
    if (info == CURLINFO_RESPONSE_CODE)
        *va_arg(args, long *) = h->answer.status;
    else if (info == CURLINFO_CONTENT_TYPE)
        *va_arg(args, const char **) = h->answer.type;
    va_end(args);
    return CURLE_OK;
}

/* Waits as the library does; false when it is told to stop. */
static bool wait_for(const struct handle *h, int64_t ms)
{
    for (; ms > 0; ms -= LOOK_MS) {
        fiber_sleep((ms < LOOK_MS ? ms : LOOK_MS) * SIM_MS);
        if (h->look(h->look_arg, 0, 0, 0, 0))
            return false;
    }
    return true;
}

CURLcode curl_easy_perform(CURL *c)
{
    static const CURLcode codes[] = {[WEB_ANSWERS] = CURLE_OK,
                                     [WEB_REFUSES] = CURLE_COULDNT_CONNECT,
                                     [WEB_SILENT] = CURLE_OPERATION_TIMEDOUT,
                                     [WEB_UNTRUSTED] = CURLE_PEER_FAILED_VERIFICATION};
    struct handle *h = c;
    if (!wait_for(h, sim_between(1, LATENCY_MOST_MS)))
        return CURLE_ABORTED_BY_CALLBACK;
    peer_policy_fetch(h->url, h->addresses, &h->answer);
    if (h->answer.outcome == WEB_SILENT && !wait_for(h, GIVE_UP_S * 1000))
        return CURLE_ABORTED_BY_CALLBACK;
    for (size_t i = 0; h->answer.outcome == WEB_ANSWERS && i < h->answer.repeated; i++) {
        size_t n = strlen(h->answer.text);
        if (n > 0 && h->write(h->answer.text, 1, n, h->write_arg) != n)
            return CURLE_WRITE_ERROR;
    }
    return codes[h->answer.outcome];
}

const char *curl_easy_strerror(CURLcode code)
{
    (void)code;
    return "simulated";
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    struct curl_slist *item = calloc(1, sizeof *item);
    if (!item)
        abort();
    item->data = strdup(text);
    item->next = list;
    return item;
}

void curl_slist_free_all(struct curl_slist *list)
{
    for (struct curl_slist *next; list; list = next) {
        next = list->next;
        free(list->data);
        free(list);
    }
}
