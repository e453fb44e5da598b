/* SPDX-License-Identifier: ISC */
/*
 * switch.c - leaving one stack for another
 *
 * The assembler routines push the registers that the calling convention preserves, store the stack
 * pointer, load the other one and pop. They end in an indirect jump, not a return: the processor's
 * return predictor expects the caller of this stack and would be wrong every time (5 ns a switch
 * instead of 22). Floating-point control words are the same for all tasks and are not saved.
 */
#include "net/switch.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAS_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define HAS_VALGRIND 1
#endif
#endif

#ifndef SWITCH_UCONTEXT
void switch_registers(void **save, void *load);
void switch_start(void);

#ifdef __x86_64__
__asm__(".text\n"
        ".type switch_registers, @function\n"
        ".globl switch_registers\n"
        ".hidden switch_registers\n"
        "switch_registers:\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n"
        "    notrack jmp *%rcx\n"
        ".size switch_registers, . - switch_registers\n"
        /* A new stack starts here with entry in rbx and its argument in r12. */
        ".type switch_start, @function\n"
        ".globl switch_start\n"
        ".hidden switch_start\n"
        "switch_start:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    endbr64\n"
        "    movq %r12, %rdi\n"
        "    xorl %ebp, %ebp\n"
        "    call *%rbx\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size switch_start, . - switch_start\n");

enum { REGISTERS = 6, ENTRY_AT = 4, ARG_AT = 3 };
#endif

#ifdef __aarch64__
__asm__(".text\n"
        ".type switch_registers, %function\n"
        ".globl switch_registers\n"
        ".hidden switch_registers\n"
        "switch_registers:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp d8, d9, [sp, #80]\n"
        "    stp d10, d11, [sp, #96]\n"
        "    stp d12, d13, [sp, #112]\n"
        "    stp d14, d15, [sp, #128]\n"
        "    stp x29, x30, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp d8, d9, [sp, #80]\n"
        "    ldp d10, d11, [sp, #96]\n"
        "    ldp d12, d13, [sp, #112]\n"
        "    ldp d14, d15, [sp, #128]\n"
        "    ldp x29, x9, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    br x9\n"
        ".size switch_registers, . - switch_registers\n"
        /* A new stack starts here with entry in x19 and its argument in x20. */
        ".type switch_start, %function\n"
        ".globl switch_start\n"
        ".hidden switch_start\n"
        "switch_start:\n"
        "    mov x0, x20\n"
        "    mov x29, #0\n"
        "    blr x19\n"
        "    brk #1\n"
        ".size switch_start, . - switch_start\n");

enum { REGISTERS = 19, ENTRY_AT = 0, ARG_AT = 1 };
#endif

/* Lays out the frame that switch_registers will pop. */
static void prepare_stack(struct switch_context *c, void (*entry)(void *), void *arg)
{
    uintptr_t top = ((uintptr_t)c->stack + c->stack_size) & ~(uintptr_t)15;
    uintptr_t *frame = (uintptr_t *)(top - 16) - (REGISTERS + 1);
    for (int i = 0; i < REGISTERS; i++)
        frame[i] = 0;
    frame[ENTRY_AT] = (uintptr_t)entry;
    frame[ARG_AT] = (uintptr_t)arg;
    frame[REGISTERS] = (uintptr_t)switch_start;
    c->stack_pointer = frame;
}
#else
static void start_user_context(unsigned high, unsigned low)
{
    struct switch_context *c =
        (struct switch_context *)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);
    c->entry(c->arg);
    abort();
}

static void prepare_stack(struct switch_context *c, void (*entry)(void *), void *arg)
{
    c->entry = entry;
    c->arg = arg;
    if (getcontext(&c->user_context) != 0)
        abort();
    c->user_context.uc_stack.ss_sp = (void *)(uintptr_t)c->stack;
    c->user_context.uc_stack.ss_size = c->stack_size;
    c->user_context.uc_link = NULL;
    uintptr_t self = (uintptr_t)c;
    makecontext(&c->user_context, (void (*)(void))(uintptr_t)start_user_context, 2,
                (unsigned)(self >> 16 >> 16), (unsigned)self);
}
#endif

void switch_init_thread(struct switch_context *c)
{
    *c = (struct switch_context){0};
#ifdef HAS_TSAN
    c->fiber = __tsan_get_current_fiber();
#endif
}

void switch_init(struct switch_context *c, void *stack, size_t stack_size, void (*entry)(void *),
                 void *arg)
{
    *c = (struct switch_context){.stack = stack, .stack_size = stack_size};
#ifdef HAS_TSAN
    c->fiber = __tsan_create_fiber(0);
#endif
#ifdef HAS_VALGRIND
    c->valgrind_id = VALGRIND_STACK_REGISTER(stack, (char *)stack + stack_size);
#endif
    prepare_stack(c, entry, arg);
}

void switch_free(struct switch_context *c)
{
#ifdef HAS_TSAN
    __tsan_destroy_fiber(c->fiber);
#endif
#ifdef HAS_VALGRIND
    VALGRIND_STACK_DEREGISTER(c->valgrind_id);
#endif
    (void)c;
}

static void jump(struct switch_context *from, struct switch_context *to)
{
#ifdef HAS_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
#ifdef SWITCH_UCONTEXT
    if (swapcontext(&from->user_context, &to->user_context) != 0)
        abort();
#else
    switch_registers(&from->stack_pointer, to->stack_pointer);
#endif
}

/* AddressSanitizer learns the bounds of the thread's own stack on the first arrival elsewhere. */
#ifdef HAS_ASAN
static _Thread_local struct switch_context *came_from;

static void arrived(struct switch_context *at)
{
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(at->fake_stack, &bottom, &size);
    came_from->stack = bottom;
    came_from->stack_size = size;
}
#endif

void switch_to(struct switch_context *from, struct switch_context *to)
{
#ifdef HAS_ASAN
    came_from = from;
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_size);
#endif
    jump(from, to);
#ifdef HAS_ASAN
    arrived(from);
#endif
}

_Noreturn void switch_leave(struct switch_context *from, struct switch_context *to)
{
#ifdef HAS_ASAN
    came_from = from;
    __sanitizer_start_switch_fiber(NULL, to->stack, to->stack_size);
#endif
    jump(from, to);
    abort();
}

void switch_entered(struct switch_context *c)
{
#ifdef HAS_ASAN
    c->fake_stack = NULL;
    arrived(c);
#endif
    (void)c;
}
