"""Owns finding the server's program. Must not start it."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import List

NAME = "menagerie"
#: The environment variable that names another program.
VARIABLE = "MENAGERIE_BINARY"


def find_binary() -> str:
    """The path of the server's program.

    The environment variable ``MENAGERIE_BINARY`` wins over the one that was installed with this
    package, which wins over one on ``PATH``.

    Raises FileNotFoundError, which names the places that were searched.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if _runs(named):
            return named
        raise FileNotFoundError(f"{VARIABLE}={named}: there is no program")
    places = _places()
    for place in places:
        candidate = os.path.join(place, NAME)
        if _runs(candidate):
            return candidate
    found = shutil.which(NAME)
    if found:
        return found
    raise FileNotFoundError(
        f"there is no {NAME} in {', '.join(places)} or on PATH, and {VARIABLE} is not set"
    )


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _places() -> List[str]:
    here = Path(__file__).resolve().parent.parent
    user = "osx_framework_user" if sys.platform == "darwin" else f"{os.name}_user"
    places = [
        sysconfig.get_path("scripts"),
        # pip install --target DIR
        str(here / "bin"),
        # pip install --prefix DIR: DIR/lib/python3.x/site-packages
        str(here.parent.parent.parent / "bin"),
        sysconfig.get_path("scripts", scheme=user),
    ]
    return list(dict.fromkeys(places))
