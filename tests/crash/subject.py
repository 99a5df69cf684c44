"""The experiment that the crash tests break: a driver process of its own, started as a user would start a script.

    python subject.py {"name": ..., "trainable": "climb", ...}

What is not listed in `main` goes to `tune.run` as it is. Every step's score depends on all steps before it, so that a
checkpoint that is not exactly what was saved shows in the scores. With `truth` in the config each step that was really
computed is written down there, whatever becomes of its report.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import tunesmith as tune

HANG = 600.0


def next_score(score, config):
    """Return the score of the step after the one that had `score`."""
    text = f"{score!r} {config['x']!r}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32


def note(config, step):
    """Write down that this attempt computed a step."""
    if "truth" in config:
        context = tune.get_context()
        with open(config["truth"], "a") as file:  # noqa: PTH123
            file.write(f"{context.trial_id} {context.attempt} {step}\n")


def climb(config):
    """Report `steps` scores, each `every`-th one with a checkpoint."""
    step, score = 0, 0.0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        step, score = json.loads((checkpoint / "state.json").read_text())
    if config.get("grandchild"):
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    folder = tune.get_context().trial_folder / "state"
    folder.mkdir(exist_ok=True)
    while step < config["steps"]:
        step, score = step + 1, next_score(score, config)
        time.sleep(config["seconds"])
        suffer(config, step)
        note(config, step)
        saved = None
        if step % config["every"] == 0:
            (folder / "state.json").write_text(json.dumps([step, score]))
            (folder / "ballast").write_bytes(bytes(config.get("ballast", 0)))
            saved = folder
        tune.report({"score": score, "step": step}, checkpoint=saved)


class Climb(tune.Trainable):
    """The same as a class; how often it saves is `checkpoint_freq`."""

    def setup(self, config):
        self.number, self.score = 0, 0.0
        if config.get("grandchild"):
            subprocess.Popen(["sleep", "600"], start_new_session=True)

    def step(self):
        self.number, self.score = self.number + 1, next_score(self.score, self.config)
        time.sleep(self.config["seconds"])
        suffer(self.config, self.number)
        note(self.config, self.number)
        return {"score": self.score, "step": self.number, "done": self.number >= self.config["steps"]}

    def save_checkpoint(self, folder):
        return {"number": self.number, "score": self.score}

    def load_checkpoint(self, checkpoint):
        self.number, self.score = checkpoint["number"], checkpoint["score"]


def suffer(config, step):
    """Do to this process, or to those around it, what the config's `fault` says: once, in the trial's first attempt."""
    fault = config.get("fault")
    if fault is None or step != config["fault_at"] or (tune.get_context().attempt > 1 and not config.get("again")):
        return
    match fault:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill agent":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(HANG)
        case "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "memory":
            bytearray(2**62)
        case "raise":
            raise RuntimeError("too steep")
        case "hang":
            time.sleep(HANG)


def main(options):
    """Run the experiment that `options` describe."""
    config = options.pop("config")
    trainable = {"climb": climb, "Climb": Climb}[options.pop("trainable", "climb")]
    faults = options.pop("faults", None)
    space = {"x": tune.uniform(0, 1), "steps": 10, "every": 5, "seconds": 0.01, **config}
    if faults is not None:
        space["fault"] = tune.grid_search(faults)
    defaults = {"metric": "score", "mode": "max", "searcher": "random", "seed": 7, "cpus": 4, "resume": "auto"}
    return tune.run(trainable, space=space, **{**defaults, **options})


if __name__ == "__main__":
    results = main(json.loads(sys.argv[1]))
    print(f"ended: {results.finished.reason}", flush=True)
