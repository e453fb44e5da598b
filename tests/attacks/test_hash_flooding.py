# SPDX-License-Identifier: ISC
"""
Hash flooding: names that all fall into one bucket make a map a list. That the hash is keyed is shown in hash_flooding.c; here, that
every map's key is drawn at random.

The defence is map_hash(), and random_u64() at every map_make().
"""
import pathlib
import re

from server import ROOT

# Filled by the operator's own configuration file only.
FIXED = {"src/conf/syntax.c"}


def test_every_map_has_a_key_by_chance():
    found = 0
    for path in sorted(pathlib.Path(ROOT / "src").rglob("*.c")):
        for key in re.findall(r"map_make\((.*)\)", path.read_text(encoding="utf-8")):
            found += 1
            assert key == "random_u64(), random_u64()" or str(path.relative_to(ROOT)) in FIXED, path
    assert found >= 9
