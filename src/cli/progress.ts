/**
 * How far an execution is, for people: a live display on a terminal, plain lines with times elsewhere. Both are
 * listeners of `executePlan`; neither changes what runs.
 */
import { createLogUpdate } from "log-update";
import type { Listener, Outcome, Plan, PlanNode, Progress } from "../experiment/index.js";

/** "1 h 05 min", "3 min 20 s", "12 s" */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s >= 3600)
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s` : `${s} s`;
}

const BAR = 24;

function bar(share: number, width = BAR): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

const percent = (share: number) => `${Math.floor(100 * share)} %`;
const signed = (x: number) => x.toFixed(1).replace("-", "−");

/** Work done and left, measured in environment steps. */
class Account {
  total = 0;
  before = 0;
  nodes = 0;
  ended = 0;
  #done = 0;
  readonly #running = new Map<string, { readonly node: PlanNode; progress: Progress | null }>();
  readonly #started = performance.now();

  begin(plan: Plan, done: ReadonlySet<string>): void {
    this.nodes = plan.nodes.length;
    this.total = plan.nodes.reduce((sum, n) => sum + n.work, 0);
    const finished = plan.nodes.filter((n) => done.has(n.key));
    this.before = finished.reduce((sum, n) => sum + n.work, 0);
    this.ended = finished.length;
  }

  start(node: PlanNode): void {
    this.#running.set(node.key, { node, progress: null });
  }

  progress(node: PlanNode, progress: Progress): void {
    const entry = this.#running.get(node.key);
    if (entry !== undefined) entry.progress = progress;
  }

  end(node: PlanNode, outcome: Outcome | "failed"): void {
    this.#running.delete(node.key);
    if (outcome !== "done") return;
    this.#done += node.work;
    this.ended++;
  }

  get running(): readonly { readonly node: PlanNode; readonly progress: Progress | null }[] {
    return [...this.#running.values()];
  }

  get #now(): number {
    return this.running.reduce(
      (sum, { node, progress }) => sum + node.work * (progress?.done ?? 0),
      this.#done,
    );
  }

  get share(): number {
    return this.total === 0 ? 1 : (this.before + this.#now) / this.total;
  }

  get elapsed(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** Seconds, from the pace so far; null until there is one. */
  get left(): number | null {
    const rate = this.#now / this.elapsed;
    if (this.elapsed < 2 || rate <= 0) return null;
    return (this.total - this.before - this.#now) / rate;
  }
}

/** A listener and what ends its output. */
export interface ProgressView extends Listener {
  finish(): void;
}

const REFRESH_MS = 120;

function withAccount(
  account: Account,
  show: { update(): void; line(text: string): void; finish(): void },
): ProgressView {
  return {
    onStart(plan, done) {
      account.begin(plan, done);
      const rest = plan.nodes.length - done.size;
      show.line(
        done.size === 0
          ? `${plan.experiment.name}: ${rest} runs and evaluations`
          : `${plan.experiment.name}: ${rest} of ${plan.nodes.length} runs and evaluations to do, ${done.size} are there already`,
      );
    },
    onNodeStart(node) {
      account.start(node);
      show.update();
    },
    onProgress(node, progress) {
      account.progress(node, progress);
      show.update();
    },
    onNodeEnd(node, outcome) {
      account.end(node, outcome);
      if (outcome === "failed") show.line(`failed: ${node.label}`);
      show.update();
    },
    onNote: (text) => show.line(text),
    finish: () => show.finish(),
  };
}

/** Several lines that stay in place: what runs, its return, all of it, the time left. */
export function liveProgress(stream: NodeJS.WriteStream): ProgressView {
  const account = new Account();
  const log = createLogUpdate(stream, { showCursor: true });
  let shownAt = Number.NEGATIVE_INFINITY;
  const draw = () => {
    const width = stream.columns ?? 80;
    const lines = account.running.map(({ node, progress }) => {
      const done = progress?.done ?? 0;
      const now = progress?.currentReturn ?? null;
      const numbers =
        node.kind === "cell"
          ? "evaluating"
          : `${percent(done).padStart(5)}${now === null ? "" : `  return ${signed(now)}`}`;
      return `  ${bar(node.kind === "cell" ? 0 : done, 12)} ${node.label}  ${numbers}`.slice(0, width - 1);
    });
    const { left } = account;
    const time = left === null ? "" : `, about ${formatDuration(left)} left`;
    lines.push(
      `${bar(account.share)} ${percent(account.share)}  ${account.ended} of ${account.nodes}, ${formatDuration(account.elapsed)}${time}`.slice(
        0,
        width - 1,
      ),
    );
    log(lines.join("\n"));
  };
  // Time goes on even when nothing is reported.
  const timer = setInterval(draw, 1000);
  return withAccount(account, {
    update() {
      if (performance.now() - shownAt < REFRESH_MS) return;
      shownAt = performance.now();
      draw();
    },
    line(text) {
      log.clear();
      stream.write(`${text}\n`);
      draw();
    },
    finish() {
      clearInterval(timer);
      log.clear();
      log.done();
    },
  });
}

/** One line per event of interest, and one every so often. */
export function plainProgress(write: (line: string) => void, everySeconds = 10): ProgressView {
  const account = new Account();
  const stamp = () => {
    const s = Math.floor(account.elapsed);
    return `[${String(Math.floor(s / 60)).padStart(2, "0")}:${String(s % 60).padStart(2, "0")}]`;
  };
  const summary = () => {
    const { left } = account;
    return `${percent(account.share)}, ${account.ended} of ${account.nodes} done${left === null ? "" : `, about ${formatDuration(left)} left`}`;
  };
  let said = performance.now();
  const view = withAccount(account, {
    update() {
      if (performance.now() - said < everySeconds * 1000) return;
      said = performance.now();
      const running = account.running.map(({ node, progress }) => {
        const now = progress?.currentReturn ?? null;
        return `${node.label}: ${percent(progress?.done ?? 0)}${now === null ? "" : `, return ${signed(now)}`}`;
      });
      write(`${stamp()} ${summary()} | ${running.join(" | ")}`);
    },
    line: (text) => write(`${stamp()} ${text}`),
    finish() {},
  });
  return {
    ...view,
    onNodeEnd(node, outcome) {
      view.onNodeEnd?.(node, outcome);
      if (outcome === "done" && (node.kind === "team" || node.kind === "adversary"))
        write(`${stamp()} finished: ${node.label}. ${summary()}`);
    },
  };
}
