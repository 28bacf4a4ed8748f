"""The pipeline on this machine: settings validated, nodes run and shown, results summarised."""
