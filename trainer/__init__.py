"""All that runs inside Transform's and Trainer's executors."""
