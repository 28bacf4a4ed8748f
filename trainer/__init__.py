"""The code that runs inside the executors of Transform, Tuner and Trainer."""
