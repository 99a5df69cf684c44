"""The command `tunesmith`: arguments in, calls to the same functions that scripts use, text out.

Exit codes: 0 done; 1 the run it started failed; 2 it could not do what was asked; 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import ConfigError, ExperimentNotFound, TuneError
from .layout import JOURNAL

if TYPE_CHECKING:
    from .analysis.results import Results

STORAGE = "results"


class Refusal(click.ClickException):
    """What a person did wrong, in one line."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print it."""
        from .text import printable

        click.echo(f"tunesmith: {printable(self.format_message())}", err=True)


class Commands(click.Group):
    """The commands; an error that Tunesmith raises on purpose becomes one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except TuneError as error:
            raise Refusal(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people meet them."""
        return list(self.commands)


storage = click.option(
    "--storage-path", "-s", default=STORAGE, show_default=True, metavar="DIR", help="The folder of all experiments."
)
experiment = click.argument("experiment")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tunesmith", prog_name="tunesmith")
def main() -> None:
    """Tune hyperparameters: run many trials, stop the bad ones early, read what was found.

    EXPERIMENT is a name under --storage-path (default: ./results), the path of an experiment's folder, or its URL.

    \b
    A first experiment, from a function `train(config)` in train.py:
      tunesmith run train.py:train --space '{"lr": {"loguniform": [1e-4, 0.1]}}' \\
          --metric accuracy --mode max --num-samples 20 --scheduler asha --name digits
      tunesmith show digits            who is ahead, who failed, and why
      tunesmith show digits 7          the whole story of trial 7
      tunesmith best digits --json     the best config, for a script
      tunesmith stop digits            finish early; what was found is kept
      tunesmith resume digits          go on where it stopped
    """


@main.command(short_help="Run an experiment file, or a function.")
@click.argument("target")
@click.option("--space", help='What to try, as JSON: \'{"lr": {"uniform": [0, 1]}}\', a JSON file, or module:name.')
@click.option("--name", help="The experiment's name and folder. Default: the function's name and the time.")
@click.option("--metric", "-m", help="The reported metric to optimise.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether lower or higher is better.")
@click.option("--num-samples", "-n", type=int, help="How many trials (times the grid); -1 goes on until stopped.")
@click.option("--scheduler", help="Stops bad trials early: fifo, asha or median.")
@click.option("--stop", multiple=True, metavar="METRIC=VALUE", help="Stop a trial that has reached this. Repeatable.")
@click.option("--resources", multiple=True, metavar="NAME=AMOUNT", help="What a trial needs, e.g. cpu=2. Repeatable.")
@click.option("--time-budget-s", type=float, metavar="SECONDS", help="For the whole experiment.")
@click.option("--executor", metavar="NAME", help="Where trials run: local, ray, dask, or slurm:jobs=8,cpus_per_job=4.")
@click.option("--address", help="Of the cluster, with --executor ray or dask: auto, or HOST:PORT.")
@click.option("--max-concurrent-trials", type=int, metavar="N", help="At most so many at once.")
@click.option("--max-failures", type=int, metavar="N", help="Retries of a failed trial; -1 without end.")
@click.option("--seed", type=int, help="The same seed gives the same configs.")
@click.option("--reuse-workers", is_flag=True, default=None, help="No new process for each trial; for tiny ones.")
@click.option("--resume", is_flag=True, help="Go on with the experiment if it exists.")
@click.option("--quiet", "-q", is_flag=True, help="No display.")
@storage
def run(target: str, space: str | None, resume: bool, quiet: bool, storage_path: str, **options: Any) -> None:
    """Run an experiment: FILE.json or FILE.yaml, or a function as module:name or file.py:name.

    \b
    Examples:
      tunesmith run experiment.json
      tunesmith run train.py:train --space space.json -m accuracy --mode max -n 50 --scheduler asha
      tunesmith run my.package:train -m loss --mode min --stop loss=0.01 --resources gpu=1
      tunesmith run experiment.json --executor ray --address auto
    \b
    An experiment file says the same as tune.run_experiments:
      {"digits": {"run": "train:train", "stop": {"mean_accuracy": 0.95}, "num_samples": 5,
                  "config": {"lr": {"loguniform": [0.001, 0.1]}, "momentum": {"grid_search": [0.2, 0.4]}}}}
    """
    from .command_run import run_target

    given = {key: value for key, value in options.items() if value not in (None, ())}
    given |= {"storage_path": storage_path, "resume": "auto" if resume else False, "verbose": 0 if quiet else 1}
    sys.exit(run_target(target, space, given))


