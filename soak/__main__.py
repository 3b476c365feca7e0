from porchflow.cli.ending import run_to_end
from soak.run import main

run_to_end(main)
