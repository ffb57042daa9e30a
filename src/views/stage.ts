/**
 * One moment of a film as SVG and as words: what the replay shows, without any DOM.
 *
 * A report is a single HTML file, so these functions travel into it as their own source (`playerScript` in
 * replay.ts). Therefore this file imports types only, and its functions use nothing but each other and their
 * arguments; constants live inside the functions. A test runs the travelled source and compares.
 */

import type { Film, FilmStep, FrameShape } from "../core/film.js";

/** Visible world, in world units. */
export interface WorldBounds {
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly top: number;
}

/** What a speaker says in a step, in the team's own language. */
export interface Announcement {
  readonly from: string;
  /** The executed action: the message's number. */
  readonly message: number;
  /** Label of what the team means by this message; null if it never uses it. */
  readonly announced: string | null;
  /** Label of the goal; null if the film shows none. */
  readonly meant: string | null;
  /** The adversary chose the message. */
  readonly controlled: boolean;
}

type Circle = Extract<FrameShape, { kind: "circle" }>;
type Action = number | readonly number[];

/** Text that is safe in HTML and SVG, between tags and in quoted attributes. */
export function escapeMarkup(text: unknown): string {
  return String(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** "−12.3" with a true minus sign; "–" where there is no number. */
export function formatNumber(value: number | null | undefined, decimals = 1): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1e6) return value.toExponential(2).replaceAll("-", "−").replace("e+", "e");
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** The colour if it is plainly a colour; grey otherwise, so that no film can smuggle in a `url()`. */
export function safeColor(color: string): string {
  const plain = /^(#[0-9a-f]{3,8}|[a-z]{3,30}|(rgb|rgba|hsl|hsla|oklch|oklab|lab|lch)\([-0-9a-z.,%/ ]+\))$/i;
  return typeof color === "string" && plain.test(color.trim()) ? color.trim() : "#888888";
}

/** Bounds that hold every moment of all films, with a margin: films side by side share one scale. */
export function worldBounds(films: readonly Film[]): WorldBounds {
  let left = Number.POSITIVE_INFINITY;
  let right = Number.NEGATIVE_INFINITY;
  let bottom = Number.POSITIVE_INFINITY;
  let top = Number.NEGATIVE_INFINITY;
  const grow = (x: number, y: number, radius: number) => {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    left = Math.min(left, x - radius);
    right = Math.max(right, x + radius);
    bottom = Math.min(bottom, y - radius);
    top = Math.max(top, y + radius);
  };
  let fixed = true;
  for (const film of films) {
    for (const step of film.steps) {
      const bounds = step.frame.bounds;
      if (bounds) {
        grow(bounds.left, bounds.bottom, 0);
        grow(bounds.right, bounds.top, 0);
        continue;
      }
      fixed = false;
      for (const shape of step.frame.shapes) {
        if (shape.kind === "circle") grow(shape.x, shape.y, shape.radius || 0);
        else {
          grow(shape.x1, shape.y1, 0);
          grow(shape.x2, shape.y2, 0);
        }
      }
    }
  }
  if (left > right) return { left: -1, right: 1, bottom: -1, top: 1 };
  if (fixed) return { left, right, bottom, top };
  const margin = 0.1 * Math.max(right - left, top - bottom, 1e-6);
  return { left: left - margin, right: right + margin, bottom: bottom - margin, top: top + margin };
}

/** Shapes at a fractional time: positions between two steps are interpolated where the same shape is in both. */
export function shapesAt(film: Film, time: number): FrameShape[] {
  const index = Math.min(film.steps.length - 1, Math.max(0, Math.floor(time)));
  const here = film.steps[index]?.frame.shapes ?? [];
  const next = film.steps[index + 1]?.frame.shapes;
  const share = time - index;
  if (!next || share <= 0) return [...here];
  const between = (from: number, to: number) => from + (to - from) * share;
  return here.map((shape, at) => {
    const later = next[at];
    if (shape.kind !== "circle" || later?.kind !== "circle" || shape.agent !== later.agent) return shape;
    return { ...shape, x: between(shape.x, later.x), y: between(shape.y, later.y) };
  });
}

/** Circles of one role. */
export function circlesOf(shapes: readonly FrameShape[], role: Circle["role"]): Circle[] {
  return shapes.filter((shape): shape is Circle => shape.kind === "circle" && shape.role === role);
}

/** Label of the landmark under the goal, or the goal's own; null without a goal. */
export function goalLabel(shapes: readonly FrameShape[]): string | null {
  const goal = circlesOf(shapes, "goal")[0];
  if (!goal) return null;
  const under = circlesOf(shapes, "landmark").find(
    (landmark) => landmark.label && Math.hypot(landmark.x - goal.x, landmark.y - goal.y) < 1e-6,
  );
  return under?.label ?? goal.label ?? "goal";
}

/** What is being said at a step; in the last step, what was said before it. */
export function announcements(film: Film, index: number): Announcement[] {
  const said: Announcement[] = [];
  for (const [from, meanings] of Object.entries(film.language ?? {})) {
    for (let at = Math.min(index, film.steps.length - 1); at >= 0; at--) {
      const step = film.steps[at]!;
      const message = step.actions?.[from];
      if (typeof message !== "number") continue;
      said.push({
        from,
        message,
        announced: meanings[message] ?? null,
        meant: goalLabel(step.frame.shapes),
        controlled: step.controlled.includes(from),
      });
      break;
    }
  }
  return said;
}

/** "left", "(0.20, −0.40)", "action 3"; for a speaker "message 2 (C)", with what its team means by it. */
export function describeAction(film: Film, agent: string, action: Action | undefined): string {
  if (action === undefined) return "–";
  if (typeof action !== "number") return `(${action.map((value) => formatNumber(value, 2)).join(", ")})`;
  const language = film.language?.[agent];
  if (language) return `message ${action} (${language[action] ?? "unused"})`;
  return film.actionNames?.[agent]?.[action] ?? `action ${action}`;
}

/** Sum of rewards of the steps before `index`: the return so far in the state that is shown. */
export function returnsSoFar(film: Film): number[] {
  const sums = [0];
  for (const step of film.steps.slice(0, -1)) sums.push(sums[sums.length - 1]! + (step.reward ?? 0));
  return sums;
}

/**
 * The stage as an SVG string.
 *
 * @param time   step index, fractional while an animation runs; clipped to the film
 * @param bounds visible world, shared by all films that stand side by side
 */
export function renderFrame(film: Film, time: number, bounds: WorldBounds): string {
  const width = 360;
  const worldWidth = Math.max(1e-9, bounds.right - bounds.left);
  const worldHeight = Math.max(1e-9, bounds.top - bounds.bottom);
  const height = Math.round(Math.min(400, Math.max(160, (width * worldHeight) / worldWidth)));
  const unit = Math.min(width / worldWidth, height / worldHeight);
  const px = (x: number) => (width - worldWidth * unit) / 2 + (x - bounds.left) * unit;
  const py = (y: number) => (height - worldHeight * unit) / 2 + (bounds.top - y) * unit;
  const size = (radius: number) => Math.max(3, radius * unit);
  const at = (value: number) => (Number.isFinite(value) ? value.toFixed(1) : "0");

  const last = Math.max(0, film.steps.length - 1);
  const clipped = Math.min(last, Math.max(0, Number.isFinite(time) ? time : 0));
  const index = Math.floor(clipped);
  const step = film.steps[index];
  const shapes = shapesAt(film, clipped);
  const said = announcements(film, index);
  const agents = circlesOf(shapes, "agent");
  const goals = circlesOf(shapes, "goal");
  const marks = [...circlesOf(shapes, "landmark"), ...circlesOf(shapes, "obstacle")];
  const sameSpot = (a: Circle, b: Circle) => Math.hypot(a.x - b.x, a.y - b.y) < 1e-6;
  // A goal may be drawn over a landmark or be the landmark itself; either way it is one place.
  const places = [...marks, ...goals.filter((goal) => !marks.some((mark) => sameSpot(mark, goal)))];

  const disc = (shape: Circle, kind: string) =>
    `<circle class="phx-${kind}" cx="${at(px(shape.x))}" cy="${at(py(shape.y))}" r="${at(size(shape.radius))}" fill="${escapeMarkup(safeColor(shape.color))}"/>`;
  const ring = (shape: Circle, gap: number, kind: string) =>
    `<circle class="${kind}" cx="${at(px(shape.x))}" cy="${at(py(shape.y))}" r="${at(size(shape.radius) + gap)}"/>`;
  const label = (shape: Circle, below: boolean, parts: readonly (readonly [string, string])[]) => {
    const text = parts.filter(([word]) => word !== "");
    if (text.length === 0) return "";
    const x = px(shape.x);
    const long = text.reduce((sum, [word]) => sum + word.length + 2, 0) * 3.2;
    const anchor = x < long ? "start" : x > width - long ? "end" : "middle";
    const inset = anchor === "start" ? Math.min(x, 6) : anchor === "end" ? Math.max(x, width - 6) : x;
    const y = py(shape.y) + (below ? size(shape.radius) + 18 : -size(shape.radius) - 10);
    const words = text
      .map(([word, kind]) => `<tspan class="phx-word-${kind}">${escapeMarkup(word)}</tspan>`)
      .join('<tspan class="phx-word-quiet"> · </tspan>');
    return `<text class="phx-stage-label" x="${at(inset)}" y="${at(Math.min(height - 5, Math.max(13, y)))}" text-anchor="${anchor}">${words}</text>`;
  };

  const layers: string[] = [];
  // A faint grid every half unit shows distances without asking for attention.
  const gridStep = 0.5 * 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(worldWidth, worldHeight) / 8)));
  let grid = "";
  for (let x = Math.ceil(bounds.left / gridStep) * gridStep; x <= bounds.right; x += gridStep)
    grid += `M${at(px(x))} 0V${height}`;
  for (let y = Math.ceil(bounds.bottom / gridStep) * gridStep; y <= bounds.top; y += gridStep)
    grid += `M0 ${at(py(y))}H${width}`;
  layers.push(`<path class="phx-grid" d="${grid}"/>`);

  for (const shape of shapes) {
    if (shape.kind !== "line") continue;
    layers.push(
      `<line class="phx-line" x1="${at(px(shape.x1))}" y1="${at(py(shape.y1))}" x2="${at(px(shape.x2))}" y2="${at(py(shape.y2))}" stroke="${escapeMarkup(safeColor(shape.color))}"/>`,
    );
  }
  for (const place of places) layers.push(disc(place, place.role));
  for (const goal of goals) layers.push(ring(goal, 6, "phx-goal-ring"));

  // The message: from the mouth of the speaker to the place it names.
  for (const { from, announced, meant, controlled } of said) {
    const speaker = agents.find((agent) => agent.agent === from);
    const place = places.find((candidate) => announced !== null && candidate.label === announced);
    if (!place) continue;
    const kind = announced === meant ? "phx-true" : "phx-false";
    if (speaker) {
      const [x1, y1, x2, y2] = [px(speaker.x), py(speaker.y), px(place.x), py(place.y)];
      const length = Math.hypot(x2 - x1, y2 - y1) || 1;
      const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
      const [start, end] = [size(speaker.radius) + 4, size(place.radius) + 11];
      if (length > start + end) {
        layers.push(
          `<path class="phx-message ${kind}${controlled ? " phx-forced" : ""}" d="M${at(x1 + ux * start)} ${at(y1 + uy * start)}L${at(x2 - ux * end)} ${at(y2 - uy * end)}"/>`,
        );
        const [tx, ty] = [x2 - ux * end, y2 - uy * end];
        layers.push(
          `<path class="phx-arrow ${kind}" d="M${at(tx + ux * 4)} ${at(ty + uy * 4)}l${at(-ux * 8 - uy * 4)} ${at(-uy * 8 + ux * 4)}l${at(uy * 8)} ${at(-ux * 8)}z"/>`,
        );
      }
    }
    layers.push(ring(place, 11, `phx-announced ${kind}`));
  }

  // Where each agent came from.
  for (const agent of agents) {
    if (!agent.agent) continue;
    const points: string[] = [];
    for (let past = 0; past <= index; past++) {
      const was = circlesOf(film.steps[past]!.frame.shapes, "agent").find((one) => one.agent === agent.agent);
      if (was) points.push(`${at(px(was.x))},${at(py(was.y))}`);
    }
    points.push(`${at(px(agent.x))},${at(py(agent.y))}`);
    if (new Set(points).size < 2) continue;
    const color = escapeMarkup(safeColor(agent.color));
    layers.push(`<polyline class="phx-trail" points="${points.join(" ")}" stroke="${color}"/>`);
    layers.push(
      points
        .slice(0, -1)
        .map((point, past) => {
          const [x, y] = point.split(",");
          return `<circle class="${past === 0 ? "phx-origin" : "phx-dot"}" cx="${x}" cy="${y}" r="${past === 0 ? 4 : 1.6}"${past === 0 ? ` stroke="${color}"` : ` fill="${color}"`}/>`;
        })
        .join(""),
    );
  }

  for (const agent of agents) {
    const name = agent.agent ?? "";
    const hijacked = film.hijacked.includes(name);
    const controlled = step?.controlled.includes(name) ?? false;
    const deceived = step ? Object.hasOwn(step.perturbed, name) : false;
    layers.push(disc(agent, "agent"));
    if (hijacked) layers.push(ring(agent, 5, controlled ? "phx-hijacked phx-controlled" : "phx-hijacked"));
    if (deceived) layers.push(ring(agent, hijacked ? 10 : 5, "phx-deceived"));
  }

  for (const place of places) {
    const isGoal = goals.some((goal) => sameSpot(place, goal));
    const saying = said.find(({ announced }) => announced !== null && announced === place.label);
    layers.push(
      label({ ...place, radius: place.radius + (isGoal || saying ? 8 : 0) / unit }, false, [
        [place.label ?? "", "ink"],
        [isGoal && place.label !== "goal" ? "goal" : "", "goal"],
        [saying ? "announced" : "", saying?.announced === saying?.meant ? "true" : "false"],
      ]),
    );
  }
  const crowded = agents.length > 8;
  for (const agent of agents) {
    const name = agent.agent ?? agent.label ?? "";
    const hijacked = film.hijacked.includes(name);
    const deceived = step ? Object.hasOwn(step.perturbed, name) : false;
    if (crowded && !hijacked && !deceived) continue;
    layers.push(
      label({ ...agent, radius: agent.radius + (hijacked || deceived ? 4 : 0) / unit }, true, [
        [name, "ink"],
        [hijacked ? "hijacked" : "", "false"],
        [deceived ? "deceived" : "", "deceived"],
      ]),
    );
  }

  const title = `${film.team} against ${film.adversary}, step ${index} of ${last}`;
  return `<svg class="phx-stage" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeMarkup(title)}"><rect class="phx-ground" width="${width}" height="${height}"/>${layers.join("")}</svg>`;
}

