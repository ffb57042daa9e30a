/**
 * Stands in for bridge/pettingzoo_server.py, which describes the messages: `node stand-in.mjs MODE [FILE]`.
 *
 * play FILE   answers as recorded (test/parity/pettingzoo.mjs), and refuses messages that are not the recorded ones
 * game        a small game of its own: agents die, masks change, one group acts in a box
 * raise       that game, which raises at the third step of copy 1
 * die         that game, which ends with words on stderr at the third step
 * garbage     answers with what is no frame
 * deaf        that game, which neither minds the end of stdin nor SIGTERM
 */
import fs from "node:fs";

const [mode, file] = process.argv.slice(2);

function send(kind, payload) {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(kind.charCodeAt(0), 4);
  process.stdout.write(Buffer.concat([header, payload]));
}

const json = (value) => Buffer.from(JSON.stringify(value));

// THE RECORDED ANSWERS

function player() {
  const { frames } = JSON.parse(fs.readFileSync(file, "utf8"));
  let next = 0;
  return (kind, payload) => {
    const expected = frames[next++];
    const given = payload.toString("base64");
    if (expected?.in !== `${kind}${given}`) {
      const what = expected === undefined ? "the end" : expected.in.slice(0, 60);
      const message = `message ${next} is "${kind}${given.slice(0, 60)}", recorded is "${what}"`;
      return send("E", json({ stage: "refused", copy: 0, message }));
    }
    send(expected.out[0], Buffer.from(expected.out.slice(1), "base64"));
  };
}

// A GAME

/** Two hoppers choose among three jumps, of which one is forbidden; a drifter pushes along two axes. */
const HOPPERS = ["hopper_0", "hopper_1"];
const LIMIT = 12;

class Copy {
  reset(seed) {
    this.random = seed % 2147483647 || 1;
    this.t = 0;
    this.position = [this.draw(), this.draw(), this.draw()];
    this.alive = [1, 1, 1];
    this.reward = [0, 0, 0];
    this.terminated = this.truncated = 0;
  }

  draw() {
    this.random = (this.random * 48271) % 2147483647;
    return this.random / 2147483647;
  }

  /** hops: [2] in 0 … 2; drift: [2] in [−1, 1] */
  step(hops, drift) {
    this.t++;
    this.reward = [0, 0, 0];
    for (const i of [0, 1]) {
      if (this.alive[i] === 0) continue;
      this.position[i] = (this.position[i] + 0.1 * (hops[i] + 1) + 0.01 * this.draw()) % 1;
      this.reward[i] = this.position[i];
      if (this.draw() < 0.1) this.alive[i] = 0;
    }
    this.position[2] = Math.tanh(this.position[2] + drift[0] - 0.5 * drift[1]);
    this.reward[2] = -Math.abs(this.position[2]);
    const over = this.alive[0] + this.alive[1] === 0;
    this.terminated = over ? 1 : 0;
    this.truncated = !over && this.t >= LIMIT ? 1 : 0;
  }

  /** Which jump is forbidden now; the dead may only stand still. */
  mask(i) {
    const forbidden = Math.floor(this.position[i] * 3) % 3;
    return this.alive[i] === 0 ? [1, 0, 0] : [0, 1, 2].map((a) => (a === forbidden ? 0 : 1));
  }
}

function blockOf(copies) {
  const each = (read) => copies.flatMap(read);
  const shown = (c, i) => (c.alive[i] === 0 && !c.terminated ? [0, 0] : [c.position[i], c.t / LIMIT]);
  const parts = [
    Float64Array.from(each((c) => c.reward.slice(0, 2))),
    Float64Array.from(each((c) => [c.reward[2]])),
    Float32Array.from(each((c) => [...shown(c, 0), ...shown(c, 1)])),
    Float32Array.from(each((c) => [c.position[2]])),
    Float32Array.from(each((c) => c.position)),
    Uint8Array.from(each((c) => [c.terminated])),
    Uint8Array.from(each((c) => [c.truncated])),
    Uint8Array.from(each((c) => c.alive.slice(0, 2))),
    Uint8Array.from(each((c) => [c.alive[2]])),
    Uint8Array.from(each((c) => [...c.mask(0), ...c.mask(1)])),
  ];
  return Buffer.concat(parts.map((p) => Buffer.from(p.buffer)));
}

const observation = (size, low, high) => ({ name: "observation", size, kind: "continuous", low, high });
const SPEC = {
  groups: [
    {
      name: "hopper",
      agents: HOPPERS,
      features: [observation(2, 0, 1)],
      action: { kind: "discrete", n: 3 },
      hasActionMask: true,
    },
    {
      name: "drifter",
      agents: ["drifter_0"],
      features: [observation(1, null, null)],
      action: { kind: "box", low: [-1, -2], high: [1, 2] },
      hasActionMask: false,
    },
  ],
  stateSize: 3,
  versions: { python: "3.0.0", game: "1.0" },
};

function game() {
  let copies = [];
  let steps = 0;
  return (kind, payload) => {
    if (kind === "I") {
      const { module, copies: count } = JSON.parse(payload.toString());
      if (module === "absent")
        return send(
          "E",
          json({ stage: "import", copy: 0, message: "ModuleNotFoundError: No module named 'absent'" }),
        );
      copies = Array.from({ length: count }, () => new Copy());
      return send("S", json(SPEC));
    }
    if (kind === "R") {
      const copy = copies[payload.readUInt32LE(0)];
      copy.reset(payload.readUInt32LE(4));
      return send("V", blockOf([copy]));
    }
    steps++;
    if (steps === 3 && mode === "raise")
      return send("E", json({ stage: "step", copy: 1, message: "ValueError: no way (game.py, line 12)" }));
    if (steps === 3 && mode === "die") {
      process.stderr.write("some words\nFatal Python error: Segmentation fault\n");
      process.exit(139);
    }
    for (const [e, copy] of copies.entries()) {
      const hops = [0, 1].map((i) => payload.readInt32LE((e * 2 + i) * 4));
      const drift = [0, 1].map((d) => payload.readFloatLE((copies.length * 2 + e * 2 + d) * 4));
      copy.step(hops, drift);
    }
    send("V", blockOf(copies));
  };
}

// THE PIPES

const garbage = () => process.stdout.write("pygame 2.5.8\nHello from the pygame community.\n");
const handle = mode === "play" ? player() : mode === "garbage" ? garbage : game();

let buffered = Buffer.alloc(0);
process.stdin.on("data", (chunk) => {
  buffered = Buffer.concat([buffered, chunk]);
  while (buffered.length >= 8 && buffered.length >= 8 + buffered.readUInt32LE(0)) {
    const length = buffered.readUInt32LE(0);
    const kind = String.fromCharCode(buffered.readUInt32LE(4));
    const payload = Buffer.from(buffered.subarray(8, 8 + length));
    buffered = buffered.subarray(8 + length);
    handle(kind, payload);
  }
});
if (mode === "deaf") {
  process.on("SIGTERM", () => {});
  setInterval(() => {}, 1000);
} else process.stdin.on("end", () => process.exit(0));
