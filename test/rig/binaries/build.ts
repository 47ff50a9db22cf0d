// Builds one program from its Go module. The module cache and Go's own checksums make this reproducible; the result has
// no C library in it, so it runs on any Linux of the same architecture.
import { run } from '../command.ts';
import type { Program } from './programs.ts';

export async function buildProgram(program: Program, target: string, env: NodeJS.ProcessEnv): Promise<void> {
  const flags = ['-trimpath', '-buildvcs=false', '-ldflags', program.ldflags];
  try {
    await run(['go', 'build', ...flags, '-o', target, program.package], {
      cwd: program.tool,
      // A workspace of the caller would replace the versions this module asks for.
      env: { ...env, CGO_ENABLED: '0', GOWORK: 'off' },
    });
  } catch (error) {
    if (error instanceof Error && error.message.includes('ENOENT')) throw new Error('go is not on the PATH');
    throw error;
  }
}