@main.command("ls", short_help="List the experiments in a folder.")
@click.argument("directory", default=STORAGE)
def list_experiments(directory: str) -> None:
    """List the experiments in a folder (default: ./results), newest first."""
    from .command_show import show_experiments

    show_experiments(Path(directory))


@main.command(short_help="How an experiment stands, or one trial's story.")
@experiment
@click.argument("trial", type=int, required=False)
@click.option("--limit", "-l", default=10, show_default=True, help="How many trials to list.")
@click.option("--status", "-t", help="List only trials with this status: running, failed, ...")
@click.option("--lineage", is_flag=True, help="Who became a clone of whom (population-based training).")
@storage
def show(experiment: str, trial: int | None, limit: int, status: str | None, lineage: bool, storage_path: str) -> None:
    """Show how an experiment stands, or the whole story of one TRIAL. Works while it runs.

    \b
    Examples:
      tunesmith show digits
      tunesmith show digits --status failed
      tunesmith show digits 7
      tunesmith show digits --lineage
    """
    from .command_show import show_experiment, show_lineage, show_trial

    results = found(experiment, storage_path)
    if lineage:
        show_lineage(results)
    elif trial is None:
        show_experiment(results, limit, status)
    else:
        show_trial(results, trial)


@main.command(short_help="Print the best config found so far.")
@experiment
@click.option("--json", "as_json", is_flag=True, help="Only the config, as one line of JSON.")
@click.option("--checkpoint", is_flag=True, help="Only the path of its checkpoint.")
@click.option("--metric", "-m", help="Rank by this metric instead of the experiment's.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether lower or higher is better.")
@storage
def best(
    experiment: str, as_json: bool, checkpoint: bool, metric: str | None, mode: str | None, storage_path: str
) -> None:
    """Print the best config found so far: with several objectives the trials on the front, with replicates the config
    with the best mean.

    \b
    Examples:
      tunesmith best digits
      python train.py --config "$(tunesmith best digits --json)"
      cp -r "$(tunesmith best digits --checkpoint)" model
    """
    from .command_best import print_best

    results = found(experiment, storage_path)
    print_best(results, as_json=as_json, checkpoint=checkpoint, metric=metric, mode=mode)


@main.command(short_help="Go on where an experiment stopped.")
@experiment
@storage
def resume(experiment: str, storage_path: str) -> None:
    """Go on with an experiment where it stopped, by the command that started it.

    To go on with another scheduler, stop rule or more samples, change them in your script and run it with
    resume="auto" instead.
    """
    from .api import resume as resume_experiment
    from .command_run import exit_code

    results = found(experiment, storage_path)
    resume_experiment(results.folder)
    sys.exit(exit_code(results))


@main.command(short_help="Stop a running experiment, or one trial.")
@experiment
@click.argument("trial", type=int, required=False)
@click.option("--now", is_flag=True, help="Kill at once instead of letting trials end at their next report.")
@storage
def stop(experiment: str, trial: int | None, now: bool, storage_path: str) -> None:
    """Stop a running experiment, or one TRIAL of it. Nothing is lost; `tunesmith resume` goes on."""
    from .command_show import ask_to_stop

    ask_to_stop(found(experiment, storage_path), trial, now)


