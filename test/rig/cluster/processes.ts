// The long-running programs of one rig. Each records its own pid and start time before it becomes the program, so a crash
// of the starter at any moment leaves none unrecorded; a pid that was given to another process since is never touched.
import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROGRAM_PATH } from './requirements.ts';

/** A process is itself only with its start time (field 22 of /proc/PID/stat, in clock ticks) and the boot that counts from. */
export interface Recorded {
  readonly program: string;
  readonly pid: number;
  readonly startTime: string;
}

/** For what takes no time on an idle machine. */
const PATIENCE_MS = 60_000;

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** The program keeps the shell's pid and start time through exec. */
const record = `read -r stat < "/proc/$$/stat" && read -r boot < ${BOOT_ID} && echo "$stat" > "$0.new" && echo "$boot" >> "$0.new" && mv "$0.new" "$0" && exec "$@"`;

/** What a rig's programs see of the environment: a proxy or a kubeconfig of the caller must not lead them elsewhere. */
const environment = { PATH: PROGRAM_PATH, LC_ALL: 'C', HOME: '/' };

const logFile = (directory: string, program: string): string => path.join(directory, 'logs', `${program}.log`);

/** Starts a program that outlives this process, its output in `<directory>/logs`. Resolves when it is recorded. */
export async function startProgram(directory: string, program: string, argv: readonly string[]): Promise<Recorded> {
  await mkdir(path.join(directory, 'pids'), { recursive: true });
  await mkdir(path.join(directory, 'logs'), { recursive: true });
  const file = path.join(directory, 'pids', program);
  const log = await open(logFile(directory, program), 'a');
  const child = spawn('sh', ['-c', record, file, ...argv], {
    cwd: directory,
    env: environment,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  child.on('error', () => {});
  child.unref();
  await log.close();
  for (let waited = 0; waited < PATIENCE_MS; waited += 10) {
    const [text] = await Promise.all([readFile(file, 'utf8').catch(() => ''), sleep(10)]);
    const found = parseRecord(program, text);
    if (found !== null && found.pid === child.pid) return identity(found);
  }
  throw new Error(
    `start ${program}: it did not begin within ${PATIENCE_MS / 1000} s\n${await logTail(directory, program)}`,
  );
}

interface Stat extends Recorded {
  readonly state: string;
  readonly parent: number;
}

/**
 * Reads a line of /proc/PID/stat and, after it, one with the boot it is of; a record without that is being written. The second field is a
 * name in brackets and may hold anything, brackets included.
 */
export function parseRecord(program: string, text: string): Stat | null {
  const [line = '', boot = ''] = text.split('\n');
  const end = line.lastIndexOf(')');
  const fields = line.slice(end + 2).split(' ');
  const [state, parent] = fields;
  const ticks = fields[19];
  if (end < 0 || state === undefined || parent === undefined || ticks === undefined || boot === '') return null;
  return { program, pid: Number.parseInt(line, 10), startTime: `${ticks} of ${boot}`, state, parent: Number(parent) };
}

const identity = ({ program, pid, startTime }: Stat): Recorded => ({ program, pid, startTime });

async function statOf(pid: number): Promise<Stat | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return parseRecord('', `${stat.trimEnd()}\n${await readFile(BOOT_ID, 'utf8')}`);
}

/** A zombie has ended; only its parent has not noticed. */
export async function isAlive(recorded: Recorded): Promise<boolean> {
  const now = await statOf(recorded.pid);
  return now !== null && now.startTime === recorded.startTime && now.state !== 'Z' && now.state !== 'X';
}

/** Empty where there is no file. */
async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return '';
  });
}

export async function recordedPrograms(directory: string): Promise<Recorded[]> {
  const folder = path.join(directory, 'pids');
  const names = await readdir(folder).catch((): string[] => []);
  const found: Recorded[] = [];
  for (const name of names) {
    const program = name.replace(/\.new$/, '');
    // It may have got its lasting name, or have been removed, since the folder was read.
    const text = (await textOf(path.join(folder, name))) || (await textOf(path.join(folder, program)));
    const entry = parseRecord(program, text);
    if (entry !== null) found.push(identity(entry));
  }
  return found;
}

export async function childrenOf(parent: Recorded): Promise<Recorded[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const all = await Promise.all(pids.map((pid) => statOf(Number(pid))));
  return all
    .filter((entry) => entry !== null)
    .filter((entry) => entry.parent === parent.pid)
    .map((entry) => ({ ...identity(entry), program: `child of ${parent.program}` }));
}

/** Kills and waits for the end. Nothing a rig holds is worth keeping, so there is no gentler way first. */
export async function killAll(programs: readonly Recorded[]): Promise<void> {
  for (const program of programs) {
    try {
      if (await isAlive(program)) process.kill(program.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  for (let waited = 0; waited < PATIENCE_MS; waited += 20) {
    const alive = await Promise.all(programs.map(isAlive));
    if (!alive.includes(true)) return;
    await sleep(20);
  }
  const left = (await Promise.all(programs.map(async (one) => ((await isAlive(one)) ? one : null)))).filter(
    (one) => one !== null,
  );
  throw new Error(
    `stop ${left.map((one) => `${one.program} (pid ${one.pid})`).join(', ')}: still there after ${PATIENCE_MS / 1000} s`,
  );
}

/** The last lines a program wrote, indented, for an error to end with. */
export async function logTail(directory: string, program: string): Promise<string> {
  const text = await readFile(logFile(directory, program), 'utf8').catch(() => '');
  const lines = text.trimEnd().split('\n').slice(-6);
  return lines.map((line) => `  ${program}: ${line.slice(0, 300)}`).join('\n');
}
