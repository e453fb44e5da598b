/* SPDX-License-Identifier: ISC */
/*
 * main.c - runs seeds: for each a world, in it one process of the server after another
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "author.h"
#include "bugs.h"
#include "directory/directory.h"
#include "directory/edit.h"
#include "disk.h"
#include "journal/journal.h"
#include "ledger.h"
#include "net/tls.h"
#include "os/database.h"
#include "os/file.h"
#include "peer_tls.h"
#include "plan.h"
#include "role/bench_hooks.h"
#include "role/supervisor.h"

#define WORLD_BYTES ((size_t)1 << 30)
#define WORLD_AT    ((void *)0x100000000000)

enum {
    EXIT_CRASHED = 77,
    MAIN_STACK_BYTES = 512 * 1024,
    REST_FIRST_S = 20,
    REST_MOST_S = 600,
    PROCESSES_MOST = 200,
    SEEDS_MOST = 1000000000,
    REAL_PATIENCE_S = 120,
    HEAP_ONLY_BYTES = 32 << 20,
    HEAP_ROOM_BYTES = 14 << 20, /* less than what a server gives back to the system at once */
    LIBRARIES_KEEP_BYTES = 768 * 1024
};

static struct {
    void *memory; /* of the world, shared */
    char *template;
    size_t template_size;
    bool is_loud;
    char story[32];
    uint64_t minutes; /* of real time, 0: as long as it takes */
} run;

/* The journals' files are small, so that they are many. */
void bench_hooks_take(struct journal_options *o)
{
    o->segment_bytes = world->plan->segment_bytes;
}

/* A password is right when it is the one that was set; to stretch it takes time and proves nothing
 * here. */
int PKCS5_PBKDF2_HMAC(const char *password, int password_size, const unsigned char *salt,
                      int salt_size, int rounds, const EVP_MD *digest, int size, unsigned char *out)
{
    (void)rounds;
    (void)digest;
    for (int i = 0; i < size; i++)
        out[i] = (unsigned char)(password[i % password_size] ^ salt[i % salt_size] ^ i);
    return 1;
}

static void must(struct fault f)
{
    if (f.kind)
        sim_broken("%s", f.text);
}

static bool has_prepared;

/* The state that every run begins with: folders, users, an empty server. */
static void prepare(void *arg)
{
    (void)arg;
    static const char *const folders[] = {"ctl",     "ctl/mta", "ctl/mda", "log", "log/mta",
                                          "log/mda", "spool",   "mail",    "tls"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        must(file_make_directory(folders[i]));
    struct directory *d;
    database_use_relative_paths();
    must(directory_open("directory.db", DIRECTORY_CREATE, &d));
    must(directory_domain_add(d, STR("home.test")));
    for (int i = 0; i < PLAN_USERS; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "u%d@home.test", i);
        must(directory_account_add(d, str_make(name, (size_t)n), STR("secret"), 0));
    }
    directory_close(d);
    disk_sync_all();
    has_prepared = true;
}

static bool is_prepared(void)
{
    return has_prepared;
}

