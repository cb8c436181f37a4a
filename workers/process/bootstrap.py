"""The first program of every confined process. Started by path, by a Python without our packages.

Arguments: the kind (a name in `PROFILES`), the path of a program, the program's own arguments. The program's
`main(confinement, arguments)` is called; it confines itself when it has loaded what it needs.
"""

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location


def main(kind: str, program: str, arguments: list[str]) -> None:
    """Run the program at that path, with the confinement of its kind."""
    # Last on the path: nothing of ours, and nothing installed beside us, hides the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # pathlib takes memory
    from workers.process.confinement import Confinement
    from workers.process.profiles import PROFILES

    found = spec_from_file_location("confined_program", program)
    if found is None or found.loader is None:
        raise SystemExit(f"no program at {program}")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    import_module("array")  # imported lazily by the socket module, when no file can be opened any more
    module.main(Confinement(PROFILES[kind]), arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
