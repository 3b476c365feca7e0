from bench.run import main
from porchflow.cli.ending import run_to_end

run_to_end(main)
