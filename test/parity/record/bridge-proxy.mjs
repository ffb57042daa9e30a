/** Between the bridge and its server: passes messages on and writes them down. node bridge-proxy.mjs FILE COMMAND ARGS… */
import { spawn } from "node:child_process";
import fs from "node:fs";

const [file, command, ...args] = process.argv.slice(2);
const server = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
const frames = [];

/** Calls `handle(kind + payload in base64)` for every whole frame of a stream, and hands its bytes on. */
function listen(stream, to, handle) {
  let buffered = Buffer.alloc(0);
  stream.on("data", (chunk) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 8 && buffered.length >= 8 + buffered.readUInt32LE(0)) {
      const end = 8 + buffered.readUInt32LE(0);
      handle(String.fromCharCode(buffered.readUInt32LE(4)) + buffered.subarray(8, end).toString("base64"));
      to.write(buffered.subarray(0, end));
      buffered = buffered.subarray(end);
    }
  });
}
listen(process.stdin, server.stdin, (text) => frames.push({ in: text }));
listen(server.stdout, process.stdout, (text) => {
  frames.at(-1).out = text;
  // Whenever the server has answered, so that nothing is lost however this process ends.
  fs.writeFileSync(file, JSON.stringify(frames));
});
process.stdin.on("end", () => server.stdin.end());
server.on("exit", () => process.exit(0));
