"""`python -m stepflow.worker` is `stepflow-worker`."""

import sys

from stepflow.worker._cli import main

sys.exit(main())