static void map_world(void)
{
    run.memory = mmap(WORLD_AT, WORLD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (run.memory == MAP_FAILED)
        abort();
}

static void make_template(void)
{
    pid_t child = fork();
    if (child == 0) {
        world_make(run.memory, WORLD_BYTES, 1);
        disk_make();
        net_make();
        fiber_start("prepare", true, MAIN_STACK_BYTES, prepare, NULL);
        world_run(is_prepared);
        fibers_forget_server();
        _exit(has_prepared ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) {
        fprintf(stderr, "the template cannot be made\n");
        exit(1);
    }
    struct world *w = run.memory;
    run.template_size = (size_t)(w->memory - (char *)run.memory);
    run.template = malloc(run.template_size);
    memcpy(run.template, run.memory, run.template_size);
}

/*
 * The heap of the processes to come: all memory is from there, so that it is counted, and it begins with
 * huge pages, which are had at once.
 */
static void make_heap(void)
{
    enum { HUGE_PAGE = 2 << 20 };
    mallopt(M_MMAP_THRESHOLD, HEAP_ONLY_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_ONLY_BYTES);
    char *whole = malloc(HEAP_ROOM_BYTES);
    size_t to_next = HUGE_PAGE - (size_t)whole % HUGE_PAGE;
    madvise(whole + to_next, HEAP_ROOM_BYTES - 2 * HUGE_PAGE, MADV_HUGEPAGE);
    free(whole);
    void *used = malloc(to_next - 64);
    (void)used;
}

static struct fault outcome;

static void serve(void *arg)
{
    (void)arg;
    /* Whoever keeps starting it waits longer and longer. */
    int64_t most_s = world->process == 1 ? 0 : REST_FIRST_S + 2 * (int64_t)world->process;
    fiber_sleep(sim_between(0, most_s < REST_MOST_S ? most_s : REST_MOST_S) * SIM_SECOND);
    outcome = supervisor_run("eilbote.conf", true);
    world->plan->has_stopped = true;
}

static bool has_stopped(void)
{
    return world->plan->has_stopped;
}

/* Where the server was when it ended itself. */
static void show_place(int number)
{
    enum { FRAMES = 40 };
    void *frames[FRAMES];
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

static size_t memory_in_use(void)
{
    return mallinfo2().uordblks;
}

/* After an end in good order everything has come back. */
static void check_end(size_t memory_before)
{
    peer_tls_end();
    size_t memory = memory_in_use();
    if (world->net->descriptor_count > 0)
        ledger_blame(0, "%u descriptors are left open at the end", world->net->descriptor_count);
    if (memory > memory_before + LIBRARIES_KEEP_BYTES)
        ledger_blame(0, "%zu bytes are not given back at the end", memory - memory_before);
}

static void limit_time(void)
{
    struct rlimit limit = {REAL_PATIENCE_S, REAL_PATIENCE_S + 5};
    setrlimit(RLIMIT_CPU, &limit);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* One process of the server, to its end. */
static _Noreturn void run_process(void)
{
    limit_time();
    if (!run.is_loud) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    signal(SIGABRT, show_place);
    signal(SIGSEGV, show_place);
    world->process++;
    world->calls = 0;
    world->crash_at_call = UINT64_MAX;
    world->has_crashed_so = world->is_crash_in_sync;
    world->is_crash_in_sync = false;
    if (world->plan->processes_left > 0 && !plan_is_healed()) {
        world->crash_at_call = ((uint64_t)1 << sim_between(3, 15)) + sim_below(4096);
        /* What the kill leaves in the system's memory, the next process reads, and then loses. */
        world->is_crash_in_sync = world->plan->processes_left > 1 && sim_chance(1, 2);
    }
    world->plan->has_stopped = false;
    fiber_start("main", true, MAIN_STACK_BYTES, serve, NULL);
    size_t memory_before = memory_in_use();
    if (!world_run(has_stopped))
        ledger_blame(0, "nothing can happen any more, and the server has not ended");
    if (world->plan->is_stopping && !outcome.kind)
        check_end(memory_before);
    if (outcome.kind && run.is_loud)
        fprintf(stderr, "the server ended: %s\n", outcome.text);
    system_end_process();
    fibers_forget_server();
    _exit(0);
}

/* Runs one process to its end; false when the seed ends here. */
static bool run_next_process(void)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        run_process();
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    bool is_crash = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CRASHED;
    if (is_crash) {
        world->plan->processes_left--;
        world->plan->is_stopping = false; /* it is asked again when it is back */
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        ledger_blame(0, "the server's process ended with status %#x", (unsigned)status);
    else if (world->plan->is_stopping)
        return false;
    ledger_crash();
    fibers_forget_server();
    return world->ledger->violation[0] == '\0';
}

/* Runs a seed; false when a property does not hold. */
static bool run_seed(uint64_t seed)
{
    memcpy(run.memory, run.template, run.template_size);
    world = run.memory;
    world_seed(seed);
    memcpy(world->story, run.story, sizeof run.story);
    plan_make();
    int processes = 1;
    while (run_next_process() && processes < PROCESSES_MOST)
        processes++;
    if (!world->plan->is_stopping)
        ledger_blame(0, "the server did not get as far as the end");
    plan_check_limits();
    ledger_check();
    return world->ledger->violation[0] == '\0';
}

static void print_result(uint64_t seed, bool is_well)
{
    if (!is_well)
        printf("make sim SEED=%llu\n", (unsigned long long)seed);
    printf("seed %llu: %s  [%llu processes, %zu messages, %zu crashes, %lld s, digest %016llx]\n",
           (unsigned long long)seed, is_well ? "well" : world->ledger->violation,
           (unsigned long long)world->process, world->ledger->messages, world->ledger->crashes,
           (long long)(world->now_ns / SIM_SECOND), (unsigned long long)world->digest);
    fflush(stdout);
}

/* One seed, and when it fails the same once more with the story of the message that it is about. */
static bool replay(uint64_t seed)
{
    run.is_loud = true;
    bool is_well = run_seed(seed);
    print_result(seed, is_well);
    if (is_well)
        return true;
    uint64_t digest = world->digest;
    snprintf(run.story, sizeof run.story, "%s", ledger_id(world->ledger->violation_message));
    run_seed(seed);
    if (world->digest != digest)
        printf("seed %llu is not the same twice\n", (unsigned long long)seed);
    return false;
}

enum { JOBS_MOST = 256, PROGRESS_S = 10 };

/* What the jobs of one run have in common. */
struct tally {
    atomic_ullong next, done, failed, messages, deliveries, crashes, processes;
    atomic_ullong digests; /* their sum: two builds that run the same seeds alike have the same */
    atomic_ullong at[JOBS_MOST]; /* the seed of each job, 0 behind the last one */
    atomic_bool is_over;
    time_t end; /* 0: none */
};

static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    is_interrupted = number;
}

static void count(struct tally *t)
{
    atomic_fetch_add(&t->messages, world->ledger->messages);
    atomic_fetch_add(&t->crashes, world->ledger->crashes);
    atomic_fetch_add(&t->processes, world->process);
    atomic_fetch_add(&t->digests, world->digest);
    for (size_t i = 0; i < world->ledger->messages; i++)
        for (size_t k = 0; k < world->ledger->message[i].recipients; k++)
            atomic_fetch_add(&t->deliveries, world->ledger->message[i].recipient[k].deliveries);
}

static bool is_time_over(const struct tally *t)
{
    world = NULL; /* the real time, that is */
    return atomic_load(&t->is_over) || (t->end > 0 && time(NULL) >= t->end);
}

/* One job takes seeds until there are none, or until one fails when that is enough. */
static _Noreturn void work(struct tally *t, unsigned job, uint64_t end, bool is_first_enough)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* the one that waits for us ends us */
    signal(SIGTERM, SIG_DFL);
    map_world();
    make_template();
    make_heap();
    for (uint64_t seed; !is_time_over(t) && (seed = atomic_fetch_add(&t->next, 1)) < end;) {
        atomic_store(&t->at[job], seed);
        bool is_well = run_seed(seed);
        count(t);
        atomic_fetch_add(&t->failed, !is_well);
        atomic_fetch_add(&t->done, 1);
        if (!is_well)
            print_result(seed, false);
        if (!is_well && is_first_enough)
            atomic_store(&t->is_over, true);
    }
    atomic_store(&t->at[job], 0);
    _exit(0);
}

/* A job that ended before its seed did says nothing of it. */
static void explain(const struct tally *t, unsigned job, int status)
{
    if (WIFSIGNALED(status))
        printf("job %u was ended by signal %d", job + 1, WTERMSIG(status));
    else
        printf("job %u ended with status %d", job + 1, WEXITSTATUS(status));
    printf(" in the middle of seed %llu: make sim SEED=%llu\n",
           (unsigned long long)atomic_load(&t->at[job]),
           (unsigned long long)atomic_load(&t->at[job]));
}

static void print_progress(const struct tally *t, uint64_t seeds)
{
    static time_t last;
    time_t now = time(NULL);
    if (last == 0)
        last = now;
    if (now - last < PROGRESS_S)
        return;
    last = now;
    fprintf(stderr, "%llu of %llu seeds, %llu failed\n", (unsigned long long)atomic_load(&t->done),
            (unsigned long long)seeds, (unsigned long long)atomic_load(&t->failed));
}

/* Waits for the jobs; the number of those that broke. */
static unsigned await(struct tally *t, const pid_t *pid, unsigned jobs, uint64_t seeds)
{
    unsigned broken = 0, left = jobs;
    while (left > 0 && !is_interrupted) {
        int status;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) {
            usleep(20000);
            print_progress(t, seeds);
            continue;
        }
        left--;
        for (unsigned job = 0; job < jobs; job++)
            if (pid[job] == ended && status != 0) {
                broken++;
                explain(t, job, status);
            }
    }
    for (unsigned job = 0; job < jobs && is_interrupted; job++) {
        kill(pid[job], SIGKILL);
        waitpid(pid[job], NULL, 0);
    }
    return broken;
}

/* Runs seeds side by side; the number of those that failed. */
static uint64_t run_seeds(uint64_t from, uint64_t seeds, unsigned jobs, bool is_first_enough)
{
    pid_t pid[JOBS_MOST];
    struct tally *t =
        mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        abort();
    atomic_store(&t->next, from);
    t->end = run.minutes > 0 ? time(NULL) + (time_t)run.minutes * 60 : 0;
    fflush(NULL);
    for (unsigned i = 0; i < jobs; i++)
        if ((pid[i] = fork()) == 0)
            work(t, i, from + seeds, is_first_enough);
    uint64_t failed = await(t, pid, jobs, seeds) + atomic_load(&t->failed);
    printf(
        "%llu of %llu seeds failed: %llu messages, %llu deliveries, %llu processes, %llu ended in "
        "the middle, digest %016llx\n",
        (unsigned long long)atomic_load(&t->failed), (unsigned long long)atomic_load(&t->done),
        (unsigned long long)atomic_load(&t->messages),
        (unsigned long long)atomic_load(&t->deliveries),
        (unsigned long long)atomic_load(&t->processes),
        (unsigned long long)atomic_load(&t->crashes), (unsigned long long)atomic_load(&t->digests));
    bool is_nothing = atomic_load(&t->messages) == 0;
    munmap(t, sizeof *t);
    if (is_interrupted) {
        printf("interrupted\n");
        fflush(stdout);
        _exit(128 + is_interrupted);
    }
    if (is_nothing)
        printf("nothing was tested\n");
    return failed + is_nothing;
}

/* Plants every defect in turn: each must be caught within so many seeds. */
static int prove(uint64_t from, uint64_t seeds, unsigned jobs)
{
    int missed = 0;
    for (size_t i = 0; bug_name(i); i++) {
        bug_plant(bug_name(i));
        printf("-- %s: %s\n", bug_name(i), bug_description(i));
        if (run_seeds(from, seeds, jobs, true) == 0) {
            printf("-- %s was NOT caught\n", bug_name(i));
            missed++;
        }
    }
    printf("%d planted defects were not caught within %llu seeds\n", missed,
           (unsigned long long)seeds);
    return missed > 0;
}

static int complain(void)
{
    fputs("usage: sim [--seeds N] [--from SEED] [--jobs N] [--minutes N] [--bug NAME] [--prove]\n"
          "       sim --seed SEED [--bug NAME]\n",
          stderr);
    for (size_t i = 0; bug_name(i); i++)
        fprintf(stderr, "  %-20s %s\n", bug_name(i), bug_description(i));
    return 2;
}

/* What OpenSSL looks up for its first context is then there in every process that is forked. */
static void prepare_openssl(void)
{
    struct tls_context *t;
    must(tls_context_client(TLS_1_0, NULL, &t));
    tls_context_drop(t);
}

static void prepare_process(void)
{
    setenv("TZ", "UTC", 1);
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    setenv("SSL_CERT_DIR", "/dev/null", 1);
    signal(SIGPIPE, SIG_IGN);
    letters_prepare();
    peer_tls_prepare();
    fibers_prepare();
    prepare_openssl();
}

/* A whole number from least to most. */
static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= least &&
           *out <= most;
}

