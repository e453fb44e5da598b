/* SPDX-License-Identifier: ISC */
/*
 * fetch.c - a small text from an HTTPS server (libcurl), under strict bounds
 */
#include "net/fetch.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "net/task.h"
#include "os/thread.h"

/* Where Debian keeps the certificate authorities; the library's own default is one large file. */
#define AUTHORITIES_FOLDER "/etc/ssl/certs"

struct transfer {
    struct loop_message done; /* the first */
    struct fetch *fetch;
    struct buf *out;
    struct loop *loop;
    struct task *task;
    struct fault fault;
    bool is_done, is_too_large;
    atomic_bool is_cancelled;
};

static struct fault failed(const struct fetch *f, const char *why)
{
    return fault_make(451, FAULT_STATUS(4, 4, 0), "https://%s%s: %s", f->host, f->path, why);
}

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    t->is_too_large = !buf_append(t->out, str_make(data, size * count));
    return t->is_too_large ? 0 : size * count;
}

static int look_around(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&((struct transfer *)arg)->is_cancelled);
}

/* "HOST:PORT:ADDRESS,ADDRESS": what the name is, for the library. */
static struct curl_slist *addresses(const struct fetch *f)
{
    struct buf text = buf_make(1024);
    bool fits = buf_printf(&text, "%s:%u:", f->host, (unsigned)f->port);
    for (size_t i = 0; i < f->address_count && fits; i++) {
        char ip[IP_TEXT_MAX];
        struct str s = ip_format(&f->address[i], ip);
        fits = buf_printf(&text, ip_is_v4(&f->address[i]) ? "%s" STR_FMT : "%s[" STR_FMT "]",
                          i ? "," : "", STR_ARG(s));
    }
    fits = fits && buf_append_byte(&text, '\0');
    struct curl_slist *list = fits ? curl_slist_append(NULL, text.data) : NULL;
    buf_free(&text);
    return list;
}

static void set_bounds(CURL *c, const struct transfer *t)
{
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_CAPATH, AUTHORITIES_FOLDER);
    curl_easy_setopt(c, CURLOPT_CAINFO, t->fetch->authorities);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)FETCH_TIME_S);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)FETCH_CONNECT_S);
    curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)t->out->limit);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 16384L);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
}

static void set_ways(CURL *c, struct transfer *t)
{
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look_around);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
}

static bool is_plain_text(const char *type)
{
    struct str head, rest;
    str_cut(str_from(type), ';', &head, &rest);
    return str_equal_nocase(str_trim(head), STR("text/plain"));
}

static struct fault judge(struct transfer *t, CURL *c, CURLcode code)
{
    long status = 0;
    char *type = NULL;
    char text[64];
    t->fetch->is_certificate_bad = code == CURLE_PEER_FAILED_VERIFICATION;
    if (t->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
        return failed(t->fetch, "the answer is too large");
    if (code != CURLE_OK)
        return failed(t->fetch, curl_easy_strerror(code));
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
    snprintf(text, sizeof text, "the answer is HTTP %ld", status);
    if (status != 200)
        return failed(t->fetch, text);
    return is_plain_text(type) ? FINE : failed(t->fetch, "the answer is not text/plain");
}

static struct fault get(struct transfer *t)
{
    static const char *const accept = "Accept: text/plain";
    const struct fetch *f = t->fetch;
    struct buf url = buf_make(1024);
    struct curl_slist *list = addresses(f), *fields = curl_slist_append(NULL, accept);
    CURL *c = curl_easy_init();
    if (!c || !list || !fields ||
        !buf_printf(&url, "https://%s:%u%s", f->host, (unsigned)f->port, f->path))
        abort();
    curl_easy_setopt(c, CURLOPT_URL, url.data);
    curl_easy_setopt(c, CURLOPT_RESOLVE, list);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, fields);
    set_bounds(c, t);
    set_ways(c, t);
    struct fault fault = judge(t, c, curl_easy_perform(c));
    curl_easy_cleanup(c);
    curl_slist_free_all(list);
    curl_slist_free_all(fields);
    buf_free(&url);
    return fault;
}

static void work(void *arg)
{
    struct transfer *t = arg;
    t->fault = get(t);
    loop_post(t->loop, &t->done);
}

static void be_done(struct loop_message *message)
{
    struct transfer *t = (struct transfer *)(void *)message;
    t->is_done = true;
    task_wake(t->task);
}

struct fault fetch_text(struct fetch *f, struct buf *out)
{
    struct transfer t = {.done.run = be_done,
                         .fetch = f,
                         .out = out,
                         .loop = loop_current(),
                         .task = task_current()};
    struct thread thread;
    f->is_certificate_bad = false;
    if (f->address_count == 0)
        return failed(f, "no address that may be asked");
    thread_start(&thread, "fetch", work, &t);
    while (!t.is_done && !task_wait(TASK_NO_DEADLINE).kind)
        ;
    atomic_store(&t.is_cancelled, true);
    while (!t.is_done)
        task_wait_answer();
    thread_join(&thread);
    return t.fault;
}

bool fetch_is_public(const struct ip_address *ip)
{
    static const char *const reserved[] = {
        "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",    "::/96",
        "64:ff9b::/96",  "64:ff9b:1::/48",  "100::/64",       "2001::/23",      "2001:db8::/32",
        "2002::/16",     "fc00::/7",        "fe80::/9",       "ff00::/8",       NULL};
    for (size_t i = 0; reserved[i]; i++) {
        struct ip_network n;
        if (!ip_network_parse(str_from(reserved[i]), &n))
            abort();
        if (ip_network_contains(&n, ip))
            return false;
    }
    return true;
}
