/* SPDX-License-Identifier: ISC */
/*
 * database.h - SQLite in a process that may not pass through the directories above it
 */
#ifndef OS_DATABASE_H
#define OS_DATABASE_H

/*
 * Lets SQLite open relative paths as they are. By default it makes them absolute, and a role that
 * has become another user could not reach a state directory below, say, /root. Before the first
 * database is opened.
 */
void database_use_relative_paths(void);

#endif
