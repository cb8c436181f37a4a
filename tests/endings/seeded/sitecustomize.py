"""Python imports this at its start where the folder is on PYTHONPATH: one module is loaded with an edit.

SEEDED_FAULT: {"module", "was", "becomes"}. A text that is not in the module fails its import.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys

_FAULT = json.loads(os.environ["SEEDED_FAULT"])


class _Edited(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        source = self.get_source(fullname)
        if _FAULT["was"] not in source:
            raise ImportError(f"{fullname} has changed: so must the seeded fault")
        return compile(source.replace(_FAULT["was"], _FAULT["becomes"]), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname != _FAULT["module"]:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        found.loader = _Edited(fullname, found.origin)
        return found


sys.meta_path.insert(0, _Finder())
