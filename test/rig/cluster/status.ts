// What rigs there are and whether they work, as lines for a person to read.
import { isUp } from './built.ts';
import { isAlive, recordedPrograms } from './processes.ts';
import { kubeconfigFile, type RigState, readState, rigDirectory, rigNames } from './state.ts';

/** One table of rigs; below it, for each built one, its programs. */
export async function statusLines(only: string | undefined): Promise<string[]> {
  const names = (await rigNames()).filter((name) => only === undefined || name === only);
  if (names.length === 0) return [only === undefined ? 'no rig is up' : `no rig "${only}"`];
  const rigs = [['NAME', 'PROVIDER', 'NODE', 'STATE', 'API SERVER', 'KUBECONFIG']];
  const programs = [['RIG', 'PROGRAM', 'PID', 'STATE']];
  for (const name of names.sort()) {
    const state = await readState(name);
    const server = state?.provider === 'built' ? `https://${state.apiHost}:${state.apiPort}` : '-';
    const node = state === null ? '-' : state.hasNode ? 'yes' : 'no';
    rigs.push([name, state?.provider ?? '-', node, await word(state), server, kubeconfigFile(name)]);
    for (const program of await recordedPrograms(rigDirectory(name))) {
      programs.push([name, program.program, `${program.pid}`, (await isAlive(program)) ? 'running' : 'ended']);
    }
  }
  return [...aligned(rigs), ...(programs.length > 1 ? ['', ...aligned(programs)] : [])];
}

async function word(state: RigState | null): Promise<string> {
  if (state === null || state.phase === 'starting') return 'starting or crashed';
  // Only kind itself knows more of its clusters.
  if (state.provider === 'kind') return 'made';
  return (await isUp(state)) ? 'up' : 'broken';
}

/** Columns as wide as their widest cell, two spaces between them. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
