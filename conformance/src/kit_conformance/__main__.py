"""`python -m kit_conformance` is `kit-conformance`."""

import sys

from kit_conformance.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
