"""What trials see of the local executor, and what it says about them. Each test runs on every way to make workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.commands import Halt, Kill, Proceed
from tunesmith.core.events import AttemptEnded, AttemptStarted, Reported
from tunesmith.errors import ConfigError

ONE_RESULT = float("-inf")
WAYS = {
    "fork": {"start_method": "fork"},
    "exec": {"start_method": "exec"},
    "fork-reuse": {"start_method": "fork", "reuse_workers": True},
    "exec-reuse": {"start_method": "exec", "reuse_workers": True},
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture(params=["fork", "exec"])
def fresh(request):
    return {"start_method": request.param}


def counts(config):
    from tunesmith.worker.session import report

    for step in range(config.get("steps", 3)):
        report({"step": step})


def test_an_attempt_starts_reports_in_order_and_ends_once(drive, way):
    driver = drive(counts, **way)

    driver.start(0, steps=3)
    driver.start(1, steps=3)
    driver.ended(2)

    for trial in (0, 1):
        story = [event for event in driver.events if event.trial == trial]
        assert [type(event) for event in story] == [AttemptStarted, Reported, Reported, Reported, AttemptEnded]
        assert [event.metrics for event in story[1:4]] == [{"step": 0}, {"step": 1}, {"step": 2}]
        assert [event.number for event in story[1:4]] == [1, 2, 3]
        assert story[4].outcome == "done"
        assert story[4].failure is None
    assert driver.executor.method == way["start_method"]


def test_twenty_thousand_streamed_results_arrive_complete_and_in_order(drive):
    driver = drive(counts)

    driver.end_of(0, steps=20_000)

    assert [result.metrics["step"] for result in driver.results()] == list(range(20_000))


def test_a_slow_reader_makes_the_worker_wait_and_loses_nothing(drive):
    def floods(config):
        from tunesmith.worker.session import report

        for step in range(3_000):
            report({"step": step, "padding": "x" * 10_000})

    driver = drive(floods)
    driver.start(0)
    pid, agent = driver.pid(), driver.executor._agent.pid
    # Nobody reads: the worker blocks in `send` once the agent's queue and the sockets' buffers are full.
    deadline = time.monotonic() + 30
    while not is_asleep(pid):
        assert time.monotonic() < deadline
    # 30 MB are to come; the agent (about 25 MB without them) holds few of them.
    pages = int(Path(f"/proc/{agent}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 40e6

    driver.ended()

    assert [result.metrics["step"] for result in driver.results()] == list(range(3_000))


def is_asleep(pid):
    """Whether a process sleeps at fifty looks in a row (a kernel may hide what it waits for)."""
    for _ in range(50):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            return False
        time.sleep(0.01)
    return True


def test_a_report_at_the_end_of_the_lease_waits_for_the_verdict(drive, way):
    driver = drive(counts, **way)
    driver.start(0, until=2, steps=5)

    driver.until(lambda: len(driver.results()) == 2)
    assert [result.waits for result in driver.results()] == [False, True]
    driver.executor.proceed(Proceed(0, 1, 4))
    driver.until(lambda: len(driver.results()) == 4)
    assert driver.results()[-1].waits
    driver.executor.halt(Halt(0, 1))

    assert driver.ended()[0].outcome == "halted"
    assert len(driver.results()) == 4


def test_a_halt_reaches_a_trial_that_does_not_wait(drive, way):
    def endless(config):
        import time

        from tunesmith.worker.session import report

        while True:
            report({"a": 1})
            time.sleep(0.001)

    driver = drive(endless, **way)
    driver.start(0)
    driver.until(lambda: driver.results())
    driver.executor.halt(Halt(0, 1))

    assert driver.ended()[0].outcome == "halted"


def test_a_halt_before_the_worker_is_there_is_not_forgotten(drive, way):
    driver = drive(counts, **way)
    driver.start(0, until=ONE_RESULT)
    driver.executor.halt(Halt(0, 1))

    assert driver.ended()[0].outcome == "halted"


def test_commands_for_attempts_that_have_ended_do_nothing(drive, way):
    driver = drive(counts, **way)
    driver.end_of(0)
    for command in (Proceed(0, 1, 9), Halt(0, 1), Kill(0, 1), Kill(0, 1, 0.1)):
        {Proceed: driver.executor.proceed, Halt: driver.executor.halt, Kill: driver.executor.kill}[type(command)](
            command
        )

    assert driver.end_of(1).outcome == "done"
    assert len(driver.ends()) == 2


def test_an_exception_is_the_trials_failure_with_the_users_frame(drive, way):
    def fails(config):
        raise ValueError("lr must be positive")

    end = drive(fails, **way).end_of(0)

    assert end.outcome == "failed"
    assert end.failure.kind == "exception"
    assert end.failure.message == "ValueError: lr must be positive"
    assert "test_local.py" in end.failure.where
    assert 'raise ValueError("lr must be positive")' in end.failure.traceback


def test_an_exit_without_an_end_says_its_code(drive, way):
    def leaves(config):
        import os

        from tunesmith.worker.session import report

        report({"a": 1})
        os._exit(config["code"])

    driver = drive(leaves, **way)

    for trial, code in enumerate((3, 0)):
        end = driver.end_of(trial, code=code)
        assert (end.outcome, end.failure.kind) == ("failed", "exit")
        assert f"code {code}" in end.failure.message
        assert len(driver.results(trial)) == 1
    assert driver.end_of(2, code=3).outcome == "failed"


def test_a_crash_says_its_signal_and_leaves_a_trace_in_stderr(drive, way):
    def crashes(config):
        import ctypes

        ctypes.string_at(8)

    driver = drive(crashes, **way)
    end = driver.end_of(0)

    assert (end.outcome, end.failure.kind, end.failure.message) == ("failed", "signal", "killed by SIGSEGV")
    assert "Segmentation fault" in driver.output(0, "stderr")
    assert "in crashes" in driver.output(0, "stderr")


def test_a_worker_killed_from_outside_is_lost(drive, way):
    def sleeps(config):
        import time

        time.sleep(600)

    driver = drive(sleeps, **way)
    driver.start(0)
    os.kill(driver.pid(), signal.SIGKILL)

    end = driver.ended()[0]
    assert (end.outcome, end.failure.kind, end.failure.message) == ("lost", "signal", "killed by SIGKILL")


def test_a_sigterm_that_nobody_here_sent_is_a_loss_and_not_an_order(drive, way):
    def waits(config):
        import time

        from tunesmith.worker.session import report

        report({"a": 1})
        while True:  # a signal that comes just before a sleep is heard only after it
            time.sleep(0.01)

    driver = drive(waits, **way)
    driver.start(0)
    driver.until(lambda: driver.results())
    os.kill(driver.pid(), signal.SIGTERM)

    end = driver.ended()[0]
    assert (end.outcome, end.failure.kind) == ("lost", "signal")


def test_memory_that_cannot_be_had_is_a_plain_exception(drive, fresh):
    def grows(config):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
        bytearray(1 << 32)

    end = drive(grows, **fresh).end_of(0)

    assert end.outcome == "failed"
    assert end.failure.message.startswith("MemoryError")


def test_sys_exit_zero_is_done(drive, way):
    def exits(config):
        import sys

        sys.exit(0)

    assert drive(exits, **way).end_of(0).outcome == "done"


def test_a_trainable_that_cannot_be_rebuilt_is_a_clear_failure_of_its_trial(drive, way):
    class Stubborn:
        def __reduce__(self):
            return (eval, ("1 / 0",))

        def __call__(self, config):
            pass

    end = drive(Stubborn(), **way).end_of(0)

    assert (end.outcome, end.failure.kind) == ("failed", "exception")
    assert "the trainable cannot be rebuilt in the worker: ZeroDivisionError" in end.failure.message


def test_a_trainable_that_cannot_be_pickled_is_an_error_at_the_door(drive):
    lock = threading.Lock()

    def holds_a_lock(config):
        return lock

    with pytest.raises(ConfigError, match=r"cannot be sent to a worker process: TypeError: cannot pickle.*lock"):
        drive(holds_a_lock)


def test_a_config_that_does_not_fit_the_wire_fails_its_trial_alone(drive):
    driver = drive(counts)

    end = driver.end_of(0, steps=1, seed=1 << 80)

    assert (end.outcome, end.failure.kind) == ("failed", "exception")
    assert "config cannot be sent" in end.failure.message
    assert driver.end_of(1).outcome == "done"


def test_what_is_printed_lies_in_the_trials_folder_that_of_c_code_included(drive, way):
    def prints(config):
        import ctypes
        import os
        import sys

        print("from python", config["word"])
        ctypes.CDLL(None).printf(b"from C %s\n", config["word"].encode())
        os.system(f"echo from a child {config['word']}")
        print("an error", config["word"], file=sys.stderr)
        sys.stdout.write("no newline")

    driver = drive(prints, **way)
    for trial, word in enumerate(("one", "two", "three")):
        driver.end_of(trial, word=word)

    for trial, word in enumerate(("one", "two", "three")):
        lines = driver.output(trial)
        assert sorted(lines.replace("no newline", "").splitlines()) == sorted(
            [f"from python {word}", f"from C {word}", f"from a child {word}"]
        )
        assert "no newline" in lines
        assert driver.output(trial, "stderr") == f"an error {word}\n"


def test_a_second_attempt_appends_to_its_trials_output(drive):
    def prints(config):
        print(config["word"])

    driver = drive(prints)
    driver.end_of(0, word="first")
    driver.end_of(0, attempt=2, word="second")

    assert driver.output(0) == "first\nsecond\n"


def test_a_trial_that_writes_nothing_has_no_folder(drive, way):
    driver = drive(counts, **way)
    driver.end_of(0)

    assert not (driver.folder / "trials").exists()


def test_what_a_running_trial_prints_can_be_read_before_it_ends(drive, way):
    def prints_and_waits(config):
        from tunesmith.worker.session import report

        print("so far so good")
        report({"a": 1})

    driver = drive(prints_and_waits, **way)
    driver.start(0, until=ONE_RESULT)
    file = driver.folder / "trials/00000/stdout"
    deadline = time.monotonic() + 30
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert driver.output(0) == "so far so good\n"
    driver.executor.halt(Halt(0, 1))
    driver.ended()
    assert driver.output(0) == "so far so good\n"


@pytest.mark.parametrize("by", ["itself", "close"])
def test_the_last_words_of_a_killed_trial_are_kept(drive, way, by):
    def dies(config):
        import os
        import signal
        import time

        from tunesmith.worker.session import report

        os.write(2, b"half a line")
        report({"a": 1})
        if config["by"] == "itself":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

    driver = drive(dies, **way)
    driver.start(0, by=by)
    driver.until(lambda: driver.results())
    if by == "itself":
        driver.ended()
    else:
        driver.executor.close()

    assert driver.output(0, "stderr") == "half a line"


def test_output_that_a_trial_has_turned_elsewhere_is_turned_back_for_the_next_one(drive, way):
    def turns_away(config):
        import os

        print("seen", config["word"])
        descriptor = os.open("/dev/null", os.O_WRONLY)
        os.dup2(descriptor, 1)
        print("unseen", config["word"])

    driver = drive(turns_away, **way)
    for trial, word in enumerate(("one", "two")):
        driver.end_of(trial, word=word)

    assert [driver.output(trial) for trial in (0, 1)] == ["seen one\n", "seen two\n"]


def test_random_numbers_differ_between_trials_and_repeat_for_the_same_attempt(drive, way):
    def draws(config):
        import random

        import numpy

        from tunesmith.worker.session import report

        report({"random": random.random(), "numpy": numpy.random.random()})

    first, second = drive(draws, seed=5, **way), drive(draws, seed=5, **way)
    keys = [(0, 1), (1, 1), (0, 2)]
    for driver in (first, second):
        for trial, attempt in keys:
            driver.end_of(trial, attempt=attempt)

    drawn = [first.metrics(*key) for key in keys]
    assert drawn == [second.metrics(*key) for key in keys]
    assert len({metrics["random"] for metrics in drawn}) == len({metrics["numpy"] for metrics in drawn}) == 3


def tells_threads(config):
    import os

    import numpy
    import threadpoolctl

    from tunesmith.worker.session import report

    numpy.ones((2, 2)) @ numpy.ones((2, 2))
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    report({"variable": os.environ["OMP_NUM_THREADS"], "pools": max(pools)})


def test_numerical_libraries_use_as_many_threads_as_the_trial_has_cpus(drive, way, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    driver = drive(tells_threads, **way)

    driver.end_of(0, cpu=1)
    driver.end_of(1, cpu=2)
    driver.end_of(2, cpu=0.5)

    assert driver.metrics(0) == {"variable": "1", "pools": 1}
    assert driver.metrics(1) == {"variable": "2", "pools": 2}
    assert driver.metrics(2) == {"variable": "1", "pools": 1}


def test_thread_counts_that_the_user_has_set_stay(drive, fresh, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    driver = drive(tells_threads, **fresh)

    driver.end_of(0, cpu=1)

    assert driver.metrics(0) == {"variable": "2", "pools": 2}


def test_each_trial_sees_its_own_gpus_and_one_without_sees_none(drive, way, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5a2f")

    def looks(config):
        import os

        from tunesmith.worker.session import report

        report({"visible": os.environ["CUDA_VISIBLE_DEVICES"]})

    driver = drive(looks, **way)
    assert driver.nodes[0].gpus == ("3", "GPU-5a2f")
    assert driver.nodes[0].resources["gpu"] == 2

    driver.end_of(0, gpus=("3",))
    driver.end_of(1, gpus=("GPU-5a2f", "3"))
    driver.end_of(2)
    driver.end_of(3, gpus=("3",))

    assert [driver.metrics(trial)["visible"] for trial in range(4)] == ["3", "GPU-5a2f,3", "", "3"]


def test_a_machine_offers_what_the_caller_says(drive):
    driver = drive(counts, cpus=64, resources={"license": 2})

    assert driver.nodes[0].resources == {"cpu": 64, "license": 2}


def test_lambdas_closures_and_objects_travel(drive, way):
    base = 40

    end = drive(lambda config: {"answer": base + config["two"]}, **way)
    end.end_of(0, two=2)

    assert end.metrics() == {"answer": 42}


def test_large_data_is_sent_once_and_can_be_written_to(drive, way):
    captured = np.arange(2_000_000, dtype=np.float64)

    def uses(config, data):
        from tunesmith.worker.session import report

        data[0] += 1
        captured[0] += 1
        report({"aligned": captured.flags.aligned and data.flags.aligned, "sum": float(captured[-1] + data[-1])})
        report({"first": float(captured[0])})

    driver = drive(uses, parameters={"data": np.ones(3_000_000)}, **way)
    sent = sum(len(part) for part in (driver.executor._payload[0].trainable, driver.executor._payload[0].parameters))
    assert sent < 100_000  # The arrays travel beside their pickles, uncopied.
    for trial in range(3):
        assert driver.end_of(trial).outcome == "done"

    for trial in range(3):
        assert driver.results(trial)[0].metrics == {"aligned": True, "sum": 2_000_000.0}
    if not way.get("reuse_workers"):
        # What one trial writes, no other one sees.
        assert [driver.metrics(trial)["first"] for trial in range(3)] == [1.0, 1.0, 1.0]


def test_an_object_in_a_config_comes_as_itself(drive, way):
    def takes(config):
        return {"kind": type(config["array"]).__name__, "sum": float(config["array"].sum())}

    driver = drive(takes, objects={"7": np.ones(4)}, **way)
    driver.end_of(0, array={"$object": "7"})

    assert driver.metrics() == {"kind": "ndarray", "sum": 4.0}


def test_a_fresh_worker_knows_nothing_of_the_last_trial(drive, fresh):
    def leaves_traces(config):
        import os
        import random

        from tunesmith.worker.session import report

        report({"pid": os.getpid(), "trace": os.environ.get("TRACE", ""), "module": hasattr(random, "trace")})
        os.environ["TRACE"] = "left"
        random.trace = True
        os.chdir("/")

    driver = drive(leaves_traces, **fresh)
    driver.end_of(0)
    driver.end_of(1)

    one, two = driver.metrics(0), driver.metrics(1)
    assert one["pid"] != two["pid"]
    assert (two["trace"], two["module"]) == ("", False)


@pytest.mark.parametrize("start_method", ["fork", "exec"])
def test_a_reused_worker_gets_its_environment_back_and_goes_when_it_cannot(drive, start_method):
    def leaves_traces(config):
        import os
        import subprocess
        import sys
        import threading
        from pathlib import Path

        from tunesmith.worker.session import report

        report({"pid": os.getpid(), "trace": os.environ.get("TRACE", ""), "folder": str(Path.cwd())})
        os.environ["TRACE"] = "left"
        sys.stdout = None
        match config["leaves"]:
            case "folder":
                os.chdir("/")
            case "thread":
                threading.Thread(target=threading.Event().wait, args=(0.05,)).start()
            case "child":
                subprocess.Popen(["sleep", "600"])

    driver = drive(leaves_traces, start_method=start_method, reuse_workers=True)
    for trial, leaves in enumerate(("nothing", "nothing", "folder", "thread", "child", "nothing")):
        assert driver.end_of(trial, leaves=leaves).outcome == "done"

    seen = [driver.metrics(trial) for trial in range(6)]
    assert {metrics["trace"] for metrics in seen} == {""}
    assert len({metrics["folder"] for metrics in seen}) == 1
    pids = [metrics["pid"] for metrics in seen]
    assert pids[0] == pids[1] == pids[2]
    assert len(set(pids[2:])) == 4


def test_what_exit_functions_and_threads_of_user_code_do_is_done_before_the_end(drive, fresh):
    def finishes_later(config):
        import atexit
        import threading
        import time
        from pathlib import Path

        def late():
            time.sleep(0.05)
            Path(config["folder"], "thread").touch()

        threading.Thread(target=late).start()
        atexit.register(Path(config["folder"], "atexit").touch)

    driver = drive(finishes_later, **fresh)
    folder = driver.folder
    folder.mkdir()
    driver.end_of(0, folder=str(folder))

    assert (folder / "thread").exists()
    assert (folder / "atexit").exists()


def test_user_code_runs_in_the_main_thread_of_a_session_of_its_own(drive, way):
    def looks(config):
        import os
        import signal
        import threading
        from pathlib import Path

        from tunesmith.worker.session import report

        is_main = threading.current_thread() is threading.main_thread()
        ignores = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        score = Path("/proc/self/oom_score_adj").read_text()
        report({"main": is_main, "leads": os.getsid(0) == os.getpid(), "ignores": ignores, "score": score})

    driver = drive(looks, **way)
    driver.end_of(0)

    assert driver.metrics() == {"main": True, "leads": True, "ignores": True, "score": "800\n"}


def test_a_module_that_starts_threads_makes_workers_exec(drive, tmp_path, monkeypatch):
    (tmp_path / "threaded_module.py").write_text(
        "import threading\nevent = threading.Event()\nthreading.Thread(target=event.wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import threaded_module

    def needs(config):
        return {"alive": threaded_module.threading.active_count()}

    driver = drive(needs)
    assert driver.end_of(0).outcome == "done"

    assert driver.executor.method == "exec"
    assert driver.metrics() == {"alive": 2}
    threaded_module.event.set()


def test_preloaded_modules_are_there_before_the_fork(drive):
    def looks(config):
        import sys
        from pathlib import Path

        loaded = "numpy" in sys.modules

        import numpy

        from tunesmith.worker.session import report

        threads = len(list(Path("/proc/self/task").iterdir()))
        report({"loaded": loaded, "threads": threads, "one": int(numpy.ones(1)[0])})

    driver = drive(looks)
    driver.end_of(0)

    assert driver.metrics() == {"loaded": True, "threads": 1, "one": 1}


def test_wake_ends_a_wait_from_another_thread_and_from_a_signal_handler(drive):
    executor = drive(counts).executor
    timer = threading.Timer(0.05, executor.wake)
    timer.start()
    assert executor.wait(None) == []
    timer.join()

    before = signal.signal(signal.SIGALRM, lambda number, at: executor.wake())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert executor.wait(None) == []
    finally:
        signal.signal(signal.SIGALRM, before)


def test_wait_returns_nothing_at_its_time(drive):
    executor = drive(counts).executor

    assert executor.wait(executor.now()) == []
    assert executor.wait(executor.now() + 0.02) == []


def test_experiment_time_goes_on_from_where_it_was(tmp_path):
    from tunesmith.executors.base import Job
    from tunesmith.executors.local import LocalExecutor

    executor = LocalExecutor()
    executor.open(Job(trainable=counts, experiment="e", folder=tmp_path), at=100.0, deliver=lambda events: None)
    try:
        assert 100.0 <= executor.now() < 130.0
    finally:
        executor.close()
        executor.close()  # The second time does nothing.


SCRIPT = """
import sys
from pathlib import Path
from tunesmith.core.commands import Start
from tunesmith.core.events import AttemptEnded, Placement, Reported
from tunesmith.executors.base import Job
from tunesmith.executors.local import LocalExecutor