/** What happens at a step in words, as HTML: message, actions intended and executed, what was perturbed. */
export function renderStatus(film: Film, index: number): string {
  const last = film.steps.length - 1;
  const step: FilmStep | undefined = film.steps[Math.min(last, Math.max(0, index))];
  if (!step) return '<p class="phx-quiet">This film is empty.</p>';
  const rows: string[] = [];
  const strong = (text: string, kind: string) => `<b class="phx-word-${kind}">${escapeMarkup(text)}</b>`;

  const said = announcements(film, index);
  for (const { from, message, announced, meant, controlled } of said) {
    const honest = announced !== null && announced === meant;
    const kind = honest ? "true" : "false";
    const name = announced === null ? `message ${message}, which this team does not use` : announced;
    const whose = controlled ? "chosen by the adversary" : "its own words";
    rows.push(
      `<p class="phx-said">${meant === null ? "" : `goal ${strong(meant, "goal")} `}<span aria-hidden="true">→</span> announced ${strong(name, kind)}<span class="phx-quiet">${escapeMarkup(from)}, ${whose}</span></p>`,
    );
  }
  if (said.length === 0) {
    for (const caption of step.frame.captions) rows.push(`<p class="phx-said">${escapeMarkup(caption)}</p>`);
  }

  const shapes = step.frame.shapes;
  const goal = circlesOf(shapes, "goal")[0];
  const speakers = Object.keys(film.language ?? {});
  const marked = (name: string) => film.hijacked.includes(name) || Object.hasOwn(step.perturbed, name);
  const shown = film.agents.length <= 4 ? [...film.agents] : film.agents.filter(marked).slice(0, 4);
  for (const name of shown) {
    const facts: string[] = [];
    const executed = step.actions?.[name];
    const intended = step.intended?.[name];
    if (executed !== undefined) {
      const [did, wanted] = [
        describeAction(film, name, executed),
        intended === undefined ? "" : describeAction(film, name, intended),
      ];
      if (step.controlled.includes(name)) {
        facts.push(
          wanted === "" || wanted === did
            ? `${escapeMarkup(did)} <span class="phx-quiet">forced${wanted === "" ? "" : ", as its own policy would"}</span>`
            : `<del>${escapeMarkup(wanted)}</del> <span aria-hidden="true">→</span> ${strong(did, "false")} <span class="phx-quiet">forced</span>`,
        );
      } else facts.push(escapeMarkup(did));
    }
    const body = circlesOf(shapes, "agent").find((shape) => shape.agent === name);
    if (goal && body && !speakers.includes(name)) {
      facts.push(`${formatNumber(Math.hypot(body.x - goal.x, body.y - goal.y), 2)} from the goal`);
    }
    const changes = Object.entries(step.perturbed[name] ?? {}).sort(
      ([, a], [, b]) => Math.abs(b) - Math.abs(a),
    );
    if (changes.length > 0) {
      const listed = changes
        .slice(0, 4)
        .map(([feature, change]) => `${feature} ±${formatNumber(Math.abs(change), 2)}`);
      const more = changes.length > 4 ? ` and ${changes.length - 4} more` : "";
      facts.push(`${strong("sees wrong", "deceived")} ${escapeMarkup(listed.join(", ") + more)}`);
    }
    if (facts.length === 0) facts.push('<span class="phx-quiet">–</span>');
    rows.push(
      `<div class="phx-agent-row"><span class="phx-agent-name">${escapeMarkup(name)}</span><span>${facts.join('<span class="phx-quiet"> · </span>')}</span></div>`,
    );
  }
  if (film.agents.length > shown.length) {
    rows.push(`<p class="phx-quiet">${film.agents.length - shown.length} more agents act on their own.</p>`);
  }
  return rows.join("");
}

