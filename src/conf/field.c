/* SPDX-License-Identifier: ISC */
/*
 * field.c - the options of eilbote.conf as a table
 */
#include "conf/field.h"

#include "conf/conf.h"

#define KIB         INT64_C(1024)
#define MIB         (1024 * KIB)
#define GIB         (1024 * MIB)
#define SECOND      INT64_C(1000)
#define MINUTE      (60 * SECOND)
#define HOUR        (60 * MINUTE)
#define DAY         (24 * HOUR)
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

const char *const field_roles[] = {"",     "mx",   "submission", "submissions", "local",
                                   "lmtp", "pop3", "pop3s",      NULL};
static const char *const tls_words[] = {"", "none", "starttls", "implicit", NULL};
static const char *const peer_tls_words[] = {"never", "may", "encrypt", "verify", NULL};
static const char *const protocol_words[] = {"smtp", "lmtp", NULL};
static const char *const authentication_words[] = {"off", "record", "mark", "refuse", NULL};
static const char *const signing_words[] = {"off", "on", "required", NULL};
static const char *const failure_words[] = {"defer", "accept", NULL};
static const char *const version_words[] = {"1.2", "1.3", NULL};

/* clang-format off */
#define TEXT(name, kind, place, standard)             {name, kind, place, standard, 0, 0, NULL, false}
#define NUMBER(name, kind, place, standard, low, high) {name, kind, place, standard, low, high, NULL, false}
#define WORD(name, place, standard, words)            {name, FIELD_WORD, place, standard, 0, 0, words, false}
#define LIST(name, kind, place)                       {name, kind, place, NULL, 0, 0, NULL, true}

#define AT(member) offsetof(struct conf, member)
static const struct field top_fields[] = {
    TEXT("hostname",          FIELD_NAME,   AT(hostname), NULL),
    TEXT("state-directory",   FIELD_PATH,   AT(state_directory), "."),
    NUMBER("port-offset",     FIELD_COUNT,  AT(port_offset), "0", 0, 60000),
    TEXT("mta-user",          FIELD_TEXT,   AT(mta_user), NULL),
    TEXT("mda-user",          FIELD_TEXT,   AT(mda_user), NULL),
    NUMBER("mta-threads",     FIELD_COUNT,  AT(mta_threads), "0", 0, 256),
    NUMBER("mda-threads",     FIELD_COUNT,  AT(mda_threads), "0", 0, 256),
    NUMBER("offload-threads", FIELD_COUNT,  AT(offload_threads), "8", 1, 256),
    LIST("relay-domains",     FIELD_NAME,   AT(relay_domains)),
    WORD("signing",           AT(signing), "on", signing_words),
    TEXT("srs",               FIELD_SWITCH, AT(is_srs_used), "on"),
    TEXT("srs-domain",        FIELD_NAME,   AT(srs_domain), NULL),
};

static const struct field tls_fields[] = {
    WORD("minimum", AT(tls_minimum), "1.2", version_words),
};

static const struct field log_fields[] = {
    NUMBER("size",  FIELD_SIZE,  AT(log_size_bytes), "16M", 64 * KIB, 16 * GIB),
    NUMBER("count", FIELD_COUNT, AT(log_count), "10", 1, 10000),
};
#undef AT

