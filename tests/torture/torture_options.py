# SPDX-License-Identifier: ISC
"""What options may say, with the names that they have for make. A run that is asked to do nothing would find nothing."""
import argparse


def number_of(name, text, least, allowed):
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"{name}={text} is not allowed; {allowed}")
    return int(text)


def count(name):
    return lambda text: number_of(name, text, 1, "it is a positive whole number")


def count_or_all(name):
    return lambda text: number_of(name, text, 0, "it is a positive whole number, or 0 for all")


def seed(text):
    return number_of("SEED", text, 0, "it is a whole number")


def add_look(parser):
    parser.add_argument("--look", action="store_true", help="only look at the options")
