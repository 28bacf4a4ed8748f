"""Runs the pipeline on this machine; see --help."""

import os
import sys

from errors import UserError
from pipeline import cli, settings
from pipeline.exit_codes import INTERRUPTED, NOT_STARTED


def main(argv: list[str] | None = None) -> int:
    """Runs the command of the flags and returns the exit code."""
    args = cli.parser("Trains, checks and pushes an image classifier on this machine.").parse_args(argv)
    try:
        if args.list_presets:
            print(cli.presets())
            return 0
        if args.devices:
            from pipeline.local import devices

            print(devices.table())
            return 0
        config = cli.config_from(args)
        if args.show_config:
            print(settings.to_yaml(config), end="")
            return 0
        from lineage.lock import lock_output
        from pipeline.local import bulk, find_rate, local_settings, minutes, output, run

        if args.bulk:
            config = local_settings.resolve_bulk(config)
            bulk.check_model(config)
            with lock_output(config.output):
                output.check_output(config)
                return run.run(config, args.verbose, part=bulk.PART).code
        if args.minutes:
            minutes.check(config)
        local_settings.check_single_process(os.environ.get("TF_CONFIG", ""))
        if args.find_learning_rate:
            find_rate.check(config)
        config = local_settings.resolve(config, in_batches=args.minutes is not None)
        with lock_output(config.output):
            output.check_output(config)
            if args.minutes:
                return minutes.run_within(config, args.minutes, args.verbose, args.open)
            part = find_rate.PART if args.find_learning_rate else None
            return run.run(config, args.verbose, args.open, part).code
    except UserError as error:
        print(f"local_runner.py: {error}", file=sys.stderr)
        return NOT_STARTED
    except KeyboardInterrupt:  # during a download; local.run handles later interrupts
        print("local_runner.py: interrupted; run the same command again to resume", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
