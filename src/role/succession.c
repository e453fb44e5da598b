/* SPDX-License-Identifier: ISC */
/*
 * succession.c - what a supervisor leaves to the program that takes its place
 *
 * A socket is told by its descriptor alone: where it listens the kernel knows, and what it is for
 * the configuration says.
 */
#include "role/succession.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"
#include "os/channel.h"
#include "os/process.h"

#define VARIABLE "EILBOTE_SUCCESSION"

enum { TEXT_MAX = 1 << 16, KEEP_MOST = ROLE_SOCKETS_MOST + ROLES + 1 };

static json_t *write_down(const struct sockets *sockets, const struct predecessor roles[ROLES])
{
    json_t *list = json_array(), *processes = json_object();
    for (size_t i = 0; i < sockets->count; i++)
        json_array_append_new(list, json_pack("{s:i, s:b}", "descriptor",
                                              sockets->item[i].socket.descriptor, "lent",
                                              (int)sockets->item[i].is_lent));
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].pid > 0)
            json_object_set_new(
                processes, role_kinds[i].name,
                json_pack("{s:i, s:i}", "pid", roles[i].pid, "channel", roles[i].channel));
    return json_pack("{s:o, s:o}", "sockets", list, "roles", processes);
}

static size_t list_descriptors(const struct sockets *sockets, const struct predecessor roles[ROLES],
                               int *out)
{
    size_t count = 0;
    for (size_t i = 0; i < sockets->count; i++)
        out[count++] = sockets->item[i].socket.descriptor;
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].pid > 0 && roles[i].channel >= 0)
            out[count++] = roles[i].channel;
    return count;
}

struct fault succession_begin(const char *program, const char *conf_path,
                              const struct sockets *sockets, const struct predecessor roles[ROLES])
{
    int keep[KEEP_MOST];
    char number[16];
    json_t *root = write_down(sockets, roles);
    char *text = json_dumps(root, JSON_COMPACT);
    if (!text)
        abort();
    int descriptor = channel_hold_text(str_from(text));
    free(text);
    json_decref(root);
    size_t count = list_descriptors(sockets, roles, keep);
    keep[count++] = descriptor;
    snprintf(number, sizeof number, "%d", descriptor);
    setenv(VARIABLE, number, 1);
    char *arguments[] = {(char *)(uintptr_t) "eilbote", (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)conf_path, (char *)(uintptr_t) "serve", NULL};
    struct fault f = process_become(program, arguments, keep, count);
    unsetenv(VARIABLE);
    close(descriptor);
    return f;
}

/* Descriptors that were left are ours from here on: no child gets them by chance. */
static bool take_descriptor(const json_t *number, int *out)
{
    json_int_t n = json_is_integer(number) ? json_integer_value(number) : -1;
    if (n < 0 || n > INT32_MAX || !process_close_on_exec((int)n))
        return false;
    *out = (int)n;
    return true;
}

static bool take_socket(const json_t *row, struct sockets *sockets)
{
    struct held_socket *h = &sockets->item[sockets->count];
    *h = (struct held_socket){.at.length = sizeof h->at.address,
                              .is_lent = json_is_true(json_object_get(row, "lent"))};
    if (sockets->count == ROLE_SOCKETS_MOST ||
        !take_descriptor(json_object_get(row, "descriptor"), &h->socket.descriptor) ||
        getsockname(h->socket.descriptor, (struct sockaddr *)&h->at.address, &h->at.length) != 0)
        return false;
    h->socket.id = ++sockets->count;
    return true;
}

static bool read_down(const json_t *root, struct sockets *sockets, struct predecessor roles[ROLES])
{
    size_t index;
    const json_t *row, *processes = json_object_get(root, "roles");
    bool is_good = json_is_object(processes);
    json_array_foreach(json_object_get(root, "sockets"), index, row) is_good =
        is_good && take_socket(row, sockets);
    for (size_t i = 0; i < ROLES && is_good; i++) {
        row = json_object_get(processes, role_kinds[i].name);
        roles[i] = (struct predecessor){.channel = -1};
        if (!row)
            continue;
        roles[i].pid = (int)json_integer_value(json_object_get(row, "pid"));
        is_good =
            roles[i].pid > 0 && take_descriptor(json_object_get(row, "channel"), &roles[i].channel);
    }
    return is_good;
}

bool succession_take(struct sockets *sockets, struct predecessor roles[ROLES], struct fault *f)
{
    const char *variable = getenv(VARIABLE);
    uint64_t descriptor;
    *f = FINE;
    sockets->count = 0;
    if (!variable)
        return false;
    struct buf text = buf_make(TEXT_MAX);
    json_t *root = NULL;
    if (num_parse(str_from(variable), INT32_MAX, &descriptor) &&
        channel_read_text((int)descriptor, &text))
        root = json_loadb(text.data, text.used, 0, NULL);
    if (!root || !read_down(root, sockets, roles))
        *f = fault_make(551, FAULT_STATUS(5, 3, 5),
                        "what the supervisor before has left cannot be understood");
    if (root)
        close((int)descriptor);
    unsetenv(VARIABLE);
    json_decref(root);
    buf_free(&text);
    return true;
}
