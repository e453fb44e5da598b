/* SPDX-License-Identifier: ISC */
/*
 * conf.h - the configuration as an immutable snapshot
 *
 * conf_load reads eilbote.conf and checks every value; what it gives is complete (defaults filled
 * in), never changes and may be read by any thread until conf_free. Names of fields follow the
 * options of eilbote.conf(5). Sizes are bytes, durations milliseconds.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/ip.h"
#include "check/policy_rules.h"

#include <stdint.h>

enum conf_role {
    CONF_ROLE_NONE,
    CONF_ROLE_MX,
    CONF_ROLE_SUBMISSION,
    CONF_ROLE_SUBMISSIONS,
    CONF_ROLE_LOCAL, /* a Unix socket: submission by this machine's processes, without a login */
    CONF_ROLE_LMTP,
    CONF_ROLE_POP3,
    CONF_ROLE_POP3S
};

/* What becomes of mail that is not what it claims to be: nobody looks; it is told of; it is marked as
 * well; it is refused when its domain asks for that. */
enum conf_authentication {
    CONF_AUTHENTICATION_OFF,
    CONF_AUTHENTICATION_RECORD,
    CONF_AUTHENTICATION_MARK,
    CONF_AUTHENTICATION_REFUSE
};

/* Whether mail of our domains is signed: no; when that can be done; always, or it is not taken. */
enum conf_signing { CONF_SIGNING_OFF, CONF_SIGNING_ON, CONF_SIGNING_REQUIRED };

enum conf_tls { CONF_TLS_DEFAULT, CONF_TLS_NONE, CONF_TLS_STARTTLS, CONF_TLS_IMPLICIT };

/* What to ask of a next hop: no TLS; TLS when offered; TLS always; TLS with a valid certificate. */
enum conf_peer_tls {
    CONF_PEER_TLS_NEVER,
    CONF_PEER_TLS_MAY,
    CONF_PEER_TLS_ENCRYPT,
    CONF_PEER_TLS_VERIFY
};

enum conf_protocol { CONF_PROTOCOL_SMTP, CONF_PROTOCOL_LMTP };

enum conf_tls_version { CONF_TLS_VERSION_1_2, CONF_TLS_VERSION_1_3 };

struct conf_names {
    const struct str *item; /* domains in lower case */
    size_t count;
};

struct conf_networks {
    const struct ip_network *item;
    size_t count;
};

struct conf_addresses {
    const struct ip_address *item;
    size_t count;
};

struct conf_endpoints {
    const struct ip_endpoint *item;
    size_t count;
};

struct conf_limits {
    int64_t session_max;              /* open at a time on the listener */
    int64_t address_session_max;      /* the same for one client address */
    int64_t address_command_max;      /* commands of one client address in a minute */
    int64_t connection_message_max;   /* messages in one connection */
    int64_t connection_error_max;     /* refused commands in one connection */
    int64_t auth_address_failure_max; /* failed logins of one address in the window */
    int64_t auth_account_failure_max; /* failed logins to one account in the window */
    int64_t auth_window_ms;
    int64_t message_size_bytes;
    int64_t recipient_max; /* of one message */
    int64_t line_size_bytes;
    int64_t command_size_bytes;
    int64_t greeting_delay_ms; /* for clients outside trust */
    int64_t command_timeout_ms;
    int64_t data_timeout_ms; /* between two reads of a message */
    int64_t session_timeout_ms;
};

/* What happens to mail when a filter fails: it waits, or it goes on as it is. */
enum conf_failure { CONF_FAILURE_DEFER, CONF_FAILURE_ACCEPT };

enum { CONF_MILTERS_MAX = 16 /* of one listener */ };

/* A mail filter that is asked. */
struct conf_milter {
    struct str name;
    struct str socket; /* as written: "inet:127.0.0.1:11332", "unix:/run/filter.sock" */
    struct str path;   /* of a Unix socket; then there is no address */
    struct ip_endpoint address;
    int64_t connect_timeout_ms;
    int64_t command_timeout_ms; /* for each answer before the content */
    int64_t content_timeout_ms; /* for each answer about a piece of the content */
    int64_t end_timeout_ms;     /* for the verdict, or the next edit */
    int on_failure;             /* enum conf_failure */
};

struct conf_listener {
    struct str name;
    int line; /* where its section begins */
    int role; /* enum conf_role */
    int tls;  /* enum conf_tls, never the default */
    struct conf_addresses address;
    struct str path;   /* of a Unix socket; then there is no address */
    int64_t port_base; /* as written */
    uint16_t port;     /* to bind: port_base + port_offset */
    struct conf_networks trust;
    struct conf_networks proxy_from;
    bool clear_auth;      /* POP3 only: passwords without TLS */
    bool is_client_named; /* MX only: trace fields have the client's name by the DNS */
    int authentication;   /* MX only: enum conf_authentication */
    struct conf_names trusted_forwarders; /* whose ARC seals are believed */
    int64_t history_days;              /* of genuine mail that make a network known; 0: none does */
    const struct policy_rules *policy; /* its policy section, or the defaults of one */
    struct conf_names milter_names;
    const struct conf_milter *const *milter; /* as many, in their order */
    struct conf_limits limits;
};

/* What is let in at a listener. */
struct conf_policy {
    struct str name; /* of the listener */
    struct policy_rules rules;
};

struct conf_certificate {
    struct str name;
    struct str chain; /* PEM files */
    struct str key;
};

/* A place to hand mail to: smarthost, transport, local delivery. */
struct conf_next_hop {
    struct str domain; /* of a transport: "example.net", or ".example.net" for what is below it */
    int protocol;      /* enum conf_protocol */
    struct str host;   /* name or address; empty when there is a path, or no smarthost */
    int64_t port;
    struct str path; /* of a Unix socket */
    int tls;         /* enum conf_peer_tls */
    struct str username;
    struct str password_file;
};

