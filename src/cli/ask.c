/* SPDX-License-Identifier: ISC */
/*
 * ask.c - asking a running role over its control socket
 *
 * The protocol is that of role/control.h: one line of JSON there, lines of JSON back, the last one
 * saying "done" or "error". Answers of any length are read line by line.
 */
#include "cli/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/endpoint.h"

enum { LINE_LIMIT = 256 << 20, READ_SIZE = 1 << 16, PATIENCE_S = 60 };

/* The packaged service has the configuration there. */
static const char service_conf[] = "/etc/eilbote/eilbote.conf";

static struct fault is_absent(const struct conf *conf, const char *path, int error)
{
    const char *file = conf->path.p;
    if (strcmp(file, service_conf) == 0)
        return fault_make(451, FAULT_STATUS(4, 3, 2),
                          "the server is not running; start it with: systemctl start eilbote, or "
                          "eilbote serve (%s: %s)",
                          path, strerrordesc_np(error));
    return fault_make(451, FAULT_STATUS(4, 3, 2),
                      "the server is not running; start it with: eilbote -c %s serve (%s: %s)",
                      file, path, strerrordesc_np(error));
}

struct fault ask_trouble(const struct conf *conf, const char *path, int error)
{
    if (error == ENOENT || error == ECONNREFUSED)
        return is_absent(conf, path, error);
    if (error == EACCES)
        return fault_make(451, FAULT_STATUS(4, 3, 0),
                          "%s: permission denied; run this as root or as the server's user", path);
    if (error == EAGAIN)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "%s: no answer within %d s", path,
                          PATIENCE_S);
    return fault_make(451, FAULT_STATUS(4, 3, 0), "%s: %s", path, strerrordesc_np(error));
}

bool ask_is_absent(const struct fault *f)
{
    return f->kind == FAULT_LATER && f->status.subject == 3 && f->status.detail == 2;
}

static struct fault open_socket(const struct conf *conf, const char *path, int *out)
{
    struct endpoint at;
    if (!endpoint_from_path(path, &at))
        return ask_trouble(conf, path, ENAMETOOLONG);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    if (s >= 0)
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (s < 0 || connect(s, (const struct sockaddr *)&at.address, at.length) != 0) {
        struct fault f = ask_trouble(conf, path, errno);
        if (s >= 0)
            close(s);
        return f;
    }
    *out = s;
    return FINE;
}

static struct fault send_request(const struct conf *conf, const char *path, int s, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    if (!text)
        abort();
    size_t size = strlen(text), sent = 0;
    text[size++] = '\n'; /* in place of the NUL */
    struct fault f = FINE;
    while (sent < size && !f.kind) {
        ssize_t n = send(s, text + sent, size - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno == EPIPE || errno == ECONNRESET)
            break; /* what the role has said before it closed tells why */
        else if (errno != EINTR)
            f = ask_trouble(conf, path, errno);
    }
    free(text);
    return f;
}

/* Takes one line of the answer; true when it is the last, with the role's word in *verdict. */
static bool take_line(struct str line, ask_line each, void *arg, struct fault *verdict)
{
    json_error_t error;
    json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &error);
    const char *text = json_string_value(json_object_get(o, "error"));
    bool is_last = true;
    if (!json_is_object(o)) {
        *verdict = fault_make(451, FAULT_STATUS(4, 3, 0), "the server's answer is no JSON");
    } else if (text) {
        json_int_t reply = json_integer_value(json_object_get(o, "reply"));
        *verdict = fault_make(reply >= 400 && reply < 600 ? (unsigned)reply : 451,
                              (struct fault_status){0}, "%s", text);
    } else if (json_object_get(o, "done")) {
        *verdict = FINE;
    } else {
        is_last = false;
        if (each)
            each(arg, o);
    }
    json_decref(o);
    return is_last;
}

static struct fault read_answer(const struct conf *conf, const char *path, int s, ask_line each,
                                void *arg)
{
    struct buf in = buf_make(LINE_LIMIT);
    struct fault verdict = FINE;
    for (bool is_last = false; !is_last;) {
        if (!buf_reserve(&in, READ_SIZE)) {
            verdict = fault_make(451, FAULT_STATUS(4, 3, 0), "the server's answer is too long");
            break;
        }
        ssize_t n = recv(s, in.data + in.used, READ_SIZE, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            verdict = n < 0 ? ask_trouble(conf, path, errno)
                            : fault_make(451, FAULT_STATUS(4, 3, 0),
                                         "the server broke off in the middle of its answer");
            break;
        }
        in.used += (size_t)n;
        struct str line, rest;
        size_t taken = 0;
        while (!is_last && str_cut(str_skip(buf_str(&in), taken), '\n', &line, &rest)) {
            is_last = take_line(line, each, arg, &verdict);
            taken = in.used - rest.n;
        }
        buf_consume(&in, taken);
    }
    buf_free(&in);
    return verdict;
}

struct fault ask_role(const struct conf *conf, const char *role, json_t *request, ask_line each,
                      void *arg)
{
    struct arena a = arena_make(1 << 16);
    char *name = arena_c_string(&a, arena_printf(&a, "ctl/%s/sock", role));
    const char *path = conf_state_path(conf, &a, name);
    int s = -1;
    struct fault f = open_socket(conf, path, &s);
    if (!f.kind)
        f = send_request(conf, path, s, request);
    if (!f.kind)
        f = read_answer(conf, path, s, each, arg);
    if (s >= 0)
        close(s);
    json_decref(request);
    arena_free(&a);
    return f;
}

void ask_forget_directory(const struct invocation *i)
{
    static const char *const roles[] = {"mta", "mda"};
    struct conf *c;
    if (conf_load(i->conf_path, &c).kind)
        return;
    for (size_t k = 0; k < sizeof roles / sizeof roles[0]; k++) {
        json_t *request = json_pack("{s:s}", "verb", "directory.changed");
        struct fault f = ask_role(c, roles[k], request, NULL, NULL);
        if (f.kind && !ask_is_absent(&f))
            cli_fail(i, "the %s does not know of the change yet: %s", roles[k], f.text);
    }
    conf_free(c);
}