BASE = 40

class Model:
    def __init__(self, value):
        self.value = value

def train(config):
    return {"answer": Model(BASE + config["two"]).value, "arguments": sys.argv[1:]}

executor = LocalExecutor(start_method=sys.argv[1])
executor.open(Job(trainable=train, experiment="e", folder=Path(sys.argv[2])), at=0.0, deliver=print)
executor.start(Start(0, 1, {"two": 2}, Placement("here", {"cpu": 1}), float("inf")))
events = []
while not events or not isinstance(events[-1], AttemptEnded):
    events += executor.wait(None)
executor.close()
print(events[-1].outcome, events[-1].failure, [e.metrics for e in events if isinstance(e, Reported)])
"""


@pytest.mark.parametrize("start_method", ["fork", "exec"])
@pytest.mark.parametrize("source", ["stdin", "command", "file"])
def test_a_script_needs_no_guard_and_no_file(tmp_path, source, start_method):
    arguments = [start_method, str(tmp_path)]
    match source:
        case "stdin":
            command, text = [sys.executable, "-", *arguments], SCRIPT
        case "command":
            command, text = [sys.executable, "-c", SCRIPT, *arguments], None
        case _:
            (tmp_path / "script.py").write_text(SCRIPT)
            command, text = [sys.executable, str(tmp_path / "script.py"), *arguments], None

    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)

    assert done.stdout == f"done None [{{'answer': 42, 'arguments': {arguments!r}}}]\n", done.stderr


def test_an_agent_never_opens_what_users_pickle(drive, tmp_path):
    class Trap:
        def __reduce__(self):
            return (record_opening, (str(tmp_path / "openers"),))

    driver = drive(counts, objects={"1": Trap()})
    driver.end_of(0)

    assert str(driver.executor._agent.pid) not in (tmp_path / "openers").read_text().split()


def record_opening(path):
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")


def test_children_that_user_code_forks_end_by_sigterm_as_everywhere(drive, way):
    def forks(config):
        import multiprocessing
        import time

        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        child.start()
        child.terminate()
        child.join()
        return {"code": child.exitcode}

    driver = drive(forks, **way)
    driver.end_of(0)

    assert driver.metrics() == {"code": -signal.SIGTERM}
    assert driver.output(0, "stderr") == ""


def test_closing_works_while_a_child_of_the_driver_lives_on(drive, gone):
    driver = drive(counts)
    driver.end_of(0)
    agent = driver.executor._agent.pid
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        began = time.monotonic()
        driver.executor.close()
        assert time.monotonic() - began < 4.0
        gone([agent], within=0.0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_the_agents_way_to_keep_memory_is_not_passed_on_to_what_trials_start(drive, way, monkeypatch):
    def looks(config):
        import os

        from tunesmith.worker.session import report

        report({"tunables": os.environ.get("GLIBC_TUNABLES")})

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    driver = drive(looks, **way)
    driver.end_of(0)
    assert driver.metrics()["tunables"] is None

    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")
    driver = drive(looks, **way)
    driver.end_of(0)
    assert driver.metrics()["tunables"] == "glibc.malloc.arena_max=2"
