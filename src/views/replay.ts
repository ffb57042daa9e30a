/**
 * The replay: episodes of one seed side by side under one transport. `renderReplay` gives markup that already shows
 * the last moment without any script; `attachReplay` (dashboard) or `playerScript` (reports) makes it play.
 */

import type { Film } from "../core/film.js";
import { inferLanguage } from "./language.js";
import { mountPlayer, type ReplayPlayer, type StageKit } from "./player.js";
import * as stage from "./stage.js";

/** Which film a panel shows first. */
export interface ReplayPanel {
  readonly team: string;
  readonly adversary: string;
}

export interface ReplayOptions {
  /** What each panel shows first; see `choosePanels` for the default. */
  readonly panels?: readonly ReplayPanel[];
}

/** The drawing functions, as the player wants them. */
export const stageKit: StageKit = stage;

/**
 * Markup of a replay, stills included, films embedded as JSON.
 *
 * @param films any number, any teams, adversaries, seeds and copies; each is found by these four
 */
export function renderReplay(films: readonly Film[], options: ReplayOptions = {}): string {
  if (films.length === 0) return '<p class="phx-quiet">No episode was filmed.</p>';
  const told = inferLanguage(films);
  const episode = fullestEpisode(told);
  const ofEpisode = told.filter((film) => episodeKey(film) === episode);
  const panels = options.panels?.length ? options.panels : choosePanels(ofEpisode);
  const shown = panels.map((panel) =>
    ofEpisode.find((film) => film.team === panel.team && film.adversary === panel.adversary),
  );
  const present = shown.filter((film) => film !== undefined);
  const bounds = stage.worldBounds(present);
  const range = stage.returnRange(present);
  const teams = unique(told.map((film) => film.team));
  const adversaries = unique(told.map((film) => film.adversary));
  const body = panels
    .map((panel, at) => panelMarkup(panel, shown[at], teams, adversaries, bounds, range))
    .join("");
  return `<div class="phx-replay" role="group" aria-label="Replay" tabindex="0">
${transportMarkup(told, episode)}
<div class="phx-panels" style="--panels:${panels.length}">${body}</div>
${legendMarkup(told)}
<script type="application/json" data-phx="films">${embedJson(told)}</script>
</div>`;
}

/**
 * The panels that tell the story of one episode: the first team undisturbed, the same team where it fares worst, and
 * another team against the same adversary.
 */
export function choosePanels(films: readonly Film[]): ReplayPanel[] {
  const first = films[0]?.team;
  const own = films.filter((film) => film.team === first);
  const calm = own.find(isUndisturbed) ?? own[0];
  const attacked = own.filter((film) => film !== calm).sort((a, b) => a.episodeReturn - b.episodeReturn)[0];
  const other = films.find((film) => film.team !== first && film.adversary === attacked?.adversary);
  return [calm, attacked, other]
    .filter((film) => film !== undefined)
    .map(({ team, adversary }) => ({ team, adversary }));
}

/** Makes markup of `renderReplay` play; for pages that import views. */
export function attachReplay(root: HTMLElement): ReplayPlayer {
  const films = JSON.parse(root.querySelector('[data-phx="films"]')!.textContent!) as Film[];
  return mountPlayer(root, films, stageKit);
}

/**
 * Source of a classic script that makes every replay of its page play: the functions of stage.ts and player.ts
 * themselves, so that nothing is written twice and no bundler is needed.
 */
export function playerScript(): string {
  const functions = Object.values(stage).filter((value) => typeof value === "function");
  const names = Object.keys(stageKit).join(", ");
  return `(() => {
"use strict";
${[...functions, mountPlayer].map(String).join("\n")}
const kit = { ${names} };
for (const root of document.querySelectorAll(".phx-replay")) {
  const films = JSON.parse(root.querySelector('[data-phx="films"]').textContent);
  mountPlayer(root, films, kit);
}
})();`;
}

