"""`python -m stepflow.worker` is `stepflow-worker`."""

import sys

from stepflow.worker._command.command_line import main

sys.exit(main())
