"""`python -m bench [help] [session] [review] [sandbox] [webhooks] [server] [pages] [--runs N]`."""

import sys

from bench.measurements import main

sys.exit(main(sys.argv[1:]))
