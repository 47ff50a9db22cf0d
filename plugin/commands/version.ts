// `version`: which release of the plugin this is. It asks no server, so that it answers where nothing else does.
import { encodeData, isDataFormat } from '../output/data.ts';
import type { Terminal } from '../output/terminal.ts';

export async function showVersion(terminal: Terminal, version: string, output: string): Promise<void> {
  if (isDataFormat(output)) terminal.printData(await encodeData({ version }, output));
  else terminal.print(`kubectl-dbbackup ${version}`);
}