/** The running return as a small SVG: the whole episode faint, what has happened so far strong. */
export function renderReturns(film: Film, time: number, range: readonly [number, number]): string {
  const [width, height, pad] = [360, 56, 6];
  const sums = returnsSoFar(film);
  const last = Math.max(1, sums.length - 1);
  const [low, high] = range[0] === range[1] ? [range[0] - 1, range[1] + 1] : range;
  const x = (step: number) => pad + (step / last) * (width - 2 * pad);
  const y = (value: number) => pad + ((high - value) / (high - low)) * (height - 2 * pad);
  const shownTime = Math.min(sums.length - 1, Math.max(0, time));
  const index = Math.floor(shownTime);
  const next = sums[Math.min(sums.length - 1, index + 1)]!;
  const now = sums[index]! + (next - sums[index]!) * (shownTime - index);
  const path = (points: readonly (readonly [number, number])[]) =>
    points.map(([px, py], at) => `${at === 0 ? "M" : "L"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  const all = sums.map((value, step) => [x(step), y(value)] as const);
  const played = [...all.slice(0, index + 1), [x(shownTime), y(now)] as const];
  const zero = y(Math.min(high, Math.max(low, 0))).toFixed(1);
  return `<svg class="phx-returns" viewBox="0 0 ${width} ${height}" role="img" aria-label="return so far ${formatNumber(now)}"><path class="phx-axis" d="M${pad} ${zero}H${width - pad}"/><path class="phx-returns-all" d="${path(all)}"/><path class="phx-returns-played" d="${path(played)}"/><circle class="phx-returns-now" cx="${x(shownTime).toFixed(1)}" cy="${y(now).toFixed(1)}" r="3.5"/></svg>`;
}

/** Lowest and highest running return of all films: the common scale of their return charts. */
export function returnRange(films: readonly Film[]): [number, number] {
  const sums = films.flatMap((film) => returnsSoFar(film)).filter((value) => Number.isFinite(value));
  return sums.length === 0 ? [-1, 0] : [Math.min(...sums, 0), Math.max(...sums, 0)];
}
