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
  /** Label of what the team means by this message; null where that is unknown or it never uses it. */
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
  if (language) return `message ${action} (${language[action] ?? "meaning unknown"})`;
  return film.actionNames?.[agent]?.[action] ?? `action ${action}`;
}

/** Sum of rewards of the steps before `index`: the return so far in the state that is shown. */
export function returnsSoFar(film: Film): number[] {
  const sums = [0];
  for (const step of film.steps.slice(0, -1)) sums.push(sums[sums.length - 1]! + (step.reward ?? 0));
  return sums;
}

/** Where world points lie on the stage, in the SVG's units. */
export interface Geometry {
  readonly width: number;
  readonly height: number;
  /** Stage units per world unit. */
  readonly unit: number;
  readonly x: (world: number) => number;
  readonly y: (world: number) => number;
  /** Radius on the stage, never too small to see. */
  readonly size: (radius: number) => number;
}

/** One moment, taken apart for the layers of the stage. */
export interface Moment {
  readonly film: Film;
  readonly index: number;
  readonly step: FilmStep | undefined;
  readonly shapes: readonly FrameShape[];
  readonly agents: readonly Circle[];
  readonly goals: readonly Circle[];
  /** Landmarks, obstacles and goals, each spot once. */
  readonly places: readonly Circle[];
  readonly said: readonly Announcement[];
}

/**
 * The stage as an SVG string.
 *
 * @param time   step index, fractional while an animation runs; clipped to the film
 * @param bounds visible world, shared by all films that stand side by side
 */
export function renderFrame(film: Film, time: number, bounds: WorldBounds): string {
  const last = Math.max(0, film.steps.length - 1);
  const moment = momentAt(film, Math.min(last, Math.max(0, Number.isFinite(time) ? time : 0)));
  const geometry = stageGeometry(bounds);
  const { width, height } = geometry;
  const layers = [
    gridLayer(bounds, geometry),
    discLayer(moment, geometry),
    ringLayer(moment, geometry),
    messageLayer(moment, geometry),
    labelLayer(moment, geometry),
  ];
  const title = `${film.team} against ${film.adversary}, step ${moment.index} of ${last}`;
  return `<svg class="phx-stage" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeMarkup(title)}"><rect class="phx-ground" width="${width}" height="${height}"/>${layers.join("")}</svg>`;
}

export function momentAt(film: Film, time: number): Moment {
  const index = Math.floor(time);
  const shapes = shapesAt(film, time);
  const goals = circlesOf(shapes, "goal");
  const marks = [...circlesOf(shapes, "landmark"), ...circlesOf(shapes, "obstacle")];
  // A goal may be drawn over a landmark or be the landmark itself; either way it is one place.
  const alone = goals.filter((goal) => !marks.some((mark) => isSameSpot(mark, goal)));
  return {
    film,
    index,
    step: film.steps[index],
    shapes,
    agents: circlesOf(shapes, "agent"),
    goals,
    places: [...marks, ...alone],
    said: announcements(film, index),
  };
}

export function isSameSpot(a: Circle, b: Circle): boolean {
  return Math.hypot(a.x - b.x, a.y - b.y) < 1e-6;
}

export function stageGeometry(bounds: WorldBounds): Geometry {
  const width = 360;
  const worldWidth = Math.max(1e-9, bounds.right - bounds.left);
  const worldHeight = Math.max(1e-9, bounds.top - bounds.bottom);
  const height = Math.round(Math.min(400, Math.max(160, (width * worldHeight) / worldWidth)));
  const unit = Math.min(width / worldWidth, height / worldHeight);
  return {
    width,
    height,
    unit,
    x: (world) => (width - worldWidth * unit) / 2 + (world - bounds.left) * unit,
    y: (world) => (height - worldHeight * unit) / 2 + (bounds.top - world) * unit,
    size: (radius) => Math.max(3, radius * unit),
  };
}

/** A coordinate as text, one decimal. */
export function svgNumber(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toFixed(1))) : "0";
}

/** A faint grid shows distances without asking for attention. */
export function gridLayer(bounds: WorldBounds, { width, height, x, y }: Geometry): string {
  const extent = Math.max(bounds.right - bounds.left, bounds.top - bounds.bottom, 1e-9);
  const gap = 2 ** Math.ceil(Math.log2(extent / 8));
  let path = "";
  for (let at = Math.ceil(bounds.left / gap) * gap; at <= bounds.right; at += gap)
    path += `M${svgNumber(x(at))} 0V${height}`;
  for (let at = Math.ceil(bounds.bottom / gap) * gap; at <= bounds.top; at += gap)
    path += `M0 ${svgNumber(y(at))}H${width}`;
  return `<path class="phx-grid" d="${path}"/>`;
}