#define LIMIT_FIELDS(base) \
    NUMBER("sessions",                  FIELD_COUNT,    base + offsetof(struct conf_limits, session_max), "100000", 1, 1000000), \
    NUMBER("sessions-per-address",      FIELD_COUNT,    base + offsetof(struct conf_limits, address_session_max), "50", 1, 1000000), \
    NUMBER("commands-per-minute",       FIELD_COUNT,    base + offsetof(struct conf_limits, address_command_max), "10000", 1, 100000000), \
    NUMBER("messages-per-connection",   FIELD_COUNT,    base + offsetof(struct conf_limits, connection_message_max), "0", 0, 100000000), \
    NUMBER("errors-per-connection",     FIELD_COUNT,    base + offsetof(struct conf_limits, connection_error_max), "20", 1, 1000000), \
    NUMBER("auth-failures-per-address", FIELD_COUNT,    base + offsetof(struct conf_limits, auth_address_failure_max), "20", 1, 1000000), \
    NUMBER("auth-failures-per-account", FIELD_COUNT,    base + offsetof(struct conf_limits, auth_account_failure_max), "20", 1, 1000000), \
    NUMBER("auth-failure-window",       FIELD_DURATION, base + offsetof(struct conf_limits, auth_window_ms), "10m", SECOND, DAY), \
    NUMBER("message-size",              FIELD_SIZE,     base + offsetof(struct conf_limits, message_size_bytes), "50M", 64 * KIB, 2 * GIB), \
    NUMBER("recipients",                FIELD_COUNT,    base + offsetof(struct conf_limits, recipient_max), "1000", 100, 10000), \
    NUMBER("line-length",               FIELD_SIZE,     base + offsetof(struct conf_limits, line_size_bytes), "1000", 1000, MIB), \
    NUMBER("command-length",            FIELD_SIZE,     base + offsetof(struct conf_limits, command_size_bytes), "512", 512, 4 * KIB), \
    NUMBER("greeting-delay",            FIELD_DURATION, base + offsetof(struct conf_limits, greeting_delay_ms), "200ms", 0, MINUTE), \
    NUMBER("command-timeout",           FIELD_DURATION, base + offsetof(struct conf_limits, command_timeout_ms), "5m", SECOND, HOUR), \
    NUMBER("data-timeout",              FIELD_DURATION, base + offsetof(struct conf_limits, data_timeout_ms), "5m", SECOND, HOUR), \
    NUMBER("session-timeout",           FIELD_DURATION, base + offsetof(struct conf_limits, session_timeout_ms), "4h", MINUTE, 7 * DAY)

static const struct field limit_fields[] = {LIMIT_FIELDS(0)};

#define AT(member) offsetof(struct conf_listener, member)
static const struct field listener_fields[] = {
    WORD("role",          AT(role), NULL, field_roles),
    LIST("address",       FIELD_ADDRESS, AT(address)),
    NUMBER("port",        FIELD_COUNT,   AT(port_base), "0", 1, 65535),
    TEXT("path",          FIELD_PATH,    AT(path), NULL),
    WORD("tls",           AT(tls), NULL, tls_words),
    LIST("trust",         FIELD_NETWORK, AT(trust)),
    LIST("proxy-from",    FIELD_NETWORK, AT(proxy_from)),
    TEXT("clear-auth",    FIELD_SWITCH,  AT(clear_auth), NULL),
    TEXT("client-name",   FIELD_SWITCH,  AT(is_client_named), "on"),
    WORD("authentication", AT(authentication), "refuse", authentication_words),
    LIST("trusted-forwarders", FIELD_NAME, AT(trusted_forwarders)),
    NUMBER("local-history", FIELD_COUNT, AT(history_days), "7", 0, 1000),
    LIST("milters",       FIELD_TEXT,    AT(milter_names)),
    LIMIT_FIELDS(AT(limits)),
};
#undef AT

