import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { Film, FilmStep, FrameShape } from "../core/film.js";
import { inferLanguage } from "./language.js";
import { choosePanels, embedJson, playerScript, renderReplay } from "./replay.js";
import {
  announcements,
  goalLabel,
  renderFrame,
  renderReturns,
  renderStatus,
  returnsSoFar,
  safeColor,
  worldBounds,
} from "./stage.js";

const box = { left: -1, right: 1, bottom: -1, top: 1 };

/** Landmarks A, B, C in a row; B is the goal; message m means landmark m + 1. */
function film(adversary: string, message: number, more: Partial<Film> = {}): Film {
  const lies = adversary === "best response";
  const shapes = (x: number): FrameShape[] => [
    ...["A", "B", "C"].map(
      (label, at): FrameShape => ({
        kind: "circle",
        x: at - 1,
        y: 0,
        radius: 0.04,
        label,
        color: "rgb(166 38 38)",
        role: label === "B" ? "goal" : "landmark",
      }),
    ),
    { kind: "circle", x: 0, y: 0.8, radius: 0.075, agent: "speaker_0", color: "#404040", role: "agent" },
    { kind: "circle", x, y: -0.5, radius: 0.075, agent: "listener_0", color: "#ff9999", role: "agent" },
  ];
  const step = (x: number): FilmStep => ({
    frame: { shapes: shapes(x), captions: ["speaker_0 says X"] },
    actions: { speaker_0: message, listener_0: 2 },
    controlled: lies ? ["speaker_0"] : [],
    ...(lies ? { intended: { speaker_0: 0 } } : {}),
    perturbed: adversary === "FGSM" ? { listener_0: { velocity: 0.1, message: 0.02 } } : {},
    reward: -1.5,
  });
  return {
    environment: "mpe/simple_speaker_listener_v4",
    team: "plain",
    adversary,
    seed: 0,
    copy: 4,
    agents: ["speaker_0", "listener_0"],
    hijacked: lies ? ["speaker_0"] : [],
    episodeReturn: -3,
    actionNames: { listener_0: ["stay", "left", "right", "down", "up"] },
    language: { speaker_0: ["B", "C", null] },
    steps: [
      step(0),
      step(0.2),
      { frame: { shapes: shapes(0.4), captions: [] }, controlled: [], perturbed: {} },
    ],
    ...more,
  };
}

describe("a frame", () => {
  it("rings the goal, and leads the message to the landmark it names", () => {
    const honest = renderFrame(film("clean", 0), 1, box);
    expect(honest).toContain("phx-goal-ring");
    expect(honest).toContain("phx-announced phx-true");
    expect(honest).toContain("phx-message phx-true");
    expect(honest).not.toContain("phx-false");
    const lie = renderFrame(film("best response", 1), 1, box);
    expect(lie).toContain("phx-announced phx-false");
    // The ring lies on landmark C at the right edge of the world.
    expect(lie).toMatch(/<circle class="phx-announced phx-false" cx="360" cy="180"/);
  });

  it("marks who is hijacked all along, and who is controlled only in that step", () => {
    expect(renderFrame(film("best response", 1), 0, box)).toContain("phx-hijacked phx-controlled");
    const last = renderFrame(film("best response", 1), 2, box);
    expect(last).toContain('class="phx-hijacked"');
    expect(last).not.toContain("phx-controlled");
    expect(renderFrame(film("clean", 0), 0, box)).not.toContain("phx-hijacked");
  });

  it("marks who is deceived", () => {
    expect(renderFrame(film("FGSM", 0), 0, box)).toContain("phx-deceived");
  });

  it("draws where agents came from and glides between steps", () => {
    expect(renderFrame(film("clean", 0), 0, box)).not.toContain("phx-trail");
    expect(renderFrame(film("clean", 0), 2, box)).toContain('points="180,270 216,270 252,270 252,270"');
    expect(renderFrame(film("clean", 0), 0.5, box)).toContain('cx="198" cy="270"');
  });

  it("is the first or last moment for times outside, and empty for an empty film", () => {
    const one = film("clean", 0);
    expect(renderFrame(one, -4, box)).toBe(renderFrame(one, 0, box));
    expect(renderFrame(one, 99, box)).toBe(renderFrame(one, 2, box));
    const none = { ...one, steps: [] };
    expect(renderFrame(none, 0, worldBounds([none]))).toContain("<svg");
    expect(renderStatus(none, 0)).toContain("empty");
    expect(renderReturns(none, 0, [-1, 0])).not.toContain("NaN");
  });

  it("never writes NaN, and escapes names and colours", () => {
    const evil = '"><script>alert(1)</script>';
    const nasty = film("clean", 0, {
      team: evil,
      agents: [evil],
      language: {},
      steps: [
        {
          frame: {
            shapes: [
              {
                kind: "circle",
                x: Number.NaN,
                y: 0,
                radius: 1,
                agent: evil,
                color: `red"${evil}`,
                role: "agent",
              },
              {
                kind: "circle",
                x: 0,
                y: 0,
                radius: 0.1,
                label: evil,
                color: "url(https://a.example/)",
                role: "goal",
              },
              { kind: "line", x1: 0, y1: 0, x2: 1, y2: Number.POSITIVE_INFINITY, color: evil },
            ],
            captions: [evil],
          },
          actions: { [evil]: 1 },
          controlled: [evil],
          perturbed: { [evil]: { [evil]: 0.5 } },
          reward: Number.NaN,
        },
      ],
    });
    const all = renderFrame(nasty, 0, worldBounds([nasty])) + renderStatus(nasty, 0) + renderReplay([nasty]);
    expect(all).not.toMatch(/NaN|Infinity/);
    expect(all).not.toContain("<script>alert");
    expect(all.replace(/<script type="application\/json"[\s\S]*?<\/script>/, "")).not.toContain("a.example");
  });

  it("accepts plain colours only", () => {
    for (const color of ["#f00", "red", "rgb(1 2 3)", "hsl(10deg, 20%, 30%)"])
      expect(safeColor(color)).toBe(color);
    for (const color of ["url(x)", "red;fill:url(x)", "rgb(url(x))", "var(--x)"])
      expect(safeColor(color)).toBe("#888888");
  });
});

