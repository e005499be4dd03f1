#!/opt/racksalt/salt/bin/python3
"""Makes the minion of this boot: ``racksalt_boot.prepare`` without Salt's loader, which would take longer than that.

Arguments, for tests: the module's file, and what the function is to be called with.
"""

import importlib.util
import sys

from salt.exceptions import CommandExecutionError

file, *arguments = sys.argv[1:] or ["/var/cache/salt/minion/extmods/modules/racksalt_boot.py"]
spec = importlib.util.spec_from_file_location("racksalt_boot", file)
module = importlib.util.module_from_spec(spec)
module.__opts__ = {}
spec.loader.exec_module(module)
try:
    module.prepare(*arguments)
except (CommandExecutionError, OSError) as error:
    sys.exit(str(error))