struct conf_delivery {
    int64_t connect_timeout_ms;
    int64_t greeting_timeout_ms;
    int64_t mail_timeout_ms;
    int64_t rcpt_timeout_ms;
    int64_t data_timeout_ms;
    int64_t block_timeout_ms;
    int64_t end_timeout_ms;
    int64_t site_connection_max;
    int64_t connection_max;
    int64_t connection_message_max;
    int64_t idle_timeout_ms; /* an unused connection is kept that long */
    int64_t port;            /* of mail exchangers */
    struct conf_addresses source;
    int tls; /* enum conf_peer_tls: what to ask of mail exchangers where no policy says more */
    bool is_dane_used;                 /* RFC 7672 */
    bool is_sts_used;                  /* RFC 8461 */
    int64_t sts_port;                  /* of the web servers with the policies */
    struct conf_networks sts_networks; /* private ones in which such servers may be */
    struct str ca_file; /* certificate authorities beside the system's; empty: none */
};

/* What to ask of the mail exchangers of a domain, whatever their policies say. */
struct conf_tls_policy {
    struct str domain; /* "example.net", or ".example.net" for what is below it */
    int tls;           /* enum conf_peer_tls */
};

struct conf_queue {
    int64_t retry_first_ms;
    int64_t retry_max_ms;
    int64_t delay_notice_ms; /* 0: none */
    int64_t bounce_after_ms;
    int64_t memory_bytes;    /* bodies kept in memory */
    int64_t delivery_max;    /* messages kept in memory, as deliveries with the sender */
    int64_t in_flight_bytes; /* messages being received */
    int64_t checkpoint_ms;
    int64_t disk_reserve_bytes;
};

/* Reports about DMARC and TLS. */
struct conf_reports {
    bool is_sending;
    struct str organization;   /* empty: the hostname */
    struct str from;           /* the address that sends; empty: the host's postmaster */
    struct conf_names address; /* where reports about us come in */
};

enum { CONF_STUB_SERVERS_MAX = 64 }; /* of all stub zones together */

struct conf_stub_zone {
    struct str zone;
    struct conf_endpoints server;
};

struct conf_resolver {
    struct conf_endpoints server; /* none: ask from the root down */
    struct str trust_anchor_file; /* empty: nothing is validated */
    struct str root_hints;        /* file; empty: see server */
    bool is_validating;
    int64_t edns_size_bytes;
    int64_t cache_bytes;
};

struct conf {
    struct arena arena;
    struct str path;
    struct str hostname;
    struct str state_directory; /* absolute unless the path of the file is relative */
    int64_t port_offset;
    struct str mta_user; /* a name, or UID:GID; empty: stay who we are */
    struct str mda_user;
    int64_t mta_threads; /* 0: one for each processor */
    int64_t mda_threads;
    int64_t offload_threads;
    struct conf_names relay_domains;
    int signing;               /* enum conf_signing */
    bool is_srs_used;          /* senders of forwarded mail are rewritten (check/srs.h) */
    struct str srs_domain;     /* their domain then; empty: the hostname */
    struct conf_limits limits; /* what listeners begin with */
    struct conf_listener *listener;
    size_t listener_count;
    struct conf_policy *policy;
    size_t policy_count;
    struct conf_policy standard_policy; /* of listeners without one */
    struct conf_milter *milter;
    size_t milter_count;
    struct conf_certificate *certificate;
    size_t certificate_count;
    int tls_minimum; /* enum conf_tls_version */
    struct conf_next_hop smarthost;
    struct conf_next_hop local;
    struct conf_next_hop *transport;
    size_t transport_count;
    struct conf_tls_policy *tls_policy;
    size_t tls_policy_count;
    struct conf_delivery delivery;
    struct conf_queue queue;
    struct conf_resolver resolver;
    struct conf_reports reports;
    struct conf_stub_zone *stub_zone;
    size_t stub_zone_count;
    int64_t log_size_bytes;
    int64_t log_count;
};

/*
 * Reads and checks the file. *out is the caller's to conf_free; NULL on a fault, which is 5xx and
 * names the file, the line, what was found and what is allowed. Any thread.
 */
struct fault conf_load(const char *path, struct conf **out);

/* Its two halves: appends the file's text (a C string) to source, of CONF_SOURCE_LIMIT; checks such
 * a text. The path is for messages and for what is relative to it. */
enum { CONF_SOURCE_LIMIT = 1024 * 1024 };
struct fault conf_read(const char *path, struct buf *source);
struct fault conf_parse(const char *path, struct str source, struct conf **out);
void conf_free(struct conf *c);

/* Appends the whole configuration, defaults included, in the syntax of the file. False when the
 * buffer's limit is reached. */
bool conf_print(const struct conf *c, struct buf *out);

/* The path of a name in the state directory, allocated in a. */
char *conf_state_path(const struct conf *c, struct arena *a, const char *name);

/* The transport for a domain (lower case): its own, else the longest ".parent"; NULL for none. */
const struct conf_next_hop *conf_transport(const struct conf *c, struct str domain);

/* The TLS policy set for a domain, found in the same way; NULL for none. */
const struct conf_tls_policy *conf_tls_policy(const struct conf *c, struct str domain);

/* The domain of rewritten senders. */
struct str conf_srs_domain(const struct conf *c);

bool conf_is_relay_domain(const struct conf *c, struct str domain);

/* Whether reports about us come to that address. */
bool conf_is_report_address(const struct conf *c, struct str local, struct str domain);

/* True when one of the networks holds the address. */
bool conf_networks_contain(const struct conf_networks *networks, const struct ip_address *ip);

#endif