/** Lines, the agents' paths, and all discs, large ones below small ones. */
export function discLayer(moment: Moment, geometry: Geometry): string {
  const { x, y, size } = geometry;
  const lines = moment.shapes.map((shape) =>
    shape.kind === "line"
      ? `<line class="phx-line" x1="${svgNumber(x(shape.x1))}" y1="${svgNumber(y(shape.y1))}" x2="${svgNumber(x(shape.x2))}" y2="${svgNumber(y(shape.y2))}" stroke="${escapeMarkup(safeColor(shape.color))}"/>`
      : "",
  );
  const trails = moment.agents.map((agent) => trailMarkup(moment, agent, geometry));
  const discs = [...moment.places, ...moment.agents]
    .sort((a, b) => b.radius - a.radius)
    .map(
      (shape) =>
        `<circle class="phx-${shape.role}" cx="${svgNumber(x(shape.x))}" cy="${svgNumber(y(shape.y))}" r="${svgNumber(size(shape.radius))}" fill="${escapeMarkup(safeColor(shape.color))}"/>`,
    );
  return [...lines, ...trails, ...discs].join("");
}

/** Where an agent came from: a dot per step, an open circle at the start. */
export function trailMarkup(moment: Moment, agent: Circle, { x, y }: Geometry): string {
  if (!agent.agent) return "";
  const points: [string, string][] = [];
  for (const past of moment.film.steps.slice(0, moment.index + 1)) {
    const was = circlesOf(past.frame.shapes, "agent").find((one) => one.agent === agent.agent);
    if (was) points.push([svgNumber(x(was.x)), svgNumber(y(was.y))]);
  }
  points.push([svgNumber(x(agent.x)), svgNumber(y(agent.y))]);
  const path = points.map((point) => point.join(","));
  if (new Set(path).size < 2) return "";
  const dots = points
    .slice(1, -1)
    .map(([cx, cy]) => `<circle class="phx-dot" cx="${cx}" cy="${cy}" r="1.7"/>`);
  const [startX, startY] = points[0]!;
  return `<g style="--agent:${escapeMarkup(safeColor(agent.color))}"><polyline class="phx-trail" points="${path.join(" ")}"/>${dots.join("")}<circle class="phx-origin" cx="${startX}" cy="${startY}" r="4"/></g>`;
}

/** Rings mark goals and agents that the adversary holds, controls or deceives. */
export function ringLayer(moment: Moment, { x, y, size }: Geometry): string {
  const ring = (shape: Circle, gap: number, kind: string) =>
    `<circle class="${kind}" cx="${svgNumber(x(shape.x))}" cy="${svgNumber(y(shape.y))}" r="${svgNumber(size(shape.radius) + gap)}"/>`;
  const rings = moment.goals.map((goal) => ring(goal, 6, "phx-goal-ring"));
  for (const { announced, meant } of moment.said) {
    const place = moment.places.find((one) => announced !== null && one.label === announced);
    if (place) rings.push(ring(place, 11, `phx-announced ${announced === meant ? "phx-true" : "phx-false"}`));
  }
  for (const agent of moment.agents) {
    const name = agent.agent ?? "";
    const hijacked = moment.film.hijacked.includes(name);
    const controlled = moment.step?.controlled.includes(name) ? " phx-controlled" : "";
    if (hijacked) rings.push(ring(agent, 5, `phx-hijacked${controlled}`));
    if (isDeceived(moment.step, name)) rings.push(ring(agent, hijacked ? 10 : 5, "phx-deceived"));
  }
  return rings.join("");
}

export function isDeceived(step: FilmStep | undefined, agent: string): boolean {
  return step !== undefined && Object.hasOwn(step.perturbed, agent);
}

/** A dashed arrow from who speaks to the place the message names. */
export function messageLayer({ agents, places, said }: Moment, { x, y, size }: Geometry): string {
  let markup = "";
  for (const { from, announced, meant } of said) {
    const speaker = agents.find((agent) => agent.agent === from);
    const place = places.find((one) => announced !== null && one.label === announced);
    if (!speaker || !place) continue;
    const kind = announced === meant ? "phx-true" : "phx-false";
    const [dx, dy] = [x(place.x) - x(speaker.x), y(place.y) - y(speaker.y)];
    const length = Math.hypot(dx, dy);
    const [start, end] = [size(speaker.radius) + 9, size(place.radius) + 15];
    if (length < start + end + 8) continue;
    const [ux, uy] = [dx / length, dy / length];
    const along = (distance: number, aside: number) =>
      `${svgNumber(x(speaker.x) + ux * distance - uy * aside)} ${svgNumber(y(speaker.y) + uy * distance + ux * aside)}`;
    markup += `<path class="phx-message ${kind}" d="M${along(start, 0)}L${along(length - end - 6, 0)}"/>`;
    markup += `<path class="phx-arrow ${kind}" d="M${along(length - end + 3, 0)}L${along(length - end - 6, 4.5)}L${along(length - end - 6, -4.5)}z"/>`;
  }
  return markup;
}

