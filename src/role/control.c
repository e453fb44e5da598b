/* SPDX-License-Identifier: ISC */
/*
 * control.c - the socket on which an operator asks a running role
 *
 * There are CONNECTIONS_MOST at a time. One more takes the place of the one that has kept us
 * waiting longest, so that an operator gets in whatever forgotten programs hold open; where all of
 * them are being worked for, the newcomer is told.
 */
#include "role/control.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/listen.h"
#include "net/loop.h"

enum { TIMEOUT_MS = 30000, CONNECTIONS_MOST = 64 };

struct control_server;

struct control {
    struct list link; /* among the idle ones while it waits for its peer */
    struct control_server *server;
    struct task *task;
    struct conn *conn;
    int descriptor;
    bool is_evicted;
};

static const char crowded[] = "too many control connections, try again";

/* The listening socket and what its connections share. */
struct control_server {
    struct loop_watch watch;
    struct scope *scope;
    const struct control_verb *table[CONTROL_TABLES_MOST + 1]; /* NULL at the end */
    void *role;
    struct task *task; /* that waits for the last connection to end */
    int descriptor;
    size_t connections; /* with the evicted ones that have not ended yet */
    size_t starting, evicted;
    struct list idle; /* the one that has waited longest first */
};

static int64_t deadline(void)
{
    return loop_now_ms(loop_current()) + TIMEOUT_MS;
}

struct fault control_say(struct control *c, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (!text)
        abort();
    struct str parts[2] = {str_from(text), STR("\n")};
    list_push_back(&c->server->idle, &c->link);
    struct fault f = conn_write(c->conn, parts, 2, deadline());
    list_remove(&c->link);
    free(text);
    return f;
}

/* How deep objects and arrays are nested in a JSON text. */
static size_t depth_of(struct str text)
{
    size_t depth = 0, most = 0;
    bool is_quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\' && is_quoted)
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && (c == '{' || c == '['))
            depth++;
        else if (!is_quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
        most = depth > most ? depth : most;
    }
    return most;
}

struct fault control_parse(struct str line, json_t **out)
{
    json_error_t error;
    line = str_head(line, str_index(line, '\n'));
    *out = depth_of(line) > CONTROL_DEPTH_MAX ? NULL : json_loadb(line.p, line.n, 0, &error);
    if (json_is_object(*out))
        return FINE;
    json_decref(*out);
    *out = NULL;
    return fault_make(500, FAULT_STATUS(5, 5, 2), "the request is no JSON object");
}

