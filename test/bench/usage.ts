// What a process and all that it starts use of processor and memory, looked at again and again while they run.
import { readdir, readFile } from 'node:fs/promises';
import { usedBy } from './program.ts';

const lookMilliseconds = 200;

export interface Usage {
  cpuSeconds: number;
  /** The peaks of all processes added up. */
  memoryMiB: number;
}

interface Seen extends Usage {
  name: string;
}

async function parents(): Promise<Map<number, { parent: number; name: string }>> {
  const found = new Map<number, { parent: number; name: string }>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const at = stat.lastIndexOf(')');
    if (at > 0)
      found.set(Number(entry), {
        parent: Number(stat.slice(at + 2).split(' ')[1]),
        name: stat.slice(stat.indexOf('(') + 1, at),
      });
  }
  return found;
}

/** Looks until stopped. Up to 200 ms of a process's end are not seen. */
export function watchUsage(roots: readonly number[], leftOut: readonly string[] = []): { stop(): Promise<Usage> } {
  const seen = new Map<number, Seen>();
  const look = async (): Promise<void> => {
    const all = await parents();
    const within = (pid: number): boolean => roots.includes(pid) || (pid > 1 && within(all.get(pid)?.parent ?? 0));
    for (const [pid, { name }] of all) {
      if (!within(pid)) continue;
      const used = usedBy(pid);
      const now = await Promise.all([used.cpuSeconds(), used.memoryMiB()]).catch(() => undefined);
      // A process that has just been forked counts as its parent's program until it runs its own.
      if (now !== undefined) seen.set(pid, { name, cpuSeconds: now[0], memoryMiB: now[1] || 0 });
    }
  };
  let [running, looking] = [true, look()];
  const timer = setInterval(() => {
    looking = looking.then(() => (running ? look() : undefined));
  }, lookMilliseconds);
  return {
    stop: async () => {
      running = false;
      clearInterval(timer);
      await looking;
      const counted = [...seen.values()].filter(({ name }) => !leftOut.includes(name));
      const sum = (of: keyof Usage) => counted.reduce((total, one) => total + one[of], 0);
      return { cpuSeconds: sum('cpuSeconds'), memoryMiB: sum('memoryMiB') };
    },
  };
}
