import { describe, expect, it } from "vitest";
import { speakerListenerFilm } from "../../test/browser/fixture.js";
import { renderReplayPage } from "./replay-page.js";

const page = (title: string) =>
  renderReplayPage({
    title,
    question: "What it is.",
    films: [speakerListenerFilm("random", "clean", 0, 1)],
    facts: [{ name: "seed", value: "0" }],
    parameters: [],
  });

describe("a page with a replay alone", () => {
  const html = page("mpe/simple");

  it("has the film, its player, and whom it shows", () => {
    expect(html).toContain('<script type="application/json" data-phx="films">');
    expect(html).toContain("mountPlayer");
    expect(html).toContain("<h1>mpe/simple</h1>");
    expect(html).toContain("<dt>seed</dt><dd>0</dd>");
  });

  it("leaves out sections that would be empty", () => {
    expect(html).toContain('<a href="#setting">');
    expect(html).not.toContain("#parameters");
  });

  it("names nothing outside itself, and escapes what it is given", () => {
    expect(html).not.toMatch(/https?:|(src|href)="(?!#|data:)/);
    expect(page("<script>x</script>")).not.toContain("<script>x");
  });
});
