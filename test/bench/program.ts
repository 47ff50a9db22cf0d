// A server under measurement: a process of its own, with what it used of processor and memory.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, startChild } from '../rig/servers/child.ts';

const patienceMilliseconds = 10_000;
/** Linux counts processor time in hundredths of a second everywhere that Node runs. */
const ticksPerSecond = 100;

/** What a process has used. */
export interface Used {
  cpuSeconds(): Promise<number>;
  /** The most that it has held so far. */
  memoryMiB(): Promise<number>;
}

export interface Program extends Used {
  port: number;
  stop(): Promise<void>;
}

/** A process's name, and what it has used of processor. */
export async function statOf(pid: number): Promise<{ name: string; cpuSeconds: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold spaces and parentheses; user and system time are the 12th and 13th field after it.
  const end = stat.lastIndexOf(')');
  const fields = stat.slice(end + 2).split(' ');
  return {
    name: stat.slice(stat.indexOf('(') + 1, end),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
  };
}

export function usedBy(pid: number): Used {
  return {
    cpuSeconds: async () => (await statOf(pid)).cpuSeconds,
    memoryMiB: async () => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
    },
  };
}

/** Starts a program that prints a line with "listening" and its port as JSON. */
export async function startProgram(argv: [string, ...string[]]): Promise<Program> {
  const child = await startChild(argv, { env: process.env });
  return { port: await portOf(child, argv[0]), ...usedBy(child.pid), stop: () => child.stop() };
}

async function portOf(child: Child, program: string): Promise<number> {
  const end = performance.now() + patienceMilliseconds;
  while (child.running() && performance.now() < end) {
    const line = /^.*"msg":"listening".*$/m.exec(child.output())?.[0];
    if (line !== undefined) return (JSON.parse(line) as { port: number }).port;
    await sleep(50);
  }
  await child.stop();
  throw new Error(`start ${program}: it does not listen: ${child.output()}`);
}