describe("the words of a step", () => {
  it("say what was meant, announced, intended and executed", () => {
    const words = renderStatus(film("best response", 1), 0).replace(/<[^>]*>/g, "");
    expect(words).toContain("goal B → announced C, forced by the adversary");
    expect(words).toContain("message 0 (B) → message 1 (C)");
    expect(words).toContain("right");
    expect(words).toContain("0.50 from the goal");
  });

  it("say which features were perturbed and by how much, largest first", () => {
    const words = renderStatus(film("FGSM", 0), 0).replace(/<[^>]*>/g, "");
    expect(words).toContain("sees wrong: velocity ±0.10, message ±0.020");
  });

  it("admit a message whose meaning is not known", () => {
    expect(renderStatus(film("best response", 2), 0)).toContain("message 2, whose meaning is unknown");
  });

  it("fall back to captions where nothing is known about a language", () => {
    const { language: _, ...mute } = film("clean", 0);
    expect(renderStatus(mute, 0)).toContain("speaker_0 says X");
  });

  it("keep to those that matter in a crowd", () => {
    const agents = Array.from({ length: 30 }, (_, at) => `agent_${at}`);
    const words = renderStatus(film("clean", 0, { agents, hijacked: ["agent_7"], language: {} }), 0);
    expect(words).toContain("and 30 more, undisturbed".replace("30", "29"));
  });
});

describe("language", () => {
  it("is what the team itself uses a message for, even where the adversary spoke", () => {
    const { language: _, ...clean } = film("clean", 0);
    const { language: __, ...lie } = film("best response", 1);
    const told = inferLanguage([clean, lie]);
    expect(told[1]!.language).toEqual({ speaker_0: ["B"] });
    expect(announcements(told[1]!, 0)[0]).toMatchObject({ announced: null, meant: "B", controlled: true });
    expect(goalLabel(clean.steps[0]!.frame.shapes)).toBe("B");
  });

  it("given by the film is kept, and other teams do not count", () => {
    const { language: _, ...other } = film("clean", 1, { team: "hardened" });
    const told = inferLanguage([film("clean", 0), other]);
    expect(told[0]!.language).toEqual({ speaker_0: ["B", "C", null] });
    expect(told[1]!.language).toEqual({ speaker_0: [null, "B"] });
  });
});

describe("the replay", () => {
  const films = [film("clean", 0), film("best response", 1), film("best response", 1, { team: "hardened" })];

  it("shows clean, the worst attack, and another team under it, still without any script", () => {
    expect(choosePanels(films)).toEqual([
      { team: "plain", adversary: "clean" },
      { team: "plain", adversary: "best response" },
      { team: "hardened", adversary: "best response" },
    ]);
    const html = renderReplay(films);
    expect(html.split("<figure").length - 1).toBe(3);
    expect(html.split('<svg class="phx-stage"').length - 1).toBe(3);
    expect(html).toContain('aria-label="plain against best response, step 2 of 2"');
  });

  it("says so where nothing was filmed, or a wanted film is missing", () => {
    expect(renderReplay([])).toContain("No episode was filmed");
    expect(renderReplay(films, { panels: [{ team: "plain", adversary: "none" }] })).toContain("No film.");
  });

  it("adds up rewards to the running return", () => {
    expect(returnsSoFar(films[0]!)).toEqual([0, -1.5, -3]);
  });

  it("travels into a page as source that draws the very same", () => {
    const script = playerScript().replace(/for \(const root of[\s\S]*$/, "return kit; })()");
    const kit = runInNewContext(script) as {
      renderFrame: typeof renderFrame;
      renderStatus: typeof renderStatus;
    };
    const one = film("best response", 1);
    expect(kit.renderFrame(one, 1.3, box)).toBe(renderFrame(one, 1.3, box));
    expect(kit.renderStatus(one, 1)).toBe(renderStatus(one, 1));
  });

  it("embeds JSON that cannot end its script element", () => {
    const value = { text: "</script><!-- \u2028 & é", x: 0.123456789, n: 7 };
    const json = embedJson(value);
    expect(json).not.toMatch(/[<>&\u2028]/);
    expect(JSON.parse(json)).toEqual({ ...value, x: 0.12346 });
  });
});

describe("a replay of one team", () => {
  it("says who plays and offers no choice", () => {
    const html = renderReplay([film("nobody", 0)]);
    expect(html).toContain("<figcaption><b>plain</b> against nobody");
    expect(html).toContain('<span class="phx-choice" hidden>');
    expect(renderReplay([film("clean", 0), film("FGSM", 0)])).toContain(
      '<span class="phx-choice" data-phx-script hidden>',
    );
  });

  it("measures from the nearest of several goals", () => {
    const one = film("nobody", 0);
    const shapes = one.steps[0]!.frame.shapes.map((shape) =>
      shape.kind === "circle" && shape.label === "C" ? { ...shape, role: "goal" as const } : shape,
    );
    // The listener is at (0, −0.5); B at (0, 0) and C at (1, 0) are goals.
    const frame = { shapes, captions: [] };
    const several = { ...one, language: {}, steps: [{ ...one.steps[0]!, frame }] };
    expect(renderStatus(several, 0)).toContain("0.50 from the nearest goal");
    expect(renderStatus({ ...one, language: {} }, 0)).toContain("0.50 from the goal");
  });
});
