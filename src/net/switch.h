/* SPDX-License-Identifier: ISC */
/*
 * switch.h - leaving one stack for another
 *
 * The one piece that depends on the processor: x86-64 and aarch64 save the registers that a call
 * preserves and jump; other processors, and builds with SWITCH_UCONTEXT, use ucontext.
 * AddressSanitizer, ThreadSanitizer and valgrind are told about each stack and each switch.
 */
#ifndef NET_SWITCH_H
#define NET_SWITCH_H

#include <stddef.h>

#if !defined(SWITCH_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define SWITCH_UCONTEXT
#endif

#ifdef SWITCH_UCONTEXT
#include <ucontext.h>
#endif

struct switch_context {
    void *stack_pointer;
    const void *stack; /* lowest address, for the sanitizers */
    size_t stack_size;
    void *fake_stack; /* AddressSanitizer's */
    void *fiber;      /* ThreadSanitizer's */
    unsigned valgrind_id;
#ifdef SWITCH_UCONTEXT
    ucontext_t user_context;
    void (*entry)(void *);
    void *arg;
#endif
};

/* Describes the stack the caller runs on, so that it can be switched away from and back to. */
void switch_init_thread(struct switch_context *c);

/*
 * Prepares a context that, when first switched to, calls entry(arg) on the given stack (lowest
 * address, bytes; keeps it). entry must never return: it leaves with switch_leave.
 */
void switch_init(struct switch_context *c, void *stack, size_t stack_size, void (*entry)(void *),
                 void *arg);

/* Forgets a context whose entry has left for good or never ran. */
void switch_free(struct switch_context *c);

/* Saves where we are in from and goes on where to was saved. */
void switch_to(struct switch_context *from, struct switch_context *to);

/* The last switch of a context: from is not coming back. */
_Noreturn void switch_leave(struct switch_context *from, struct switch_context *to);

/* First thing an entry function calls: completes the switch that started it. */
void switch_entered(struct switch_context *c);

#endif
