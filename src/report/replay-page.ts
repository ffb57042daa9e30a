/** Episodes of one environment as a page of their own: the report's replay without an experiment around it. */

import type { Film } from "../core/film.js";
import { renderReplay } from "../views/index.js";
import type { NamedValue } from "./data.js";
import { numberList, renderPage } from "./page.js";

export interface ReplayPageData {
  readonly title: string;
  /** The line under the title. */
  readonly question: string;
  readonly films: readonly Film[];
  /** Who plays, from which seed. */
  readonly facts: readonly NamedValue[];
  readonly parameters: readonly NamedValue[];
}

/** The text of one HTML file; see `renderPage`. */
export function renderReplayPage({ title, question, films, facts, parameters }: ReplayPageData): string {
  return renderPage({
    title,
    question,
    sections: [
      { id: "replay", title: "Replay", short: "Replay", content: renderReplay(films) },
      { id: "setting", title: "Setting", short: "Setting", content: numberList(facts, "facts") },
      {
        id: "parameters",
        title: "Parameters",
        short: "Parameters",
        content: numberList(parameters, "facts"),
      },
    ].filter(({ content }) => content !== ""),
  });
}