@main.command(short_help="Write trials or results as CSV, JSON, Parquet.")
@experiment
@click.option("--csv", "csv_path", metavar="PATH", help="Write CSV; - is the standard output.")
@click.option("--json", "json_path", metavar="PATH", help="Write a JSON array of objects; - is the standard output.")
@click.option("--parquet", "parquet_path", metavar="PATH", help="Write Parquet (needs pandas and pyarrow).")
@click.option("--history", is_flag=True, help="One row per result instead of one per trial.")
@storage
def export(
    experiment: str,
    csv_path: str | None,
    json_path: str | None,
    parquet_path: str | None,
    history: bool,
    storage_path: str,
) -> None:
    """Write an experiment's trials, or with --history all results, for other programs.

    \b
    Examples:
      tunesmith export digits --csv trials.csv
      tunesmith export digits --history --parquet curves.parquet
      tunesmith export digits --json - | jq '.[0]'
    """
    from .command_export import export_table

    wanted = {"csv": csv_path, "json": json_path, "parquet": parquet_path}
    chosen = {kind: path for kind, path in wanted.items() if path is not None}
    if not chosen:
        raise ConfigError("export as what? Give --csv PATH, --json PATH or --parquet PATH.")
    results = found(experiment, storage_path)
    for kind, path in chosen.items():
        count = export_table(results, kind, path, history=history)
        if path != "-":
            click.echo(f"{count} rows in {path}", err=True)


@main.command(short_help="What other schedulers would have cost and found.")
@experiment
@click.option(
    "--scheduler", "schedulers", multiple=True, metavar="NAME", help="Which to compare; see above. Repeatable."
)
@click.option("--metric", "-m", help="Rank by this metric instead of the experiment's.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether lower or higher is better.")
@click.option("--workers", type=int, metavar="N", help="Trials at once. Default: as many as when it was recorded.")
@click.option("--seeds", default=20, show_default=True, metavar="N", help="How many random orders of the trials.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one line of JSON.")
@storage
def compare(experiment: str, schedulers: tuple[str, ...], as_json: bool, storage_path: str, **options: Any) -> None:
    """Compare schedulers on the runs that an experiment has recorded: what would each have cost and found?

    Nothing is run: each scheduler is simulated on the recorded curves. EXPERIMENT may also be a file with a table of
    learning curves. A scheduler is a name, or a name with settings; the default is asha and median.

    \b
    Examples:
      tunesmith compare digits --scheduler asha --scheduler median
      tunesmith compare digits --scheduler "asha(grace_period=3, reduction_factor=3)" --workers 8
      tunesmith compare curves.npz --metric loss --mode min --json
    """
    from .command_compare import compare_schedulers

    is_file = Path(experiment).is_file()
    source = experiment if is_file else folder_of(experiment, storage_path)
    compare_schedulers(source, schedulers, as_json=as_json, **options)


@main.command(short_help="Check the journal; rebuild damaged files.")
@experiment
@storage
def repair(experiment: str, storage_path: str) -> None:
    """Check an experiment's journal, keep what is intact of a damaged one, and write the trials' files anew.

    A damaged journal is kept beside the new one.
    """
    from .command_export import repair_experiment

    click.echo(repair_experiment(folder_of(experiment, storage_path)))


def found(name: str, storage_path: str) -> Results:
    """Return the results of the experiment that a person means.

    Raises:
        ExperimentNotFound: There is none; the message says which there are.
    """
    from .analysis.results import Results

    return Results(folder_of(name, storage_path))


def folder_of(name: str, storage_path: str) -> Path:
    """Return the folder of the experiment that a person means: a path, or a name in the folder of all experiments.

    Raises:
        ExperimentNotFound: There is none; the message says which there are.
    """
    from .remote import scheme

    if scheme(name):
        from .places import found as found_at

        return found_at(name)
    storage = Path(storage_path).expanduser()
    for folder in (storage / name, Path(name).expanduser()):
        if (folder / JOURNAL).exists() or (folder / f"{JOURNAL}-wal").exists():
            return folder
    import difflib

    there = sorted(path.parent.name for path in storage.glob(f"*/{JOURNAL}"))
    near = difflib.get_close_matches(name, there, n=1)
    if near:
        hint = f"Did you mean {near[0]}?"
    elif there:
        hint = f"There are: {', '.join(there[:10])}{', ...' if len(there) > 10 else ''}."
    else:
        hint = "There are none there. Give the folder of all experiments by --storage-path."
    raise ExperimentNotFound(f"there is no experiment {name!r} in {storage}. {hint}")


if __name__ == "__main__":
    main()
