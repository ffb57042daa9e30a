/** Environments that run outside Node: needs Node itself, for processes and threads. */
export { pettingZoo, pettingZooBridge, type ServerCommand } from "./pettingzoo.js";
