import { distance } from "fastest-levenshtein";

/**
 * The candidate nearest to `word`, if it is near enough to be a slip of the keyboard: at most a third of the letters
 * differ (two in words of four or five, where swapped letters count twice), and never more than three.
 */
export function nearestName(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.max(word.length < 4 ? 1 : 2, Math.floor(word.length / 3))) + 1;
  for (const candidate of candidates) {
    const d = distance(word.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

/** `Did you mean "epsilon"?`, or the list of what exists when nothing is near. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = nearestName(word, candidates);
  if (near !== undefined) return `Did you mean "${near}"?`;
  return candidates.length === 0 ? "" : `Known: ${candidates.join(", ")}.`;
}
