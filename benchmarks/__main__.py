"""Runs all benchmarks except those that need PyTorch or half an hour."""

import os

from benchmarks import (
    augmentation,
    bulk,
    corpus,
    data_review,
    edge,
    example_gen,
    fine_tuning,
    ingest_photos,
    input_sizes,
    many_runs,
    measure,
    runs,
    serving,
    serving_skew,
    trainer_input,
)

if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the start", flush=True)
    runs.main()
    many_runs.main()
    augmentation.main()
    if (measure.DATA / "flowers-192").is_dir():
        runs.flowers()
        corpus.main()
        example_gen.main()
        trainer_input.main()
        input_sizes.main()
        fine_tuning.main()
        data_review.main()
        ingest_photos.main()
        serving.main()
        serving_skew.main()
        edge.main()
        bulk.main()
    else:
        print(f"skipped the benchmarks of the flowers: {measure.DATA} has no folder flowers-192 (set FLOWERS_DATA)")
