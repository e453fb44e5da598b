/* SPDX-License-Identifier: ISC */
/*
 * fuzz_reload.c - whatever packets a role sends to the supervisor, no port is lost and no descriptor
 *
 * A role may be taken over by whoever talks to it; the supervisor is not. The input is a list of
 * packets: an octet that says which role, what kind and whether its size is right, and its number.
 */
#include "role/reload.h"

#include <dirent.h>

#include "fuzz_room.h"
#include "os/channel.h"

enum { PACKETS_MOST = 24 };

static const struct sockets none; /* that are inherited */
static const char conf_text[] = "hostname = mx.test\n"
                                "listener \"a\" {\n role = local\n path = \"a.sock\"\n}\n"
                                "listener \"B\" {\n role = lmtp\n path = \"B.sock\"\n}\n";

/* The operator's next wishes: another listener, a port that cannot be had, and nonsense. */
static const char *const more_text[] = {
    "listener \"c\" {\n role = local\n path = \"c.sock\"\n}\n",
    "listener \"c\" {\n role = local\n path = \"none/c.sock\"\n}\n",
    "listener \"c\" {\n",
};

/* Writes what the next reload finds: the first configuration, or one of those. */
static const char *write_conf(unsigned which)
{
    struct buf text = buf_make(4096);
    must(buf_append(&text, str_from(conf_text)));
    must(which == 0 || which > 3 || buf_append(&text, str_from(more_text[which - 1])));
    const char *path = put_file("eilbote.conf", buf_str(&text));
    buf_free(&text);
    return path;
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    must(d != NULL);
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

/* Reads what the supervisor has sent, as the role would, with room for so many descriptors. */
static void drain(int channel, size_t most)
{
    static struct order order;
    int descriptors[ROLE_SOCKETS_MOST + 1];
    size_t count = most;
    enum channel_result result;
    while ((result = channel_receive(channel, &order, sizeof order, descriptors, &count)) <=
           CHANNEL_CUT) {
        must(result == CHANNEL_PACKET || count == 0);
        must(count <= most && order.socket_count <= ROLE_SOCKETS_MOST);
        must(result == CHANNEL_CUT || order.kind != ORDER_SET || count == order.socket_count + 1u);
        while (count > 0)
            close(descriptors[--count]);
        count = most;
    }
}

/* The supervisor complains. */
static void read_quietly(struct reload *r, struct reload_role *role)
{
    FILE *before = hush();
    reload_read(r, role);
    stderr = before;
}

static void send_packet(struct reload *r, int far_end[ROLES], uint8_t what, uint8_t number)
{
    size_t role = what & 1;
    struct report report = {.kind = (what >> 1) % 8, .number = number & 128 ? r->number : number};
    memset(report.text, 'x', sizeof report.text);
    size_t size = (what & 128) ? number * 4U : sizeof report;
    must(size <= 1024);
    char packet[2048] = {0};
    memcpy(packet, &report, sizeof report);
    write_conf(what >> 4 & 3);
    if (r->role[role].channel >= 0 && size > 0)
        must(!channel_send(far_end[role], packet, size, far_end, number == 99).kind);
    read_quietly(r, &r->role[role]);
    if ((what & 64) || r->role[role].channel >= 0) {
        drain(far_end[role], number == 98 ? 1 : ROLE_SOCKETS_MOST + 1);
        return;
    }
    /* It was ended and is started again. */
    int ends[2];
    drain(far_end[role], ROLE_SOCKETS_MOST + 1);
    close(far_end[role]);
    channel_pair(ends);
    far_end[role] = ends[1];
    must(!reload_attach(r, &r->role[role], ends[0]).kind);
}

const struct fuzz_memory fuzz_memory = {.factor = 0, .base = 16 << 20, .keeps = true};

void fuzz_one(struct str in)
{
    static struct reload r;
    struct conf *conf;
    int far_end[ROLES];
    const char *path = write_conf(0);
    stderr = hush(); /* opens what it opens */
    size_t before = count_descriptors();
    must(!reload_start(&r, path, &none, &conf).kind);
    conf_free(conf);
    for (size_t i = 0; i < ROLES; i++) {
        int ends[2];
        channel_pair(ends);
        far_end[i] = ends[1];
        must(!reload_attach(&r, &r.role[i], ends[0]).kind);
    }
    size_t ports = r.current->count;
    for (size_t i = 0; i < PACKETS_MOST && in.n > 0; i++) {
        uint8_t what = take_octet(&in), number = take_octet(&in);
        send_packet(&r, far_end, what, number);
        must(r.current->count == ports || r.current->count == ports + 1);
        must(r.retired->count <= r.last_id && r.before != r.current);
        must(r.is_going_on == (r.role[0].owes_report || r.role[1].owes_report));
    }
    reload_stop(&r);
    for (size_t i = 0; i < ROLES; i++)
        close(far_end[i]);
    must(count_descriptors() == before);
}