json_t *control_text(struct str s)
{
    json_t *text = json_stringn(s.n ? s.p : "", s.n);
    if (text)
        return text;
    struct buf b = buf_make(s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        buf_append_byte(&b, (unsigned char)s.p[i] < 0x80 ? s.p[i] : '?');
    text = json_stringn(b.data, b.used);
    buf_free(&b);
    return text;
}

/* Reads one line. */
static struct fault read_request(struct control *c, struct buf *line)
{
    while (!str_has(buf_str(line), '\n')) {
        struct str in;
        list_push_back(&c->server->idle, &c->link);
        struct fault f = conn_read(c->conn, deadline(), &in);
        list_remove(&c->link);
        if (f.kind && c->is_evicted)
            return fault_make(421, FAULT_STATUS(4, 3, 2), "%s", crowded);
        if (f.kind)
            return f;
        if (in.n == 0 || !buf_append(line, in))
            return fault_make(500, FAULT_STATUS(5, 5, 2), "the request is no line");
        conn_consume(c->conn, in.n);
    }
    return FINE;
}

static struct fault answer(struct control *c, const struct control_server *s, const json_t *request)
{
    const char *verb = json_string_value(json_object_get(request, "verb"));
    for (size_t i = 0; verb && s->table[i]; i++)
        for (const struct control_verb *v = s->table[i]; v->name; v++)
            if (strcmp(v->name, verb) == 0)
                return v->run(c, s->role, request);
    return fault_make(502, FAULT_STATUS(5, 5, 1), "unknown verb \"%s\"", verb ? verb : "");
}

static void talk(struct control *c, const struct control_server *s)
{
    struct buf line = buf_make(CONTROL_LINE_MAX);
    struct fault f = read_request(c, &line);
    json_t *request = NULL;
    if (!f.kind)
        f = control_parse(buf_str(&line), &request);
    if (!f.kind)
        f = answer(c, s, request);
    if (f.kind)
        control_say(c, json_pack("{s:o, s:i}", "error", control_text(fault_text(&f)), "reply",
                                 (int)f.reply));
    else
        control_say(c, json_pack("{s:b}", "done", 1));
    json_decref(request);
    buf_free(&line);
}

static void serve(void *arg)
{
    struct control *c = arg;
    struct control_server *s = c->server;
    s->starting--;
    if (!conn_open(c->descriptor, &c->conn).kind) {
        talk(c, s);
        conn_close(c->conn);
    }
    s->evicted -= c->is_evicted;
    free(c);
    if (--s->connections == 0 && s->task)
        task_wake(s->task);
}

static void evict(struct control_server *s)
{
    struct control *c = LIST_ENTRY(s->idle.next, struct control, link);
    list_remove(&c->link);
    c->is_evicted = true;
    s->evicted++;
    task_cancel(c->task);
}

static void turn_away(int descriptor)
{
    char line[128];
    int n = snprintf(line, sizeof line, "{\"error\":\"%s\",\"reply\":421}\n", crowded);
    send(descriptor, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(descriptor);
}

static bool start(struct control_server *s, int descriptor)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->server = s;
    c->descriptor = descriptor;
    list_init(&c->link);
    c->task = task_start(s->scope, "control", serve, c);
    if (!c->task) {
        free(c);
        return false;
    }
    s->connections++;
    s->starting++;
    return true;
}

static void accept_all(struct control_server *s)
{
    for (;;) {
        bool is_full = s->connections - s->evicted >= CONNECTIONS_MOST;
        if (is_full && list_is_empty(&s->idle) && s->starting > 0)
            return; /* those have not had their turn; the loop comes back here after it */
        int descriptor = accept4(s->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0)
            return;
        if (is_full && !list_is_empty(&s->idle)) {
            evict(s);
            is_full = false;
        }
        if (is_full || !start(s, descriptor))
            turn_away(descriptor);
    }
}

static void become_ready(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct control_server *s = (struct control_server *)(void *)watch;
    accept_all(s);
}

/* Keeps the socket until the scope is cancelled. */
static void keep(void *arg)
{
    struct control_server *s = arg;
    while (!task_is_cancelled())
        task_wait(TASK_NO_DEADLINE);
    loop_unwatch(loop_current(), s->descriptor);
    close(s->descriptor);
    s->task = task_current();
    while (s->connections > 0)
        task_wait_answer();
    free(s);
}

struct fault control_start(struct scope *scope, const char *path,
                           const struct control_verb *const *tables, void *role)
{
    struct endpoint at;
    if (!endpoint_from_path(path, &at))
        return fault_make(451, FAULT_STATUS(4, 3, 5), "the path %s is too long", path);
    struct control_server *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    *s = (struct control_server){
        .watch.ready = become_ready, .scope = scope, .role = role, .descriptor = -1};
    for (size_t i = 0; tables[i]; i++) {
        assert(i < CONTROL_TABLES_MOST);
        s->table[i] = tables[i];
    }
    list_init(&s->idle);
    struct fault f = listen_open(&at, &s->descriptor);
    if (!f.kind)
        f = loop_watch_listener(loop_current(), s->descriptor, &s->watch);
    if (!f.kind && !task_start(scope, "control socket", keep, s))
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for a task");
    if (f.kind) {
        if (s->descriptor >= 0)
            close(s->descriptor);
        free(s);
    }
    return f;
}
