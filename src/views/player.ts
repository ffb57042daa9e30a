/**
 * The replay's transport: plays several films with one clock. Like stage.ts it travels into reports as source, so it
 * imports types only; what draws is handed in.
 */

import type { Film } from "../core/film.js";
import type { WorldBounds } from "./stage.js";

/** What draws a moment: the functions of stage.ts. */
export interface StageKit {
  readonly renderFrame: (film: Film, time: number, bounds: WorldBounds) => string;
  readonly renderStatus: (film: Film, index: number) => string;
  readonly renderReturns: (film: Film, time: number, range: readonly [number, number]) => string;
  readonly returnsSoFar: (film: Film) => number[];
  readonly returnRange: (films: readonly Film[]) => [number, number];
  readonly worldBounds: (films: readonly Film[]) => WorldBounds;
  readonly formatNumber: (value: number | null | undefined, decimals?: number) => string;
}

/** A mounted replay, for code that drives it. */
export interface ReplayPlayer {
  play(): void;
  pause(): void;
  /** Shows a step, fractional or whole. */
  seek(time: number): void;
  readonly time: number;
  /** Stops the clock and removes every listener. */
  destroy(): void;
}

/**
 * Brings the markup of `renderReplay` to life.
 *
 * @param root  the element with class "phx-replay"
 * @param films all films of the select boxes
 */
export function mountPlayer(root: HTMLElement, films: readonly Film[], kit: StageKit): ReplayPlayer {
  const stepMs = 420;
  const find = <T extends Element>(selector: string, from: Element = root) =>
    from.querySelector<T>(selector)!;
  const panels = [...root.querySelectorAll<HTMLElement>(".phx-panel")];
  const episodeBox = find<HTMLSelectElement>("[data-phx=episode]");
  const scrubber = find<HTMLInputElement>("[data-phx=scrub]");
  const speedBox = find<HTMLSelectElement>("[data-phx=speed]");
  const playButton = find<HTMLButtonElement>("[data-phx=play]");
  const clock = find<HTMLElement>("[data-phx=clock]");
  const stopListening = new AbortController();
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  let shown: (Film | undefined)[] = [];
  let last = 0;
  let time = 0;
  let playing = false;
  let request = 0;
  let before = 0;
  let bounds: WorldBounds = kit.worldBounds(films);
  let range: readonly [number, number] = kit.returnRange(films);

  const episodeKey = (film: Film) => `${film.seed}/${film.copy}`;
  const boxes = (panel: HTMLElement) => ({
    team: find<HTMLSelectElement>("[data-phx=team]", panel),
    adversary: find<HTMLSelectElement>("[data-phx=adversary]", panel),
  });

  function choose(): void {
    shown = panels.map((panel) => {
      const { team, adversary } = boxes(panel);
      return films.find(
        (film) =>
          episodeKey(film) === episodeBox.value &&
          film.team === team.value &&
          film.adversary === adversary.value,
      );
    });
    const present = shown.filter((film): film is Film => film !== undefined);
    bounds = kit.worldBounds(present);
    range = kit.returnRange(present);
    last = Math.max(0, ...present.map((film) => film.steps.length - 1));
    scrubber.max = String(last);
    time = Math.min(time, last);
    draw();
  }

  function draw(): void {
    const index = Math.floor(time + 1e-9);
    panels.forEach((panel, at) => {
      const film = shown[at];
      const put = (part: string, markup: string) => {
        find<HTMLElement>(`[data-phx=${part}]`, panel).innerHTML = markup;
      };
      panel.classList.toggle("phx-absent", film === undefined);
      if (!film) {
        put("stage", '<p class="phx-quiet">No film of this team against this adversary in this episode.</p>');
        for (const part of ["status", "returns", "sum"]) put(part, "");
        return;
      }
      const own = Math.min(time, film.steps.length - 1);
      put("stage", kit.renderFrame(film, own, bounds));
      put("returns", kit.renderReturns(film, own, range));
      put("status", kit.renderStatus(film, Math.min(index, film.steps.length - 1)));
      put("sum", kit.formatNumber(kit.returnsSoFar(film)[Math.floor(own)]));
    });
    scrubber.value = String(index);
    scrubber.setAttribute("aria-valuetext", `step ${index} of ${last}`);
    clock.textContent = `${index} / ${last}`;
    playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    playButton.classList.toggle("phx-is-playing", playing);
  }

  function tick(now: number): void {
    if (!playing) return;
    const speed = Number(speedBox.value) || 1;
    time = Math.min(last, time + ((now - before) / stepMs) * speed);
    before = now;
    if (time >= last) playing = false;
    // People who asked for less motion see whole steps, no gliding between them.
    const exact = time;
    if (still.matches) time = Math.floor(time);
    draw();
    time = exact;
    if (playing) request = requestAnimationFrame(tick);
  }

  function play(): void {
    if (playing || last === 0) return;
    if (time >= last) time = 0;
    playing = true;
    before = performance.now();
    request = requestAnimationFrame(tick);
    draw();
  }

  function pause(): void {
    playing = false;
    cancelAnimationFrame(request);
    draw();
  }

  function seek(target: number): void {
    playing = false;
    cancelAnimationFrame(request);
    time = Math.min(last, Math.max(0, Number.isFinite(target) ? target : 0));
    draw();
  }

  const actions: Record<string, () => void> = {
    play: () => (playing ? pause() : play()),
    first: () => seek(0),
    back: () => seek(Math.ceil(time) - 1),
    next: () => seek(Math.floor(time) + 1),
    last: () => seek(last),
  };
  const keys: Record<string, string> = {
    " ": "play",
    k: "play",
    ArrowLeft: "back",
    ArrowRight: "next",
    Home: "first",
    End: "last",
  };
  const { signal } = stopListening;
  root.addEventListener(
    "click",
    (event) => {
      const name = (event.target as Element).closest("button[data-phx]")?.getAttribute("data-phx");
      if (name) actions[name]?.();
    },
    { signal },
  );
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target as Element;
      // Select boxes keep their keys; a button's own space bar would press twice.
      if (target.tagName === "SELECT" || (event.key === " " && target.tagName === "BUTTON")) return;
      const name = keys[event.key];
      if (!name) return;
      event.preventDefault();
      actions[name]!();
    },
    { signal },
  );
  scrubber.addEventListener("input", () => seek(Number(scrubber.value)), { signal });
  root.addEventListener(
    "change",
    (event) => {
      const box = (event.target as Element).closest("select")?.getAttribute("data-phx");
      if (box === "episode" || box === "team" || box === "adversary") choose();
    },
    { signal },
  );

  time = Number.POSITIVE_INFINITY; // the end with every path drawn: the still that says most
  choose();
  for (const part of root.querySelectorAll<HTMLElement>("[data-phx-script]")) part.hidden = false;
  root.dataset.phxReady = "true";

  return {
    play,
    pause,
    seek,
    get time() {
      return time;
    },
    destroy() {
      pause();
      stopListening.abort();
    },
  };
}