/** Names of places and agents, each at the first of four spots that is free. */
export function labelLayer(moment: Moment, geometry: Geometry): string {
  const { film, agents, goals, places, said, step } = moment;
  type Word = readonly [string, string];
  const wanted: { shape: Circle; gap: number; below: boolean; words: Word[] }[] = [];
  for (const place of places) {
    const isGoal = goals.some((goal) => isSameSpot(place, goal));
    const saying = said.find(({ announced }) => announced !== null && announced === place.label);
    const words: Word[] = [
      [place.label ?? "", "ink"],
      [isGoal && place.label !== "goal" ? "goal" : "", "goal"],
      [saying ? "announced" : "", saying?.announced === saying?.meant ? "true" : "false"],
    ];
    // The arrow of a message comes from the speaker's side, so the name stands on the other.
    const speaker = saying ? agents.find((agent) => agent.agent === saying.from) : undefined;
    const below = speaker !== undefined && speaker.y > place.y;
    wanted.push({ shape: place, gap: saying ? 13 : isGoal ? 8 : 2, below, words });
  }
  for (const agent of agents) {
    const name = agent.agent ?? agent.label ?? "";
    const hijacked = film.hijacked.includes(name);
    const deceived = isDeceived(step, name);
    // In a crowd only the agents that something happens to are named.
    if (agents.length > 8 && !hijacked && !deceived) continue;
    const words: Word[] = [
      [name, "ink"],
      [hijacked ? "hijacked" : "", "false"],
      [deceived ? "deceived" : "", "deceived"],
    ];
    wanted.push({ shape: agent, gap: hijacked || deceived ? 7 : 2, below: true, words });
  }
  type Box = readonly [number, number, number, number];
  const taken: Box[] = [];
  const discs = [...places, ...agents].map((one): Box => {
    const [cx, cy, r] = [geometry.x(one.x), geometry.y(one.y), geometry.size(one.radius)];
    return [cx - r, cy - r, cx + r, cy + r];
  });
  const labels: string[] = [];
  for (const { shape, gap, below, words } of wanted) {
    const written = words.filter(([word]) => word !== "");
    if (written.length === 0) continue;
    const width = written.reduce(
      (sum, [word, kind]) => sum + word.length * (kind === "ink" ? 7 : 8) + 14,
      -14,
    );
    const spots = labelSpots(shape, gap, width, below, geometry);
    const isFree = ([left, top]: [number, number], boxes: readonly Box[]) =>
      !boxes.some(([l, t, r, b]) => left < r + 3 && left + width > l - 3 && top < b && top + 15 > t);
    const clear = spots.find((spot) => isFree(spot, taken) && isFree(spot, discs));
    const [left, top] = clear ?? spots.find((spot) => isFree(spot, taken)) ?? spots[0]!;
    taken.push([left, top, left + width, top + 15]);
    const content = written
      .map(([word, kind]) => `<tspan class="phx-word-${kind}">${escapeMarkup(word)}</tspan>`)
      .join('<tspan class="phx-word-quiet"> · </tspan>');
    labels.push(
      `<text class="phx-stage-label" x="${svgNumber(left + width / 2)}" y="${svgNumber(top + 12)}" text-anchor="middle">${content}</text>`,
    );
  }
  return labels.join("");
}

/** Left top corners of a label in order of preference, all inside the stage. */
export function labelSpots(
  shape: Circle,
  gap: number,
  width: number,
  below: boolean,
  geometry: Geometry,
): [number, number][] {
  const [x, y, reach] = [geometry.x(shape.x), geometry.y(shape.y), geometry.size(shape.radius) + gap];
  const under: [number, number] = [x - width / 2, y + reach + 2];
  const over: [number, number] = [x - width / 2, y - reach - 17];
  const beside: [number, number][] = [
    [x + reach + 5, y - 7],
    [x - reach - 5 - width, y - 7],
  ];
  const inside = ([left, top]: [number, number]): [number, number] => [
    Math.max(4, Math.min(geometry.width - 4 - width, left)),
    Math.max(2, Math.min(geometry.height - 17, top)),
  ];
  return [...(below ? [under, over] : [over, under]), ...beside].map(inside);
}