#define AT(member) offsetof(struct conf_policy, rules.member)
#define ACTION(name, place, standard)                 {name, FIELD_ACTION, place, standard, 0, 0, NULL, false}
static const struct field policy_fields[] = {
    LIST("allow-clients",          FIELD_NETWORK,  AT(allow_clients)),
    LIST("block-clients",          FIELD_NETWORK,  AT(block_clients)),
    LIST("allow-helo",             FIELD_NAME,     AT(allow_helo)),
    LIST("block-helo",             FIELD_NAME,     AT(block_helo)),
    LIST("allow-senders",          FIELD_SENDER,   AT(allow_senders)),
    LIST("block-senders",          FIELD_SENDER,   AT(block_senders)),
    ACTION("helo-invalid",         AT(helo_invalid), "record"),
    ACTION("helo-literal",         AT(helo_literal), "off"),
    ACTION("helo-own-name",        AT(helo_own_name), "refuse"),
    ACTION("helo-unresolvable",    AT(helo_unresolvable), "off"),
    ACTION("no-reverse-name",      AT(no_reverse_name), "off"),
    ACTION("unconfirmed-name",     AT(unconfirmed_name), "off"),
    ACTION("unknown-sender-domain", AT(unknown_sender_domain), "off"),
    ACTION("null-mx-sender",       AT(null_mx_sender), "off"),
    LIST("dnswl-sites",            FIELD_SITE,     AT(dnswl_sites)),
    LIST("dnsbl-sites",            FIELD_SITE,     AT(dnsbl_sites)),
    NUMBER("dnsbl-threshold",      FIELD_COUNT,    AT(dnsbl_threshold), "1", 1, POLICY_WEIGHT_MAX),
    ACTION("dnsbl-action",         AT(dnsbl_action), "refuse"),
    LIST("rhsbl-sites",            FIELD_SITE,     AT(rhsbl_sites)),
    NUMBER("rhsbl-threshold",      FIELD_COUNT,    AT(rhsbl_threshold), "1", 1, POLICY_WEIGHT_MAX),
    ACTION("rhsbl-action",         AT(rhsbl_action), "refuse"),
    NUMBER("dnsbl-timeout",        FIELD_DURATION, AT(dnsbl_timeout_ms), "5s", 100, 20 * SECOND),
    NUMBER("mark-score",           FIELD_COUNT,    AT(mark_score), "5", 0, 1000000),
    NUMBER("refuse-score",         FIELD_COUNT,    AT(refuse_score), "10", 0, 1000000),
    ACTION("greylisting",          AT(greylisting), "off"),
    NUMBER("greylist-delay",       FIELD_DURATION, AT(greylist.delay_ms), "5m", 0, DAY),
    NUMBER("greylist-window",      FIELD_DURATION, AT(greylist.window_ms), "2d", MINUTE, 30 * DAY),
    NUMBER("greylist-lifetime",    FIELD_DURATION, AT(greylist.lifetime_ms), "35d", MINUTE, 366 * DAY),
    NUMBER("greylist-allow-after", FIELD_COUNT,    AT(greylist.allow_after), "5", 0, 1000000),
    NUMBER("greylist-size",        FIELD_COUNT,    AT(greylist_size), "100000", 1000, 10000000),
    LIST("rates",                  FIELD_RATE,     AT(rates)),
    NUMBER("tarpit-after",         FIELD_COUNT,    AT(tarpit_after), "20", 0, 1000000),
    NUMBER("tarpit-delay",         FIELD_DURATION, AT(tarpit_delay_ms), "1s", 1, MINUTE),
    NUMBER("tarpit-delay-max",     FIELD_DURATION, AT(tarpit_delay_max_ms), "20s", 1, 2 * MINUTE),
    NUMBER("tarpit-forget",        FIELD_DURATION, AT(tarpit_forget_ms), "10m", SECOND, DAY),
    NUMBER("tarpit-sessions",      FIELD_COUNT,    AT(tarpit_sessions), "100", 0, 100000),
};
#undef AT
#undef ACTION

#define AT(member) offsetof(struct conf_milter, member)
static const struct field milter_fields[] = {
    TEXT("socket",            FIELD_TEXT,     AT(socket), NULL),
    NUMBER("connect-timeout", FIELD_DURATION, AT(connect_timeout_ms), "30s", 100, HOUR),
    NUMBER("command-timeout", FIELD_DURATION, AT(command_timeout_ms), "30s", 100, HOUR),
    NUMBER("content-timeout", FIELD_DURATION, AT(content_timeout_ms), "5m", 100, HOUR),
    NUMBER("end-timeout",     FIELD_DURATION, AT(end_timeout_ms), "5m", 100, HOUR),
    WORD("on-failure",        AT(on_failure), "defer", failure_words),
};
#undef AT

#define AT(member) offsetof(struct conf_certificate, member)
static const struct field certificate_fields[] = {
    TEXT("chain", FIELD_PATH, AT(chain), NULL),
    TEXT("key",   FIELD_PATH, AT(key), NULL),
};
#undef AT

#define HOP(member) offsetof(struct conf_next_hop, member)
#define HOP_FIELDS(tls_standard, protocol_standard) \
    WORD("protocol",      HOP(protocol), protocol_standard, protocol_words), \
    TEXT("host",          FIELD_TEXT,  HOP(host), NULL), \
    NUMBER("port",        FIELD_COUNT, HOP(port), "0", 1, 65535), \
    TEXT("path",          FIELD_PATH,  HOP(path), NULL), \
    WORD("tls",           HOP(tls), tls_standard, peer_tls_words), \
    TEXT("username",      FIELD_TEXT,  HOP(username), NULL), \
    TEXT("password-file", FIELD_PATH,  HOP(password_file), NULL)