/** JSON that cannot end its script element; numbers keep five digits, which no eye can tell from all of them. */
export function embedJson(value: unknown): string {
  const json = JSON.stringify(value, (_, inner) =>
    typeof inner === "number" && !Number.isInteger(inner) ? Number(inner.toPrecision(5)) : inner,
  );
  return json
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

function panelMarkup(
  panel: ReplayPanel,
  film: Film | undefined,
  teams: readonly string[],
  adversaries: readonly string[],
  bounds: stage.WorldBounds,
  range: readonly [number, number],
): string {
  const last = film ? film.steps.length - 1 : 0;
  const still = film ? stage.renderFrame(film, last, bounds) : '<p class="phx-quiet">No film.</p>';
  const total = film ? stage.formatNumber(stage.returnsSoFar(film)[last]) : "";
  const text = stage.escapeMarkup;
  // Where there is nothing to choose, the boxes stay hidden and the caption says who plays.
  const isChoice = teams.length > 1 || adversaries.length > 1;
  const caption = isChoice
    ? `<noscript><b>${text(panel.team)}</b> · ${text(panel.adversary)}</noscript>`
    : `<b>${text(panel.team)}</b> against ${text(panel.adversary)}`;
  return `<figure class="phx-panel">
<figcaption>${caption}<span class="phx-choice"${isChoice ? " data-phx-script" : ""} hidden>${selectBox("team", "Team", teams, panel.team)}${selectBox("adversary", "Adversary", adversaries, panel.adversary)}</span></figcaption>
<div class="phx-frame" data-phx="stage">${still}</div>
<div class="phx-return-row"><span class="phx-return-label">return</span><output class="phx-return-sum" data-phx="sum">${total}</output><div class="phx-return-chart" data-phx="returns">${film ? stage.renderReturns(film, last, range) : ""}</div></div>
<div class="phx-status" data-phx="status">${film ? stage.renderStatus(film, last) : ""}</div>
</figure>`;
}

function transportMarkup(films: readonly Film[], episode: string): string {
  const icon = (path: string, kind = "") =>
    `<svg class="phx-icon${kind}" viewBox="0 0 16 16" aria-hidden="true"><path d="${path}"/></svg>`;
  const button = (action: string, name: string, content: string) =>
    `<button type="button" class="phx-button phx-button-${action}" data-phx="${action}" aria-label="${name}" title="${name}">${content}</button>`;
  const episodes = unique(films.map(episodeKey));
  const names = new Map(films.map((film) => [episodeKey(film), `seed ${film.seed}, episode ${film.copy}`]));
  const options = episodes
    .map(
      (key) =>
        `<option value="${stage.escapeMarkup(key)}"${key === episode ? " selected" : ""}>${stage.escapeMarkup(names.get(key))}</option>`,
    )
    .join("");
  const speeds = [0.25, 0.5, 1, 2, 4]
    .map((speed) => `<option value="${speed}"${speed === 1 ? " selected" : ""}>${speed}×</option>`)
    .join("");
  return `<div class="phx-transport" data-phx-script hidden>
<span class="phx-buttons">${button("first", "First step (Home)", icon("M3 3v10M13 3 6 8l7 5z"))}${button("back", "One step back (left arrow)", icon("M11 3 4 8l7 5z"))}${button("play", "Play", icon("M4 2.5v11L13.5 8z", " phx-icon-play") + icon("M4 3h3v10H4zM9 3h3v10H9z", " phx-icon-pause"))}${button("next", "One step on (right arrow)", icon("M5 3l7 5-7 5z"))}${button("last", "Last step (End)", icon("M13 3v10M3 3l7 5-7 5z"))}</span>
<input type="range" class="phx-scrub" data-phx="scrub" min="0" max="1" step="1" value="0" aria-label="Step">
<span class="phx-clock" data-phx="clock">0 / 0</span>
<label class="phx-select"><span class="phx-sr">Speed</span><select data-phx="speed">${speeds}</select></label>
<label class="phx-select"><span class="phx-sr">Episode</span><select data-phx="episode">${options}</select></label>
</div>`;
}

/** Only marks that occur in these films are explained. */
function legendMarkup(films: readonly Film[]): string {
  const steps = films.flatMap((film) => film.steps);
  const has = {
    goal: steps.some((step) => stage.circlesOf(step.frame.shapes, "goal").length > 0),
    message: films.some((film) => film.language !== undefined),
    hijacked: films.some((film) => film.hijacked.length > 0),
    deceived: steps.some((step) => Object.keys(step.perturbed).length > 0),
  };
  const ring = (kind: string) =>
    `<svg viewBox="0 0 18 18" aria-hidden="true"><circle class="${kind}" cx="9" cy="9" r="6.5"/></svg>`;
  const items = [
    has.goal ? [ring("phx-goal-ring"), "goal"] : null,
    has.message ? [ring("phx-announced phx-true"), "announced, and it is the goal"] : null,
    has.message ? [ring("phx-announced phx-false"), "announced, and it is not the goal"] : null,
    has.hijacked ? [ring("phx-hijacked"), "hijacked: the adversary holds this agent"] : null,
    has.hijacked ? [ring("phx-hijacked phx-controlled"), "this action is the adversary’s"] : null,
    has.deceived ? [ring("phx-deceived"), "deceived: its observation is perturbed"] : null,
  ].filter((item) => item !== null);
  if (items.length === 0) return "";
  return `<ul class="phx-legend">${items.map(([mark, words]) => `<li>${mark}${words}</li>`).join("")}</ul>`;
}

function selectBox(name: string, label: string, values: readonly string[], chosen: string): string {
  const options = values
    .map((value) => {
      const text = stage.escapeMarkup(value);
      return `<option value="${text}"${value === chosen ? " selected" : ""}>${text}</option>`;
    })
    .join("");
  return `<label class="phx-select"><span class="phx-sr">${label}</span><select data-phx="${name}">${options}</select></label>`;
}

/** The episode of which most films exist; the first of equals. */
function fullestEpisode(films: readonly Film[]): string {
  const keys = films.map(episodeKey);
  const counts = unique(keys).map((key) => ({ key, count: keys.filter((other) => other === key).length }));
  return counts.reduce((best, one) => (one.count > best.count ? one : best)).key;
}

function isUndisturbed(film: Film): boolean {
  return film.steps.every((step) => step.controlled.length === 0 && Object.keys(step.perturbed).length === 0);
}

function episodeKey(film: Film): string {
  return `${film.seed}/${film.copy}`;
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