struct orders {
    uint64_t from, seeds, seed, jobs;
    bool is_one, has_proof;
};

static bool take_option(struct orders *o, int option, const char *value)
{
    static const struct {
        const char *name;
        uint64_t least, most;
    } ranges[] = {['n'] = {"seeds", 1, SEEDS_MOST},
                  ['f'] = {"from", 1, SEEDS_MOST},
                  ['s'] = {"seed", 1, SEEDS_MOST},
                  ['j'] = {"jobs", 1, JOBS_MOST},
                  ['m'] = {"minutes", 0, 100000}};
    uint64_t *number = option == 'n'   ? &o->seeds
                       : option == 'f' ? &o->from
                       : option == 'j' ? &o->jobs
                       : option == 'm' ? &run.minutes
                                       : &o->seed;
    o->is_one |= option == 's';
    o->has_proof |= option == 'p';
    if (option == 'p' || option == '?')
        return option == 'p';
    if (option == 'b')
        return bug_plant(value);
    if (read_number(value, ranges[option].least, ranges[option].most, number))
        return true;
    fprintf(stderr, "sim: %s is \"%s\"; allowed: a whole number from %llu to %llu\n",
            ranges[option].name, value, (unsigned long long)ranges[option].least,
            (unsigned long long)ranges[option].most);
    return false;
}

int main(int argc, char **argv)
{
    struct orders o = {.from = 1, .seeds = 100, .jobs = 2};
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 'n'},   {"from", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},    {"jobs", required_argument, NULL, 'j'},
        {"minutes", required_argument, NULL, 'm'}, {"bug", required_argument, NULL, 'b'},
        {"prove", no_argument, NULL, 'p'},         {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;)
        if (!take_option(&o, c, optarg))
            return complain();
    if (optind < argc) {
        fprintf(stderr, "sim: \"%s\" is no option\n", argv[optind]);
        return complain();
    }
    prepare_process();
    if (o.is_one) {
        map_world();
        make_template();
        make_heap();
        return !replay(o.seed);
    }
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (o.has_proof)
        return prove(o.from, o.seeds, (unsigned)o.jobs);
    return run_seeds(o.from, o.seeds, (unsigned)o.jobs, false) > 0;
}