static const struct field hop_fields[] = {HOP_FIELDS("may", "smtp")};
static const struct field local_fields[] = {HOP_FIELDS("never", "lmtp")};

#define AT(member) offsetof(struct conf_delivery, member)
static const struct field delivery_fields[] = {
    NUMBER("connect-timeout",         FIELD_DURATION, AT(connect_timeout_ms), "30s", SECOND, HOUR),
    NUMBER("greeting-timeout",        FIELD_DURATION, AT(greeting_timeout_ms), "5m", SECOND, HOUR),
    NUMBER("mail-timeout",            FIELD_DURATION, AT(mail_timeout_ms), "5m", SECOND, HOUR),
    NUMBER("rcpt-timeout",            FIELD_DURATION, AT(rcpt_timeout_ms), "5m", SECOND, HOUR),
    NUMBER("data-timeout",            FIELD_DURATION, AT(data_timeout_ms), "2m", SECOND, HOUR),
    NUMBER("block-timeout",           FIELD_DURATION, AT(block_timeout_ms), "3m", SECOND, HOUR),
    NUMBER("end-timeout",             FIELD_DURATION, AT(end_timeout_ms), "10m", SECOND, HOUR),
    NUMBER("connections-per-site",    FIELD_COUNT,    AT(site_connection_max), "20", 1, 100000),
    NUMBER("connections",             FIELD_COUNT,    AT(connection_max), "1000", 1, 1000000),
    NUMBER("messages-per-connection", FIELD_COUNT,    AT(connection_message_max), "100", 1, 100000000),
    NUMBER("idle-timeout",            FIELD_DURATION, AT(idle_timeout_ms), "5s", 0, HOUR),
    NUMBER("port",                    FIELD_COUNT,    AT(port), "25", 1, 65535),
    LIST("source-address",            FIELD_ADDRESS,  AT(source)),
    WORD("tls",                       AT(tls), "may", peer_tls_words),
    TEXT("dane",                      FIELD_SWITCH,   AT(is_dane_used), "on"),
    TEXT("mta-sts",                   FIELD_SWITCH,   AT(is_sts_used), "on"),
    NUMBER("mta-sts-port",            FIELD_COUNT,    AT(sts_port), "443", 1, 65535),
    LIST("mta-sts-networks",          FIELD_NETWORK,  AT(sts_networks)),
    TEXT("ca-file",                   FIELD_PATH,     AT(ca_file), NULL),
};
#undef AT

static const struct field tls_policy_fields[] = {
    WORD("tls", offsetof(struct conf_tls_policy, tls), "may", peer_tls_words),
};

#define AT(member) offsetof(struct conf_queue, member)
static const struct field queue_fields[] = {
    NUMBER("retry-first",  FIELD_DURATION, AT(retry_first_ms), "1m", 100, DAY),
    NUMBER("retry-max",    FIELD_DURATION, AT(retry_max_ms), "4h", 100, 7 * DAY),
    NUMBER("delay-notice", FIELD_DURATION, AT(delay_notice_ms), "4h", 0, 30 * DAY),
    NUMBER("bounce-after", FIELD_DURATION, AT(bounce_after_ms), "5d", SECOND, 90 * DAY),
    NUMBER("memory",       FIELD_SIZE,     AT(memory_bytes), "256M", MIB, 1024 * GIB),
    NUMBER("deliveries",   FIELD_COUNT,    AT(delivery_max), "100000", 100, 100000000),
    NUMBER("in-flight",    FIELD_SIZE,     AT(in_flight_bytes), "256M", MIB, 1024 * GIB),
    NUMBER("checkpoint",   FIELD_DURATION, AT(checkpoint_ms), "30s", 100, HOUR),
    NUMBER("disk-reserve", FIELD_SIZE,     AT(disk_reserve_bytes), "256M", 0, 1024 * GIB),
};
#undef AT

