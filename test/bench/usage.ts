// What a process and all that it starts use of processor and memory, looked at again and again while they run.
import { readFileSync } from 'node:fs';
import { statOf, usedBy } from './program.ts';

const lookMilliseconds = 200;

export interface Usage {
  cpuSeconds: number;
  /** The peaks of all processes added up. */
  memoryMiB: number;
}

interface Seen extends Usage {
  name: string;
}

/**
 * A process and all that it started. Asked of the kernel from the root down, not found among all processes: what the look takes is taken
 * from what it measures. Our programs start others from their first thread only.
 */
function family(root: number): number[] {
  try {
    const children = readFileSync(`/proc/${root}/task/${root}/children`, 'utf8').split(' ').map(Number);
    return [root, ...children.filter((pid) => pid > 0).flatMap(family)];
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

/** Looks until stopped. Up to 200 ms of a process's end are not seen. */
export function watchUsage(roots: readonly number[], leftOut: readonly string[] = []): { stop(): Promise<Usage> } {
  const seen = new Map<number, Seen>();
  const look = async (): Promise<void> => {
    for (const pid of roots.flatMap(family)) {
      try {
        const [{ name, cpuSeconds }, memoryMiB] = [await statOf(pid), await usedBy(pid).memoryMiB()];
        // A process that has just been forked counts as its parent's program until it runs its own.
        seen.set(pid, { name, cpuSeconds, memoryMiB: memoryMiB || 0 });
      } catch {
        // It has ended meanwhile: what was seen last counts.
      }
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
