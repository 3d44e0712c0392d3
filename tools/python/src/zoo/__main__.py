"""``python -m zoo [zoo.cfg]`` becomes the server itself."""

import os
import sys

from zoo.binary import find_binary


def main() -> None:
    binary = find_binary()
    os.execv(binary, [binary, *sys.argv[1:]])


main()
