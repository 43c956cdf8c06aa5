"""Writes a block of code of a page: published.py PAGE LANGUAGE FILE [OLD=NEW…], with texts replaced in it."""

import re
import sys

page, language, file, *changes = sys.argv[1:]
block = re.search(rf"^```{language}\n(.*?)^```$", open(page).read(), re.S | re.M).group(1)
for change in changes:
    old, new = change.split("=")
    block = block.replace(old, new)
open(file, "w").write(block)
