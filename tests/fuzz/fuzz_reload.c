/* SPDX-License-Identifier: ISC */
/*
 * fuzz_reload.c - whatever packets a role sends to the supervisor, no port is lost and no descriptor
 *
 * A role may be taken over by whoever talks to it; the supervisor is not. The input is a list of
 * packets: an octet that says which role, what kind and whether its size is right, and its number.
 */
#include "role/reload.h"

#include <unistd.h>

#include "descriptors.h"
#include "fuzz_room.h"
#include "os/channel.h"

enum { PACKETS_MOST = 24 };

static char conf_path[80];
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

static unsigned which_conf;
static size_t confs_held;

struct fault __wrap_conf_read(const char *path, struct buf *source);
struct fault __real_conf_parse(const char *path, struct str source, struct conf **out);
struct fault __wrap_conf_parse(const char *path, struct str source, struct conf **out);
void __wrap_conf_free(struct conf *c);

/* What a reload finds: the first configuration, or one of those. */
struct fault __wrap_conf_read(const char *path, struct buf *source)
{
    must(strcmp(path, conf_path) == 0 && buf_append(source, str_from(conf_text)));
    must(which_conf == 0 || buf_append(source, str_from(more_text[which_conf - 1])));
    must(buf_append_byte(source, '\0'));
    return FINE;
}

/* Each of them is parsed once; who has it reads it only. */
struct fault __wrap_conf_parse(const char *path, struct str source, struct conf **out)
{
    static struct parsed {
        bool is_there;
        struct conf *conf;
        struct fault fault;
    } all[4];
    struct parsed *p = &all[which_conf];
    if (!p->is_there)
        p->fault = __real_conf_parse(path, source, &p->conf);
    p->is_there = true;
    *out = p->conf;
    confs_held += p->conf != NULL;
    return p->fault;
}

void __wrap_conf_free(struct conf *c)
{
    confs_held -= c != NULL;
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
    which_conf = what >> 4 & 3;
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
    stderr = hush(); /* opens what it opens */
    size_t before = descriptors_held();
    which_conf = 0;
    snprintf(conf_path, sizeof conf_path, "%s/eilbote.conf", enter_room());
    must(!reload_start(&r, conf_path, &none, &conf).kind);
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
    must(descriptors_held() == before && confs_held == 0);
}
