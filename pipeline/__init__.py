"""What the pipeline is: its settings, its nodes in the order of the data, and how it is run and shown."""
