"""`python -m bench [help] [session] [sandbox] [--runs N]`."""

import sys

from bench.measurements import main

sys.exit(main(sys.argv[1:]))
