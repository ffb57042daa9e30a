/** What a team means by its messages, read off its own films. */

import type { Film } from "../core/film.js";
import { goalLabel } from "./stage.js";

/**
 * Fills in `film.language` where it is absent and a caption reads "speaker_0 says …".
 *
 * A learned language is arbitrary: message 2 may mean landmark A. What a message means is what the team itself uses it
 * for, so this counts, over all films of one team and seed, which goal stood behind each message that the team's own
 * policy chose (executed, or intended where the adversary overrode it). A message it never chose has no meaning (null).
 */
export function inferLanguage(films: readonly Film[]): Film[] {
  const counts = new Map<string, Map<string, number>[]>();
  const key = (film: Film, speaker: string) => JSON.stringify([film.team, film.seed, speaker]);
  for (const film of films) {
    if (film.language) continue;
    for (const speaker of speakersOf(film)) {
      const meanings = counts.get(key(film, speaker)) ?? [];
      counts.set(key(film, speaker), meanings);
      for (const step of film.steps) {
        const message = step.controlled.includes(speaker)
          ? step.intended?.[speaker]
          : step.actions?.[speaker];
        const goal = goalLabel(step.frame.shapes);
        if (typeof message !== "number" || goal === null || message < 0 || message > 999) continue;
        while (meanings.length <= message) meanings.push(new Map());
        const tally = meanings[message]!;
        tally.set(goal, (tally.get(goal) ?? 0) + 1);
      }
    }
  }
  return films.map((film) => {
    if (film.language) return film;
    const speakers = speakersOf(film);
    if (speakers.length === 0) return film;
    const language: Record<string, (string | null)[]> = {};
    for (const speaker of speakers)
      language[speaker] = (counts.get(key(film, speaker)) ?? []).map(mostFrequent);
    return { ...film, language };
  });
}

/** Agents that some caption of the film quotes: "speaker_0 says B". */
export function speakersOf(film: Film): string[] {
  const captions = new Set(film.steps.flatMap((step) => step.frame.captions));
  return film.agents.filter((agent) => [...captions].some((caption) => caption.startsWith(`${agent} says `)));
}

function mostFrequent(tally: ReadonlyMap<string, number>): string | null {
  let best: string | null = null;
  for (const [label, count] of tally) if (best === null || count > tally.get(best)!) best = label;
  return best;
}
