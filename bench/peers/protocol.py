"""What every peer script shares: one core, and the line protocol of README.md."""

import argparse
import json
import os
import sys
import time

_STARTED = time.time()
# Nothing that a library prints may mix with the answers: its standard output goes to standard error.
_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def one_thread():
    """Call before importing a numerical library."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
        os.environ[name] = "1"
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_CPU_ENABLE_ASYNC_DISPATCH"] = "0"  # on one core a second thread only costs
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"


def process_age():
    """Seconds since this process was started, the interpreter's own start included."""
    try:
        with open("/proc/self/stat") as f:
            ticks = int(f.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/uptime") as f:
            return float(f.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.time() - _STARTED


def options(*extra):
    parser = argparse.ArgumentParser()
    parser.add_argument("--once", action="store_true", help="measure each case once, print one line, end")
    parser.add_argument("--cases", help="comma-separated; with --once, the cases to measure")
    parser.add_argument("--budget", type=float, default=0.3, help="seconds that one measurement should take")
    for names, kwargs in extra:
        parser.add_argument(*names, **kwargs)
    return parser.parse_args()


class Clock:
    """Times a block: `with Clock() as clock: ...`, then `clock.times`."""

    def __enter__(self):
        self.start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start[0]
        self.times = {"seconds": self.seconds, "cpu_seconds": time.process_time() - self.start[1]}


class Repeated:
    """A case that is one short call, repeated until the time budget is used.

    `build()` returns (call, reset): `call` does the work once and waits for it,
    `reset` puts the state back to where it was at first. It may return numbers to
    check, too: a function that gives what all sides must come to. Without it, these
    are what the first three calls return.
    """

    def __init__(self, build, warmup=20):
        self.build, self.warmup, self.call = build, warmup, None

    def prepare(self):
        self.call, self.reset, *check = self.build()
        self.check = [float(x) for x in (check[0]() if check else (self.call() for _ in range(3)))]
        for _ in range(self.warmup):
            self.call()
        start = time.perf_counter()
        for _ in range(self.warmup):
            self.call()
        self.estimate = (time.perf_counter() - start) / self.warmup

    def measure(self, request, args):
        budget = request.get("budget", args.budget)
        calls = request.get("calls") or max(5, round(budget / self.estimate))
        self.reset()
        for _ in range(3):
            self.call()
        with Clock() as clock:
            for _ in range(calls):
                self.call()
        return {"calls": calls, **clock.times, "per_call_ms": 1e3 * clock.seconds / calls}


def serve(cases, args, about):
    """Answers one JSON line per request line; a case is prepared when first asked for."""
    ready = set()

    def answer(name, request):
        reply = {"case": name}
        if name not in ready:
            start = time.perf_counter()
            cases[name].prepare()
            ready.add(name)
            reply["prepare_seconds"] = time.perf_counter() - start
            if hasattr(cases[name], "check"):
                reply["check"] = cases[name].check
        reply.update(cases[name].measure(request, args))
        return reply

    def say(line):
        print(json.dumps(line), file=_ANSWERS, flush=True)

    if args.once:
        chosen = args.cases.split(",") if args.cases else list(cases)
        say({**about, "results": [answer(name, {}) for name in chosen]})
        return
    say({"ready": True, **about, "cases": list(cases), "process_seconds": process_age()})
    for line in sys.stdin:
        if not line.strip():
            continue
        request = json.loads(line)
        name = request.get("case")
        say(answer(name, request) if name in cases else {"case": name, "error": "unknown case"})
