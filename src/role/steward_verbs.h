/* SPDX-License-Identifier: ISC */
/*
 * steward_verbs.h - what an operator may ask any role
 */
#ifndef ROLE_STEWARD_VERBS_H
#define ROLE_STEWARD_VERBS_H

#include "role/control.h"

/* directory.changed and reload; their role is a struct steward. */
extern const struct control_verb steward_verbs[];

#endif