#define AT(member) offsetof(struct conf_resolver, member)
static const struct field resolver_fields[] = {
    LIST("server",             FIELD_ENDPOINT, AT(server)),
    TEXT("root-hints",         FIELD_PATH,     AT(root_hints), NULL),
    TEXT("trust-anchor-file",  FIELD_PATH,     AT(trust_anchor_file), NULL),
    TEXT("validate",           FIELD_SWITCH,   AT(is_validating), "on"),
    NUMBER("edns-size",        FIELD_SIZE,     AT(edns_size_bytes), "1232", 512, 4096),
    NUMBER("cache",            FIELD_SIZE,     AT(cache_bytes), "16M", MIB, 16 * GIB),
};
#undef AT

#define AT(member) offsetof(struct conf_reports, member)
static const struct field report_fields[] = {
    TEXT("send",         FIELD_SWITCH, AT(is_sending), "on"),
    TEXT("organization", FIELD_TEXT,   AT(organization), NULL),
    TEXT("from",         FIELD_TEXT,   AT(from), NULL),
    LIST("address",      FIELD_TEXT,   AT(address)),
};
#undef AT

static const struct field stub_fields[] = {
    LIST("server", FIELD_ENDPOINT, offsetof(struct conf_stub_zone, server)),
};

#define SECTION(name, rows, title, member, type) \
    {name, rows, COUNT_OF(rows), title, offsetof(struct conf, member), sizeof(type)}
const struct section field_sections[] = {
    {NULL, top_fields, COUNT_OF(top_fields), false, 0, sizeof(struct conf)},
    SECTION("limits", limit_fields, false, limits, struct conf_limits),
    SECTION("listener", listener_fields, true, listener, struct conf_listener),
    SECTION("policy", policy_fields, true, policy, struct conf_policy),
    SECTION("milter", milter_fields, true, milter, struct conf_milter),
    SECTION("certificate", certificate_fields, true, certificate, struct conf_certificate),
    {"tls", tls_fields, COUNT_OF(tls_fields), false, 0, sizeof(struct conf)},
    SECTION("smarthost", hop_fields, false, smarthost, struct conf_next_hop),
    SECTION("local", local_fields, false, local, struct conf_next_hop),
    SECTION("transport", hop_fields, true, transport, struct conf_next_hop),
    SECTION("tls-policy", tls_policy_fields, true, tls_policy, struct conf_tls_policy),
    SECTION("delivery", delivery_fields, false, delivery, struct conf_delivery),
    SECTION("queue", queue_fields, false, queue, struct conf_queue),
    SECTION("resolver", resolver_fields, false, resolver, struct conf_resolver),
    SECTION("reports", report_fields, false, reports, struct conf_reports),
    SECTION("stub-zone", stub_fields, true, stub_zone, struct conf_stub_zone),
    {"log", log_fields, COUNT_OF(log_fields), false, 0, sizeof(struct conf)},
};
/* clang-format on */
const size_t field_section_count = COUNT_OF(field_sections);

const struct field *field_find(const struct section *section, const char *name)
{
    for (size_t i = 0; i < section->field_count; i++)
        if (strcmp(section->fields[i].name, name) == 0)
            return &section->fields[i];
    return NULL;
}

size_t field_size(const struct field *f)
{
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_PATH:
    case FIELD_SENDER:
        return sizeof(struct str);
    case FIELD_COUNT:
    case FIELD_SIZE:
    case FIELD_DURATION:
        return sizeof(int64_t);
    case FIELD_SWITCH:
        return sizeof(bool);
    case FIELD_WORD:
        return sizeof(int);
    case FIELD_ADDRESS:
        return sizeof(struct ip_address);
    case FIELD_NETWORK:
        return sizeof(struct ip_network);
    case FIELD_ENDPOINT:
        return sizeof(struct ip_endpoint);
    case FIELD_ACTION:
        return sizeof(struct policy_action);
    case FIELD_SITE:
        return sizeof(struct dnsbl_site);
    case FIELD_RATE:
        return sizeof(struct policy_rate);
    }
    return 0;
}

bool field_is_set(const struct field *f, const void *place)
{
    if (f->kind <= FIELD_SENDER)
        return ((const struct str *)place)->n > 0;
    return f->kind != FIELD_COUNT || f->minimum <= 0 || *(const int64_t *)place != 0;
}
