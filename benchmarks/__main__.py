"""Runs the benchmarks that need neither PyTorch nor half an hour."""

import os

from benchmarks import (
    command_line,
    fine_tuning,
    flowers_run,
    input_sizes,
    many_runs,
    measure,
    sample_run,
    trainer_input,
)

if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start", flush=True)
    command_line.main()
    many_runs.main()
    sample_run.main()
    if (measure.DATA / "flowers-192").is_dir():
        flowers_run.main()
        trainer_input.main()
        input_sizes.main()
        fine_tuning.main()
    else:
        print(f"skipped the benchmarks of the flowers: {measure.DATA} has no folder flowers-192 (set FLOWERS_DATA)")
