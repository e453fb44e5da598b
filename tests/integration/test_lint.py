# SPDX-License-Identifier: ISC
"""Each rule of tools/lint: the tree keeps it, and a breach planted in a copy of the tree is reported in the exact words."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path):
    for name in ("src", "tests", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "meson.build", ".clang-format"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def lint(tree, rule, build=None):
    arguments = [str(ROOT / "tools" / "lint"), "--root", str(tree), rule]
    if build:
        arguments[1:1] = ["--build", str(build)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert done.returncode == (1 if lines else 0)
    return lines


def planted(tree, rule):
    """The breaches in what the tests plant."""
    return [line for line in lint(tree, rule) if line.startswith(("src/os/long", "src/os/gone", "tools/"))]


def plant(tree, name, text):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("rule", ["direction", "banned", "format", "size", "doc", "dead"])
def test_the_tree_keeps_the_rule(rule):
    assert lint(ROOT, rule) == []


def test_include_against_the_direction(tree):
    plant(tree, "src/base/upward.c", '#include "base/str.h"\n#include "os/file.h"\n')
    assert lint(tree, "direction") == ['src/base/upward.c:2: base (layer 0) may not include "os/file.h" (layer 3)']


def test_siblings_do_not_include_each_other(tree):
    plant(tree, "src/serve/talk.c", '#include "send/route.h"\n')
    assert lint(tree, "direction") == ['src/serve/talk.c:1: serve (layer 9) may not include "send/route.h" (layer 9)']


def test_include_not_written_from_src(tree):
    plant(tree, "src/conf/here.c", '#include "conf.h"\n')
    assert lint(tree, "direction") == ['src/conf/here.c:1: "conf.h" is not written from src/ or names no room']


def test_impure_symbol(tree):
    plant(tree, "src/mail/mail_clock.c", "#include <time.h>\nlong mail_clock(void);\nlong mail_clock(void)\n{\n    return time(0);\n}\n")
    out = tree / "build" / "src"
    out.mkdir(parents=True)
    subprocess.run(["cc", "-O0", "-c", str(tree / "src/mail/mail_clock.c"), "-o", str(out / "mail_clock.c.o")], check=True)
    subprocess.run(["ar", "cr", str(out / "libpure.a"), str(out / "mail_clock.c.o")], check=True)
    assert lint(tree, "purity", tree / "build") == [
        "src/mail/clock.c: the pure layer mail uses time, which tools/pure-symbols.allow does not name"]


def test_the_pure_layers_are_pure():
    build = pathlib.Path(os.environ.get("EILBOTE_BUILD", ROOT / "build"))
    if build.name != "build":
        pytest.skip("the symbols of a sanitizer build are not those of the program")
    assert lint(ROOT, "purity", build) == []


def test_banned_call(tree):
    plant(tree, "src/os/copy.c", 'void f(char *a)\n{\n    /* strcpy(a) */ g("strcpy(a)");\n    strcpy(a, "x");\n}\n')
    assert lint(tree, "banned") == ["src/os/copy.c:4: strcpy() is banned"]


def test_layout(tree):
    plant(tree, "src/os/layout.c", "int  f(void);\n")
    assert "src/os/layout.c:1: not as clang-format lays it out (make fmt)" in lint(tree, "format")


def test_long_function(tree):
    plant(tree, "src/os/long.c", "int f(int a,\n      int b)\n{\n" + "    a++;\n" * 67 + "}\n")
    assert planted(tree, "size") == ["src/os/long.c:1: f() has 71 lines, at most 70"]


def test_long_file(tree):
    plant(tree, "src/os/long.c", "int a;\n" * 601)
    assert planted(tree, "size") == ["src/os/long.c:1: 601 lines, at most 600"]


def test_size_exception_needs_a_reason_and_a_cause(tree):
    plant(tree, "src/os/long.c", "int a;\n" * 601)
    plant(tree, "tools/size.allow", "src/os/long.c\nsrc/os/gone.c once was long\n")
    assert planted(tree, "size") == ["tools/size.allow:1: src/os/long.c has no reason",
                                  "tools/size.allow:2: src/os/gone.c is within the limits; remove the line"]
    plant(tree, "tools/size.allow", "src/os/long.c a table\n")
    assert planted(tree, "size") == []


def test_dead_source(tree):
    plant(tree, "src/os/dead.c", "int a;\n")
    assert "src/os/dead.c: not in src/os/meson.build" in lint(tree, "dead")


def test_dead_header(tree):
    plant(tree, "src/os/dead.h", "int a;\n")
    plant(tree, "src/os/dead.c", '#include "os/dead.h"\n')
    assert "src/os/dead.h: no file but its own .c includes it" in lint(tree, "dead")


def test_unregistered_test(tree):
    plant(tree, "tests/unit/test_dead.c", "int a;\n")
    assert "tests/unit/test_dead.c: not in tests/unit/meson.build" in lint(tree, "dead")


def test_unused_tool(tree):
    plant(tree, "tools/nobody-calls-me", "#!/bin/bash\n")
    assert "tools/nobody-calls-me: nothing uses it" in lint(tree, "dead")


def test_function_that_the_page_invents(tree):
    plant(tree, "doc/architecture.md", "`buf_append()` exists,\n`buf_levitate()` does not.\n")
    assert lint(tree, "doc") == ["doc/architecture.md:2: buf_levitate() does not exist in src"]


def test_parser_without_a_target(tree):
    plant(tree, "src/mail/riddle.h", "/* nothing_parse(struct str in); */\nbool riddle_parse(struct str text,\n                  int *out);\nvoid riddle_ask(int a);\n")
    assert lint(tree, "fuzz") == ["src/mail/riddle.h: riddle_parse() reads bytes from outside, and no row of tests/fuzz/README.md has it"]


def test_row_whose_target_calls_something_else(tree):
    plant(tree, "src/mail/riddle.h", "bool riddle_parse(struct str text);\n")
    plant(tree, "tests/fuzz/fuzz_riddle.c", "/* riddle_parse */\n")
    table = tree / "tests" / "fuzz" / "README.md"
    text = table.read_text(encoding="utf-8")
    end = len(text.split("\n"))
    assert lint(tree, "fuzz")[1] == "tests/fuzz/fuzz_riddle.c: no row of tests/fuzz/README.md has it"
    table.write_text(text + "| `riddle_parse` | `mail/riddle.c` | `riddle` | it is solved |\n", encoding="utf-8")
    assert lint(tree, "fuzz") == [f"tests/fuzz/README.md:{end}: src/mail/riddle.c does not exist",
                                  f"tests/fuzz/README.md:{end}: fuzz_riddle.c calls none of riddle_parse"]