/** What happens at a step in words, as HTML: message, actions intended and executed, what was perturbed. */
export function renderStatus(film: Film, index: number): string {
  const moment = momentAt(film, Math.min(film.steps.length - 1, Math.max(0, index)));
  const { step } = moment;
  if (!step) return '<p class="phx-quiet">This film is empty.</p>';
  const rows =
    moment.said.length > 0 ? moment.said.map(describeAnnouncement) : step.frame.captions.map(escapeMarkup);
  const markup = rows.map((row) => `<p class="phx-said">${row}</p>`);

  const marked = (name: string) => film.hijacked.includes(name) || isDeceived(step, name);
  const shown = film.agents.length <= 4 ? [...film.agents] : film.agents.filter(marked).slice(0, 4);
  for (const name of shown) {
    const facts = [actionFact(film, step, name), placeFact(moment, name)];
    const wrong = perturbationFact(step, name);
    const known = facts.filter((fact) => fact !== "").join('<span class="phx-quiet"> · </span>');
    const joined = known + (wrong === "" ? "" : `<span class="phx-fact-line">${wrong}</span>`);
    if (joined === "") continue;
    markup.push(
      `<div class="phx-agent-row"><span class="phx-agent-name">${escapeMarkup(name)}</span><span>${joined}</span></div>`,
    );
  }
  const others = film.agents.length - shown.length;
  if (others > 0) markup.push(`<p class="phx-quiet">and ${others} more, undisturbed</p>`);
  return markup.join("");
}

export function strongWord(word: string, kind: string): string {
  return `<b class="phx-word-${kind}">${escapeMarkup(word)}</b>`;
}

/** "goal B → announced A, forced by the adversary". */
export function describeAnnouncement(said: Announcement): string {
  const { message, announced, meant, controlled } = said;
  const name = announced ?? `message ${message}, whose meaning is unknown`;
  const goal = meant === null ? "" : `goal ${strongWord(meant, "goal")} <span aria-hidden="true">→</span> `;
  const honest = announced !== null && announced === meant;
  const whose = controlled ? '<span class="phx-quiet">, forced by the adversary</span>' : "";
  return `${goal}announced ${strongWord(name, honest ? "true" : "false")}${whose}`;
}

/** What an agent did and, where the adversary decided, what it would have done. */
export function actionFact(film: Film, step: FilmStep, name: string): string {
  const executed = step.actions?.[name];
  if (executed === undefined) return "";
  const did = describeAction(film, name, executed);
  if (!step.controlled.includes(name)) return escapeMarkup(did);
  const intended = step.intended?.[name];
  if (intended === undefined) return `${strongWord(did, "false")} <span class="phx-quiet">forced</span>`;
  const wanted = describeAction(film, name, intended);
  if (wanted === did)
    return `${escapeMarkup(did)} <span class="phx-quiet">forced, as its own policy would</span>`;
  return `<del>${escapeMarkup(wanted)}</del> <span aria-hidden="true">→</span> ${strongWord(did, "false")}`;
}

/** How far a moving agent is from the (nearest) goal, and which other place it is closest to. */
export function placeFact({ film, agents, goals, places }: Moment, name: string): string {
  const body = agents.find((agent) => agent.agent === name);
  if (!goals[0] || !body || Object.hasOwn(film.language ?? {}, name)) return "";
  const distance = (place: Circle) => Math.hypot(body.x - place.x, body.y - place.y);
  const nearestOf = (all: readonly Circle[]) =>
    all.reduce((best, place) => (distance(place) < distance(best) ? place : best));
  const goal = nearestOf(goals);
  const nearest = nearestOf([goal, ...places]);
  const near =
    isSameSpot(nearest, goal) || !nearest.label ? "" : `, nearest to ${escapeMarkup(nearest.label)}`;
  return `${formatNumber(distance(goal), 2)} from the ${goals.length > 1 ? "nearest " : ""}goal${near}`;
}

/** The largest changes of what an agent saw, by feature. */
export function perturbationFact(step: FilmStep, name: string): string {
  const changes = Object.entries(step.perturbed[name] ?? {}).sort(
    ([, a], [, b]) => Math.abs(b) - Math.abs(a),
  );
  if (changes.length === 0) return "";
  const listed = changes
    .slice(0, 4)
    .map(
      ([feature, change]) => `${feature} ±${formatNumber(Math.abs(change), Math.abs(change) < 0.1 ? 3 : 2)}`,
    );
  const more = changes.length > 4 ? ` and ${changes.length - 4} more` : "";
  return `${strongWord("sees wrong:", "deceived")} ${escapeMarkup(listed.join(", ") + more)}`;
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
